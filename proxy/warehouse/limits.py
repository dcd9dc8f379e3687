"""What one statement may take of a data source, for the roles of who runs it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.errors import WarehouseError
from proxy.config.limits import RoleLimits, SourceLimits

NO_LIMIT = math.inf


@dataclass(frozen=True, slots=True)
class Limits:
    """Infinite where there is no limit.

    Attributes:
        deadline: seconds.
        max_rows: that the warehouse returns; ``max_bytes`` likewise.
        max_cost: of the warehouse's own estimate; ``max_scanned_bytes`` likewise.
        role: whose slots the statement takes one of; None where they are not counted.
        role_slots: how many these are.
    """

    deadline: float
    max_rows: float
    max_bytes: float
    max_cost: float
    max_scanned_bytes: float
    role: str | None = None
    role_slots: float = NO_LIMIT

    @property
    def needs_estimate(self) -> bool:
        """Whether a statement is to be estimated before it is run."""
        return min(self.max_cost, self.max_scanned_bytes) < NO_LIMIT


def limits_for(source: SourceLimits, roles: Iterable[str]) -> Limits:
    """The limits of a caller: of each, the widest that one of the roles has."""
    own = [(name, source.by_role[name]) for name in sorted(roles) if name in source.by_role]
    counted = [(_limit(each.slots or 0), name) for name, each in own]
    role_slots, role = max(counted, default=(NO_LIMIT, ""))
    return Limits(
        deadline=_widest([_or(each.deadline, source.deadline) for _, each in own], source.deadline),
        max_rows=_widest([_or(each.max_rows, source.max_rows) for _, each in own], source.max_rows),
        max_bytes=_widest(
            [_or(each.max_bytes, source.max_bytes) for _, each in own], source.max_bytes
        ),
        max_cost=_widest([_or(each.max_cost, source.max_cost) for _, each in own], source.max_cost),
        max_scanned_bytes=_widest(
            [_or(each.max_scanned_bytes, source.max_scanned_bytes) for _, each in own],
            source.max_scanned_bytes,
        ),
        role=role if role_slots < NO_LIMIT else None,
        role_slots=role_slots,
    )


def all_limits(source: SourceLimits) -> list[SourceLimits | RoleLimits]:
    """Those of everybody and those of each role."""
    return [source, *source.by_role.values()]


def exceeded(data_source: str, what: str, key: str, most: float) -> WarehouseError:
    """53400: a statement would return or cost more than it may."""
    return WarehouseError(
        "53400",
        f"the statement exceeds the limit of {most:,.0f} {what} of data source {data_source!r}",
        hint=f"Ask for less: filter, aggregate or LIMIT. The administrator can raise "
        f"limits.{data_source}.{key}.",
    )


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _widest(values: list[float], other: float) -> float:
    return max((_limit(value) for value in values), default=_limit(other))


def _limit(value: float) -> float:
    return value if value > 0 else NO_LIMIT
