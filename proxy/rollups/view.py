"""What statements may be answered from now: an immutable snapshot of what is stored, by freshness.

The stores' state is read again and again by whoever keeps a view up to date; a statement takes one
value out of it, whose token stands in the statement's fingerprint. What was compiled under another
token is compiled anew, so a statement never reads tables that are no longer the right ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from connectors.rollup_store import StoredTable
from proxy.rollups.promises import Age, Promises, kept_until
from proxy.rollups.schedule import (
    AHEAD_SECONDS,
    closed_at,
    has_schedule,
    has_unknown_age,
    too_old_at,
)
from semantic.compiler.rollups.api import (
    NONE,
    RollupCandidates,
    RollupDefinition,
    StoredPart,
    StoredRollup,
)

Mode = Literal["on", "off", "only"]

_TOKENS = itertools.count(1)
"""Of all views: a model that comes back must not meet the tokens of its last time."""

NO_PROMISES: Promises = MappingProxyType({})

_MOST_CHOICES = 64
"""Freshness limits remembered at once: clients use a handful."""


@dataclass(frozen=True, slots=True)
class RollupChoice:
    """What a session wants of pre-aggregations.

    Attributes:
        mode: answer from them where possible, never, or from nothing else.
        max_staleness: seconds that data may be old; None: as old as its refresh key lets it be.
    """

    mode: Mode = "on"
    max_staleness: float | None = None


DEFAULT_CHOICE = RollupChoice()


@dataclass(frozen=True, slots=True)
class RollupUse:
    """What one statement may be answered from.

    Attributes:
        token: equal for equal candidates within a process; part of a statement's fingerprint.
    """

    token: int
    candidates: RollupCandidates = field(default=NONE, compare=False, hash=False, repr=False)


NO_ROLLUPS = RollupUse(0)
ROLLUPS_OFF = RollupUse(-1, RollupCandidates(others=False))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What may be used by a clock that shows ``since`` or later, and not yet ``until``."""

    use: RollupUse
    since: float
    until: float


class RollupView:
    """The stored pre-aggregations of one model, as statements see them. Event loop only.

    Args:
        definitions: of the model, by name; those whose age cannot be judged are left out.
        clock: Unix seconds.
        promises: of the model's cubes, which those of other cubes have to keep, too.
    """

    def __init__(
        self,
        definitions: Mapping[str, RollupDefinition],
        clock: Callable[[], float],
        promises: Promises = NO_PROMISES,
    ) -> None:
        self.definitions = {
            name: each for name, each in definitions.items() if has_schedule(each.refresh_key)
        }
        self._clock = clock
        self._promises = promises
        self._tables: dict[str, tuple[StoredTable, ...]] = {}
        self._vanished: set[str] = set()
        self._choices: dict[float | None, _Choice] = {}

    @property
    def tables(self) -> Mapping[str, tuple[StoredTable, ...]]:
        """What is stored of each rollup's current version."""
        return self._tables

    def publish(self, tables: Iterable[StoredTable]) -> bool:
        """Take over what the stores hold; whether that changes anything for statements."""
        found: dict[str, list[StoredTable]] = {}
        for table in tables:
            definition = self.definitions.get(table.key.rollup)
            if definition is not None and definition.version == table.key.version:
                found.setdefault(definition.name, []).append(table)
        fresh = {
            name: tuple(sorted(parts, key=lambda part: part.key.text()))
            for name, parts in found.items()
            if _apart(parts)
        }
        if fresh == self._tables and not self._vanished:
            return False
        self._tables = fresh
        # A store names only what is there: what it still names is back, or was never gone.
        self._vanished.clear()
        self._forget_choices()
        return True

    def vanished(self, names: Iterable[str]) -> None:
        """A statement found tables of these rollups gone: name them no more until the next look."""
        for name in names:
            self._vanished.update(table.table for table in self._tables.get(name, ()))
        self._forget_choices()

    def use(self, choice: RollupChoice = DEFAULT_CHOICE) -> RollupUse:
        """What a statement of a session that chose so may be answered from."""
        if choice.mode == "off":
            return ROLLUPS_OFF
        if not self._tables and choice.max_staleness is None:
            return NO_ROLLUPS
        now = self._clock()
        known = self._choices.get(choice.max_staleness)
        if known is not None and known.since <= now < known.until:
            return known.use
        candidates, until = self._candidates(choice.max_staleness, now)
        use = RollupUse(next(_TOKENS), candidates)
        if known is not None and known.use.candidates == candidates:
            use = known.use
        if len(self._choices) >= _MOST_CHOICES:
            self._choices.clear()
        self._choices[choice.max_staleness] = _Choice(use, now, until)
        return use

    def _forget_choices(self) -> None:
        # Kept, but past their time: an equal choice that is made anew keeps its token.
        self._choices = {
            key: replace(each, until=float("-inf")) for key, each in self._choices.items()
        }

    def _candidates(
        self, max_staleness: float | None, now: float
    ) -> tuple[RollupCandidates, float]:
        """The candidates, and the moment from which they are others."""
        until = float("inf")
        stored: list[StoredRollup] = []
        for name, tables in self._tables.items():
            definition = self.definitions[name]
            used: list[StoredTable] = []
            for table in tables:
                looked_at = max(table.built_at, table.checked_at)
                if has_unknown_age(definition.refresh_key, looked_at, now):
                    until = min(until, looked_at - AHEAD_SECONDS)
                    continue
                end = usable_until(definition, table, max_staleness)
                if now >= end or table.table in self._vanished:
                    continue
                until = min(until, end)
                used.append(table)
            if not used:
                continue
            serves: frozenset[str] | None = None
            if max_staleness is None:
                serves, end = self._serves(definition, used, now)
                until = min(until, end)
            parts = tuple(map(_part, used))
            stored.append(
                StoredRollup(name, definition.version, definition.site, parts, serves=serves)
            )
        return RollupCandidates(tuple(stored), others=max_staleness is None), until

    def _serves(
        self, definition: RollupDefinition, tables: Sequence[StoredTable], now: float
    ) -> tuple[frozenset[str], float]:
        """The other cubes whose promises the tables keep now, and until when they do for all."""
        found: set[str] = set()
        until = float("inf")
        key, age = definition.refresh_key, Age.of(tables)
        for cube, promises in self._promises.items():
            end = kept_until(promises, key, age, now)
            if cube != definition.cube and now < end:
                found.add(cube)
                until = min(until, end)
        return frozenset(found), until


def _part(table: StoredTable) -> StoredPart:
    key = table.key
    return StoredPart(table.table, key.start, key.end, table.rows, table.checked_at)


def _apart(tables: Sequence[StoredTable]) -> bool:
    """Whether no row can be in two of the tables; it would be counted twice."""
    first = datetime.min.replace(tzinfo=UTC)
    in_order = sorted(tables, key=lambda table: table.key.start or first)
    return not any(one.key.overlaps(other.key) for one, other in itertools.pairwise(in_order))


def usable_until(
    definition: RollupDefinition, table: StoredTable, max_staleness: float | None
) -> float:
    """Unix seconds until which a part may answer a statement; infinity where it never ages."""
    key = definition.refresh_key
    if key is not None and key.immutable:
        return float("inf")
    closed = closed_at(key, table.key.end)
    if closed is not None and closed <= table.built_at:
        return float("inf")
    if max_staleness is not None:
        return table.checked_at + max_staleness
    end = too_old_at(key, table.checked_at)
    return float("inf") if end is None else end
