"""Where pre-aggregations are kept: the Protocol of a store, and the values that go in and out.

A store holds tables and, beside them, the state: which tables there are, what they cover and when
their rows were read. Both change together or not at all, so whoever reads the state can read the
tables that it names. Nothing here knows a cube: a rollup is a name, a version and a SELECT.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from connectors.base import Connector, Parameter

_LONGEST_SLUG = 32
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class BuildColumn:
    """A column that a build's SELECT returns, with the PostgreSQL type that stands for it."""

    name: str
    type_name: str
    modifier: int = -1


@dataclass(frozen=True, slots=True)
class BuildIndex:
    """An index to make: a store without indexes sorts the rows by the first one's columns."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartKey:
    """What a table is: a version of a rollup, or one of its partitions.

    Attributes:
        rollup: ``cube.pre_aggregation``.
        version: of its definition; tables of two versions never meet.
        start: of the half-open range of moments that it covers, aware; None: from the beginning.
        end: of that range; None: no end.
    """

    rollup: str
    version: str
    start: datetime | None = None
    end: datetime | None = None

    def text(self) -> str:
        """The key as one text, stable across processes: what locks are named by."""
        bounds = [bound.astimezone(UTC).isoformat() if bound else "" for bound in self.bounds]
        return "|".join((self.rollup, self.version, *bounds))

    def overlaps(self, other: PartKey) -> bool:
        """Whether both are of one version of a rollup, and some moment is in both."""
        if (self.rollup, self.version) != (other.rollup, other.version):
            return False
        before = self.end is not None and other.start is not None and self.end <= other.start
        after = other.end is not None and self.start is not None and other.end <= self.start
        return not before and not after

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Start and end."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class TableBuild:
    """A table to be built.

    Attributes:
        key: what it will be.
        sql: the SELECT of its rows; placeholders are $1, $2, ...
        parameters: what to bind.
        columns: what the SELECT returns, in order.
        refresh_key: value of the rollup's refresh key, read before the rows are.
    """

    key: PartKey
    sql: str
    parameters: tuple[Parameter, ...]
    columns: tuple[BuildColumn, ...]
    indexes: tuple[BuildIndex, ...] = ()
    refresh_key: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that is there and complete.

    Attributes:
        table: its quoted, qualified SQL name for the connector that reads the store.
        bytes: what it takes; 0 where the store does not say.
        built_at: Unix seconds at which its rows were read.
        checked_at: Unix seconds at which its refresh key was last seen unchanged.
        seconds: what building it took.
        refresh_key: value of the refresh key that its rows belong to.
    """

    key: PartKey
    table: str
    rows: int
    bytes: int
    built_at: float
    checked_at: float
    seconds: float
    refresh_key: str | None = None


class BuildTakenError(Exception):
    """Another process is building the table now."""


class RollupStore(Protocol):
    """One place for the tables of one data source. Safe for concurrent use from one event loop.

    Any number of processes may share it. All methods raise WarehouseError: 53100 where no space is
    left, 08006 where the store cannot be reached.
    """

    async def start(self) -> None:
        """Open it; make what is missing of it. Idempotent."""

    async def close(self) -> None:
        """Stop what runs and close everything. Idempotent."""

    async def read(self) -> tuple[StoredTable, ...]:
        """The tables that queries may read now, by key."""

    async def build(
        self, build: TableBuild, source: Connector, seen: StoredTable | None
    ) -> StoredTable:
        """Build a table and put it in the place of those that it overlaps, all at once.

        Killed at any moment, it leaves the old tables or the new one, whole. No moment is ever in
        two tables of one version.

        Args:
            build: what to build.
            source: where the SELECT runs.
            seen: the table that was there when the build was decided on. Where another one is
                there by now, nothing is built and that one is returned.

        Raises:
            BuildTakenError: another process is building it.
        """

    async def confirm(self, tables: Sequence[StoredTable], at: float) -> None:
        """Note that the refresh keys of tables were unchanged at a time (Unix seconds)."""

    async def retire(self, tables: Sequence[StoredTable]) -> None:
        """Take tables out of the state. They stay readable until they are collected."""

    async def collect(self, grace: float) -> int:
        """Remove what was retired, or left by a killed build, more than ``grace`` seconds ago.

        Returns the number of tables. Never waits for who still reads one: that one stays.
        """

    def lead(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process is the one that refreshes, for as long as the context lasts.

        At most one process is at a time; the place is free again as soon as that one ends, however
        it does.
        """


def slug(text: str) -> str:
    """A readable part of a table's name, for people: lower-case letters, digits and underscores."""
    return _NOT_PLAIN.sub("_", text.lower()).strip("_")[:_LONGEST_SLUG]


def new_table_name(key: PartKey) -> str:
    """A name that no other table has or will have, at most 63 bytes long."""
    digest = hashlib.sha256(key.version.encode()).hexdigest()[:8]
    start = f"_{key.start.astimezone(UTC):%Y%m%d%H}" if key.start is not None else ""
    return f"{slug(key.rollup)}_{digest}{start}_{secrets.token_hex(4)}"


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
