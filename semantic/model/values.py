"""Small immutable values that the parts of a model are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Where something stands in the model's files. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Location("", 0, 0)


@dataclass(frozen=True, slots=True)
class FrozenMap:
    """A mapping that is immutable and hashable: ``meta``, a format object, a row of a test."""

    items: tuple[tuple[str, FrozenValue], ...] = ()

    def get(self, key: str) -> FrozenValue:
        """The value of a key, None when it is absent."""
        return next((value for name, value in self.items if name == key), None)

    def __bool__(self) -> bool:
        return bool(self.items)


FrozenValue = Scalar | FrozenMap | tuple["FrozenValue", ...]

EMPTY = FrozenMap()


def freeze(value: object) -> FrozenValue:
    """Turn plain YAML data (dicts, lists, scalars, dates) into its immutable form."""
    if isinstance(value, dict):
        return FrozenMap(tuple((str(key), freeze(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    if value is None or isinstance(value, str | int | float | bool | FrozenMap):
        return value
    return str(value)


def thaw(value: FrozenValue) -> object:
    """Turn an immutable value back into dicts, lists and scalars, for JSON."""
    if isinstance(value, FrozenMap):
        return {key: thaw(item) for key, item in value.items}
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Interval:
    """A calendar interval such as ``1 year 6 months`` or ``-1 hour``.

    Attributes:
        parts: (count, unit) in the order written. A unit is singular lower case: ``second``,
            ``minute``, ``hour``, ``day``, ``week``, ``month``, ``quarter``, ``year``, or the name
            of a custom granularity.
    """

    parts: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return " ".join(f"{count} {unit}" for count, unit in self.parts)


STANDARD_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class RefreshKey:
    """When cached or pre-aggregated data counts as stale.

    Attributes:
        every: an interval (``1 hour``) or a cron line, as written.
        sql: a query whose changed result means changed data.
        immutable: the data never changes.
        incremental: only partitions within ``update_window`` are built again.
        update_window: how far back data may still change.
        time_zone: the zone a cron line is read in.
    """

    every: str | None = None
    sql: str | None = None
    immutable: bool = False
    incremental: bool = False
    update_window: Interval | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class TestCaller:
    """Whom a test of access policies runs as."""

    __test__: ClassVar[bool] = False

    user: str
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    attributes: FrozenMap = EMPTY
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class ModelTest:
    """A test of the model: ``sql`` over it gives ``expect``, or what ``check`` gives below it.

    Attributes:
        caller: whom it runs as, in a test of access policies (``as``).
        expect_error: the SQLSTATE that such a test expects instead of rows; ``*`` is any.
    """

    name: str
    sql: str
    expect: tuple[FrozenMap, ...] | None = None
    check: str | None = None
    caller: TestCaller | None = None
    expect_error: str | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)
