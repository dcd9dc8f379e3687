"""Portals: an open result and how far it has been read (manual, section 55.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.session.prepared import PreparedStatement
from proxy.session.results import Outcome


@dataclass(slots=True, eq=False)
class Portal:
    """A statement bound to values.

    Attributes:
        parameters: raw values as bound; None is NULL.
        values: the same decoded, for a query over cubes.
        parameter_formats: one per parameter, 0 text or 1 binary.
        result_formats: one per column.
        nesting: savepoints open when it was made; it ends with a rollback below them.
        outcome: what running it gave, once it has been run.
    """

    name: str
    prepared: PreparedStatement
    parameters: tuple[bytes | None, ...] = ()
    parameter_formats: tuple[int, ...] = ()
    result_formats: tuple[int, ...] = ()
    values: tuple[object, ...] = ()
    nesting: int = 0
    outcome: Outcome | None = None

    async def close(self) -> None:
        """Free the result, if one is open."""
        if self.outcome is not None:
            await self.outcome.close()
            self.outcome = None


def expand_formats(formats: Sequence[int], count: int) -> tuple[int, ...]:
    """Result format codes for ``count`` columns from Bind's list of none, one or all."""
    if not formats:
        return (0,) * count
    if len(formats) == 1:
        return (formats[0],) * count
    return tuple(formats)
