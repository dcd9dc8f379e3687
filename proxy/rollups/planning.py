"""What is to be done about a rollup's parts: pure, from what is wanted, what is there and the time.

A part is looked at when its refresh key says so. Where the key has SQL, looking is asking it, and
only another answer means building; else looking is building.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from connectors.rollup_store import PartKey, StoredTable
from proxy.rollups.partitions import Range
from proxy.rollups.schedule import closed_at, has_unknown_age, next_look
from semantic.compiler.rollups.api import RollupDefinition


class Verdict(Enum):
    """What a part needs."""

    MISSING = "missing"
    DUE = "due"
    ASK = "ask"
    FRESH = "fresh"
    CLOSED = "closed"
    FORCED = "forced"

    @property
    def builds(self) -> bool:
        """Whether the part is to be built."""
        return self in (Verdict.MISSING, Verdict.DUE, Verdict.FORCED)


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part that is wanted.

    Attributes:
        stored: what is there of it.
    """

    key: PartKey
    stored: StoredTable | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RollupPlan:
    """A rollup's parts in order, newest first: what people look at is built first.

    Attributes:
        outside: tables of this version that are no longer wanted.
        superseded: tables of other versions.
    """

    definition: RollupDefinition
    parts: tuple[PartPlan, ...]
    outside: tuple[StoredTable, ...] = ()
    superseded: tuple[StoredTable, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all parts are there, of whatever age."""
        return all(part.stored is not None for part in self.parts)


def plan_rollup(
    definition: RollupDefinition,
    ranges: Iterable[Range],
    stored: Sequence[StoredTable],
    now: float,
    *,
    force: bool = False,
) -> RollupPlan:
    """What is to be done.

    Args:
        definition: of the rollup.
        ranges: of all parts that are wanted.
        stored: all tables of the rollup, of whatever version.
        now: Unix seconds.
        force: build every part, whatever its age.
    """
    name, version = definition.name, definition.version
    there = {table.key: table for table in stored}
    wanted = [PartKey(name, version, start, end) for start, end in ranges]
    parts = tuple(
        PartPlan(key, there.get(key), _verdict(definition, key, there.get(key), now, force=force))
        for key in reversed(wanted)
    )
    keys = set(wanted)
    own = [table for table in stored if table.key.version == version]
    return RollupPlan(
        definition,
        parts,
        tuple(table for table in own if table.key not in keys),
        tuple(table for table in stored if table.key.version != version),
    )


def within(plan: RollupPlan, start: datetime | None, end: datetime | None) -> RollupPlan:
    """Only the parts that meet a half-open range; then nothing is superfluous."""
    if start is None and end is None:
        return plan
    parts = tuple(part for part in plan.parts if _meets(part.key, start, end))
    return replace(plan, parts=parts, outside=(), superseded=())


def _meets(key: PartKey, start: datetime | None, end: datetime | None) -> bool:
    ends_before = key.end is not None and start is not None and key.end <= start
    starts_after = key.start is not None and end is not None and end <= key.start
    return not ends_before and not starts_after


def _verdict(
    definition: RollupDefinition,
    key: PartKey,
    stored: StoredTable | None,
    now: float,
    *,
    force: bool,
) -> Verdict:
    if stored is None:
        return Verdict.MISSING
    if force:
        return Verdict.FORCED
    refresh = definition.refresh_key
    if has_unknown_age(refresh, max(stored.built_at, stored.checked_at), now):
        return Verdict.DUE
    closed = closed_at(refresh, key.end)
    # A partition is built once more after its rows have come to rest, and then never again.
    if closed is not None and closed <= stored.built_at:
        return Verdict.CLOSED
    due = next_look(refresh, stored.checked_at)
    if due is None or now < due:
        return Verdict.FRESH
    return Verdict.ASK if refresh is not None and refresh.sql is not None else Verdict.DUE
