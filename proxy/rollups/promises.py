"""Whether what is stored of one cube is fresh enough for another one over the same rows. Pure.

A rollup's refresh key is declared for its own cube. Whoever asks another cube has been promised
what that one declares: the rollup answers it only while all of that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from connectors.rollup_store import StoredTable
from proxy.rollups.schedule import ScheduleError, has_unknown_age, next_look, too_old_at
from semantic.model.promises import Promise, promises_of
from semantic.model.relations import Cube
from semantic.model.values import RefreshKey

Promises = Mapping[str, tuple[Promise, ...]]
"""Of the cubes that make any, by name."""


@dataclass(frozen=True, slots=True)
class Age:
    """Of a rollup's tables, the least: Unix seconds as ``StoredTable`` has them."""

    built_at: float
    checked_at: float

    @classmethod
    def of(cls, tables: Collection[StoredTable]) -> Age:
        """Of some tables."""
        return cls(
            min(table.built_at for table in tables), min(table.checked_at for table in tables)
        )


def model_promises(cubes: Iterable[Cube], sql_every: float) -> Promises:
    """What a model's cubes promise.

    Args:
        cubes: of a model.
        sql_every: seconds for which an answer of a cube's own ``sql`` counts where it does not say.
    """
    found = {cube.name: promises_of(cube) for cube in cubes}
    return {
        name: tuple(_timed(each, sql_every) for each in promises)
        for name, promises in found.items()
        if promises
    }


def _timed(promise: Promise, sql_every: float) -> Promise:
    key = promise.key
    if promise.is_stored or key is None or key.sql is None or key.every is not None:
        return promise
    return replace(promise, key=replace(key, every=f"{max(1, int(sql_every))} seconds"))


def kept_until(promises: Iterable[Promise], own: RefreshKey | None, age: Age, now: float) -> float:
    """Unix seconds until which what is stored keeps all promises; -infinity: it does not.

    Args:
        promises: of a cube.
        own: the refresh key of the rollup.
        age: of its tables.
        now: Unix seconds.
    """
    return min((_kept_until(each, own, age, now) for each in promises), default=-math.inf)


def _kept_until(promise: Promise, own: RefreshKey | None, age: Age, now: float) -> float:
    key, since = promise.key, age.built_at
    if key is not None and key.sql is not None and not key.immutable:
        if own is None or own.sql != key.sql:
            # Nobody knows which of its answers the rows belong to.
            return -math.inf
        since = age.checked_at
    if has_unknown_age(key, since, now):
        return -math.inf
    try:
        end = too_old_at(key, since) if promise.is_stored else next_look(key, since)
    except ScheduleError:
        return -math.inf
    return math.inf if end is None else end
