"""The smallest set of rollups that would answer the statements of a log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from semantic.compiler.rollups.grain import GRAINS, is_made_of
from semantic.compiler.rollups.needs import Need

MOST_DIMENSIONS = 6
"""A rollup over more has nearly as many rows as its source."""


@dataclass(frozen=True, slots=True)
class LoggedStatement:
    """A statement of a log.

    Attributes:
        needs: of its SELECTs; empty where no rollup could answer it.
        times: how often it was run.
        seconds: that all runs took together.
    """

    needs: tuple[Need, ...]
    times: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A rollup that would answer statements.

    Attributes:
        name: for the model.
        stores: what it has to store.
        statements: places in the log of those that it answers, others of the set's beside it.
        times: how often those were run.
        seconds: that they took.
    """

    name: str
    stores: Need
    statements: tuple[int, ...]
    times: int
    seconds: float

    def as_mapping(self) -> dict[str, object]:
        """The item of ``pre_aggregations``, for YAML."""
        found: dict[str, object] = {"name": self.name}
        if self.stores.measures:
            found["measures"] = sorted(self.stores.measures)
        if self.stores.dimensions:
            found["dimensions"] = sorted(self.stores.dimensions)
        if self.stores.segments:
            found["segments"] = sorted(self.stores.segments)
        for dimension, unit in sorted(self.stores.times, key=str):
            found["time_dimension"] = dimension
            if unit is not None:
                found["granularity"] = unit
        return found


def covers(stores: Need, need: Need) -> bool:
    """Whether what a rollup stores is enough for a need."""
    return (
        stores.cube == need.cube
        and need.dimensions <= stores.dimensions
        and need.segments <= stores.segments
        and need.measures <= stores.measures
        and all(any(_serves(own, time) for own in stores.times) for time in need.times)
    )


def _serves(own: tuple[str, str | None], time: tuple[str, str | None]) -> bool:
    (name, fine), (wanted, coarse) = own, time
    if name != wanted or fine is None:
        return name == wanted
    return coarse is not None and is_made_of(GRAINS[coarse], GRAINS[fine])


def united(one: Need, other: Need) -> Need | None:
    """What serves both needs; None where no single rollup should."""
    if one.cube != other.cube:
        return None
    names = {name for name, _ in one.times | other.times}
    if len(names) > 1:
        return None
    times: frozenset[tuple[str, str | None]] = frozenset()
    for name in names:
        times = frozenset({(name, _common([unit for _, unit in one.times | other.times]))})
    both = Need(
        one.cube,
        one.dimensions | other.dimensions,
        one.segments | other.segments,
        one.measures | other.measures,
        times,
    )
    return both if len(both.dimensions) + len(both.segments) <= MOST_DIMENSIONS else None


def _common(units: list[str | None]) -> str | None:
    """The coarsest unit that others are made of."""
    if None in units:
        return None
    for unit in reversed(GRAINS):
        if all(each and is_made_of(GRAINS[each], GRAINS[unit]) for each in units):
            return unit
    return None


def suggest(log: Sequence[LoggedStatement], most: int = 10) -> tuple[Suggestion, ...]:
    """Rollups in the order of what they save, until nothing is left that one would answer.

    A statement is answered once every need of it is. Among those that answer as much, the one
    that stores less is taken.
    """
    chosen: list[Need] = []
    open_needs = {need: 0.0 for item in log for need in item.needs}
    for item in log:
        for need in item.needs:
            open_needs[need] += item.seconds + item.times * 1e-6
    while open_needs and len(chosen) < most:
        candidates = list(_candidates(tuple(open_needs)))
        best = max(candidates, key=lambda stores: _gain(stores, open_needs))
        chosen.append(best)
        open_needs = {need: v for need, v in open_needs.items() if not covers(best, need)}
    return tuple(_suggestions(log, chosen))


def _candidates(needs: tuple[Need, ...]) -> Iterator[Need]:
    """Each need, and what grows of it as others are added that fit."""
    yield from needs
    for one, other in combinations(needs, 2):
        grown = united(one, other)
        if grown is None:
            continue
        yield grown
        for more in needs:
            larger = united(grown, more)
            if larger is not None:
                grown = larger
        yield grown


def _gain(stores: Need, needs: dict[Need, float]) -> tuple[float, int, int, str]:
    saved = sum(value for need, value in needs.items() if covers(stores, need))
    size = len(stores.dimensions) + len(stores.segments) + len(stores.times)
    return round(saved, 9), -size, -len(stores.measures), repr(sorted(stores.dimensions))


def _suggestions(log: Sequence[LoggedStatement], chosen: list[Need]) -> Iterator[Suggestion]:
    names: set[str] = set()
    for stores in chosen:
        places = tuple(
            place
            for place, item in enumerate(log)
            if item.needs
            and any(covers(stores, need) for need in item.needs)
            and all(any(covers(other, need) for other in chosen) for need in item.needs)
        )
        if not places:
            continue
        name = _name(stores, names)
        names.add(name)
        times = sum(log[place].times for place in places)
        seconds = sum(log[place].seconds for place in places)
        yield Suggestion(name, stores, places, times, seconds)


def _name(stores: Need, taken: set[str]) -> str:
    words = [unit or name for name, unit in stores.times]
    words += [item.rpartition(".")[2] for item in sorted(stores.dimensions)[:2]]
    name = "_".join(["by", *words]) if words else "totals"
    number, found = 2, name
    while found in taken:
        found = f"{name}_{number}"
        number += 1
    return found
