"""How long a result may be served: the time to live of each cube, source and role.

A cube's data is cached where the configuration gives it a time to live or the model a refresh key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxy.cache.schedule import Cron, ScheduleError, interval_seconds
from semantic.model.model import Model
from semantic.model.values import RefreshKey

FOREVER = math.inf


@dataclass(frozen=True, slots=True)
class TimesToLive:
    """The configuration's part, in seconds; 0 is never.

    Attributes:
        default: of cubes for which nothing else is said.
    """

    default: float = 0.0
    by_cube: Mapping[str, float] = field(default_factory=dict)
    by_source: Mapping[str, float] = field(default_factory=dict)
    by_role: Mapping[str, float] = field(default_factory=dict)

    def of_caller(self, roles: Iterable[str]) -> float:
        """The longest that results may be old for somebody: the shortest of the roles' times."""
        known = self.by_role
        return min((known[role] for role in roles if role in known), default=FOREVER)


@dataclass(frozen=True, slots=True)
class CubeFreshness:
    """When one cube's data counts as stale; any of it makes it so.

    Attributes:
        lifetime: seconds for which data that was read is current; 0 is not cached at all.
        cron: moments that make all older data stale.
        sql: a query of its data source whose changed answer means changed data.
        every: seconds for which such an answer is believed.
    """

    lifetime: float
    data_source: str
    cron: Cron | None = None
    sql: str | None = None
    every: float = 0.0


def cube_freshness(model: Model, times: TimesToLive, every: float) -> dict[str, CubeFreshness]:
    """Of every cube.

    Args:
        every: seconds for which the answer of a refresh key's ``sql`` is believed where the key
            does not say ``every``.

    Raises:
        ScheduleError: a refresh key's ``every`` cannot be read; says of which cube.
    """
    found: dict[str, CubeFreshness] = {}
    for cube in model.cubes:
        configured = times.by_cube.get(cube.name)
        standard = times.by_source.get(cube.data_source, times.default)
        try:
            found[cube.name] = _freshness(
                cube.data_source, cube.refresh_key, configured, standard, every
            )
        except ScheduleError as error:
            raise ScheduleError(f"refresh_key of cube {cube.name}: {error}") from error
    return found


def _freshness(
    source: str, key: RefreshKey | None, configured: float | None, standard: float, every: float
) -> CubeFreshness:
    if key is None:
        return CubeFreshness(standard if configured is None else configured, source)
    lifetime = FOREVER if configured is None else configured
    if key.immutable:
        return CubeFreshness(lifetime, source)
    seconds = interval_seconds(key.every) if key.every is not None else None
    cron = None
    if key.every is not None and seconds is None:
        cron = Cron.parse(key.every, key.time_zone or "UTC")
    if key.sql is not None:
        # ``every`` says how often to ask, not how old the data may be.
        return CubeFreshness(lifetime, source, cron, key.sql, every if seconds is None else seconds)
    if seconds is not None and configured is None:
        lifetime = seconds
    return CubeFreshness(lifetime, source, cron)
