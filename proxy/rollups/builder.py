"""Builds what a plan says: bounded in parallel, part by part, each one whole or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.rollup_store import (
    BuildColumn,
    BuildIndex,
    BuildTakenError,
    PartKey,
    StoredTable,
    TableBuild,
)
from proxy.rollups.partitions import Range, TooManyPartitionsError, partitions
from proxy.rollups.planning import PartPlan, RollupPlan, Verdict, plan_rollup
from proxy.rollups.schedule import ScheduleError, check_schedule
from proxy.rollups.stores import RollupStores
from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.rollups.api import RollupDefinition
from semantic.errors import SemanticError

logger = logging.getLogger("cubewire.rollups")

Status = Literal["built", "confirmed", "kept", "taken", "failed"]


class RollupCompiler(Protocol):
    """What the builder needs of the compiler."""

    def rollups(self) -> Mapping[str, RollupDefinition]:
        """The pre-aggregations of the model."""

    def build_rollup(
        self, name: str, start: datetime | None, end: datetime | None, settings: SessionSettings
    ) -> CompiledStatement:
        """The SELECT of the rows of a rollup, or of one partition of it."""

    def rollup_range(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        """One row: the first and the last moment that a partitioned rollup covers."""

    def rollup_refresh_key(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        """The SQL of the refresh key."""


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What became of one part.

    Attributes:
        status: ``built``; ``confirmed``: its refresh key was asked and is what it was; ``kept``:
            it was not due; ``taken``: another process builds it; ``failed``.
        stored: what is there now.
        error: why it failed: SQLSTATE and message.
    """

    key: PartKey
    status: Status
    stored: StoredTable | None = None
    error: str | None = None


Report = Callable[[PartOutcome], None]


def ignore(outcome: PartOutcome) -> None:
    """Report to nobody."""


class Builder:
    """Plans and builds the pre-aggregations of one model.

    Args:
        compiler: of the model.
        connectors: warehouses by data source.
        stores: where the tables are kept.
        settings: session settings that builds are compiled with; their time zone must be UTC.
        parallel: parts that are built at once.
        timeout: seconds that one part may take; None: any time.
    """

    def __init__(
        self,
        compiler: RollupCompiler,
        connectors: Mapping[str, Connector],
        stores: RollupStores,
        settings: SessionSettings,
        parallel: int,
        timeout: float | None = None,
    ) -> None:
        self._compiler = compiler
        self._connectors = connectors
        self.stores = stores
        self._settings = settings
        self._places = asyncio.Semaphore(parallel)
        self._timeout = timeout
        self.definitions = compiler.rollups()

    def set_parallel(self, parallel: int) -> None:
        """Build so many parts at once. Not while any is built."""
        self._places = asyncio.Semaphore(parallel)

    async def plan(self, definition: RollupDefinition, *, force: bool = False) -> RollupPlan:
        """What is to be done about a rollup now.

        Raises WarehouseError, SemanticError, ScheduleError, TooManyPartitionsError.
        """
        check_schedule(definition.refresh_key)
        stored = await self.stores.of(definition).read_or_nothing()
        own = [table for table in stored if table.key.rollup == definition.name]
        ranges = await self.ranges(definition)
        return plan_rollup(definition, ranges, own, time.time(), force=force)

    async def ranges(self, definition: RollupDefinition) -> Sequence[Range]:
        """The parts that a rollup is to have.

        Where the model does not say where the data starts and ends, the first and the last part
        have no bound, so that together they hold every row, those without a time too.
        """
        if definition.partition is None:
            return [(None, None)]
        compiled = self._compiler.rollup_range(definition.name, self._settings)
        if compiled is None:
            return [(None, None)]
        row = await self._row(compiled)
        if row is None or len(row) != 2 or None in row:
            return [] if definition.has_range else [(None, None)]
        start, end = (_moment(value) for value in row)
        cut: list[Range] = list(partitions(start, end, definition.partition))
        if not definition.has_range and cut:
            cut[0] = (None, cut[0][1])
            cut[-1] = (cut[-1][0], None)
        return cut

    async def run(self, plan: RollupPlan, report: Report = ignore) -> Sequence[PartOutcome]:
        """Build what a plan says is to be built; then retire what it says is superfluous."""
        key = RefreshKeyValue(lambda: self._refresh_key(plan.definition))
        tasks = [
            asyncio.create_task(self._part(plan.definition, part, key, report), name="build part")
            for part in plan.parts
        ]
        try:
            outcomes = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        if all(each.status in ("built", "confirmed", "kept") for each in outcomes):
            # Old versions answer whoever still has the old model until the new one is complete.
            superfluous = (*plan.outside, *plan.superseded)
            await self.stores.of(plan.definition).store.retire(superfluous)
        return outcomes

    # ------------------------------------------------------------------------- one part

    async def _part(
        self, definition: RollupDefinition, part: PartPlan, key: RefreshKeyValue, report: Report
    ) -> PartOutcome:
        try:
            outcome = await self._try_part(definition, part, key)
        except BuildTakenError:
            outcome = PartOutcome(part.key, "taken", part.stored)
        except TimeoutError:
            outcome = _failed(part, f"57014: it took longer than {self._timeout:g} s")
        except (WarehouseError, SemanticError) as error:
            outcome = _failed(part, f"{error.sqlstate}: {error.message}")
        report(outcome)
        return outcome

    async def _try_part(
        self, definition: RollupDefinition, part: PartPlan, key: RefreshKeyValue
    ) -> PartOutcome:
        if not part.verdict.builds and part.verdict is not Verdict.ASK:
            return PartOutcome(part.key, "kept", part.stored)
        store = self.stores.of(definition).store
        async with self._places, asyncio.timeout(self._timeout):
            value = await key.get()
            stored = part.stored
            if part.verdict is Verdict.ASK and stored is not None and stored.refresh_key == value:
                await store.confirm([stored], time.time())
                return PartOutcome(part.key, "confirmed", stored)
            build = await self._build(definition, part.key, value)
            made = await store.build(build, self._connectors[definition.data_source], stored)
            logger.info(
                "a pre-aggregation was built",
                extra=_fields(part.key, rows=made.rows, seconds=round(made.seconds, 3)),
            )
            return PartOutcome(part.key, "built", made)

    async def _build(
        self, definition: RollupDefinition, key: PartKey, refresh_key: str | None
    ) -> TableBuild:
        compiled = self._compiler.build_rollup(definition.name, key.start, key.end, self._settings)
        return TableBuild(
            key,
            compiled.sql,
            _bounds(compiled, key),
            await self._columns(definition, compiled),
            tuple(_indexes(definition)),
            refresh_key,
        )

    async def _columns(
        self, definition: RollupDefinition, compiled: CompiledStatement
    ) -> tuple[BuildColumn, ...]:
        """The columns of a build; those of a cube's own SQL only the warehouse knows."""
        if compiled.columns:
            return tuple(
                BuildColumn(each.name, each.type.name, each.type.modifier)
                for each in compiled.columns
            )
        rows = self._compiler.build_rollup(definition.name, None, None, self._settings)
        probed = await self._connectors[rows.data_source].probe(rows.sql)
        return tuple(BuildColumn(each.name, each.type_name, each.modifier) for each in probed)

    async def _refresh_key(self, definition: RollupDefinition) -> str | None:
        compiled = self._compiler.rollup_refresh_key(definition.name, self._settings)
        if compiled is None:
            return None
        return json.dumps(await self._row(compiled), default=str)

    async def _row(self, compiled: CompiledStatement) -> list[object] | None:
        """The first row of a statement of the model's own."""
        stream = await self._connectors[compiled.data_source].execute(compiled.sql)
        try:
            async for batch in stream:
                return [column[0].as_py() for column in batch.columns]
            return None
        finally:
            await stream.close()


class RefreshKeyValue:
    """The value of a refresh key, asked once for all parts and before any of them is read."""

    def __init__(self, ask: Callable[[], Awaitable[str | None]]) -> None:
        self._ask = ask
        self._task: asyncio.Future[str | None] | None = None

    async def get(self) -> str | None:
        """The value. Raises what asking raised."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._task)


PROBLEMS = (WarehouseError, SemanticError, ScheduleError, TooManyPartitionsError)
"""What can keep a rollup from being planned."""


def _failed(part: PartPlan, text: str) -> PartOutcome:
    logger.warning("a pre-aggregation was not built", extra=_fields(part.key, error=text))
    return PartOutcome(part.key, "failed", part.stored, text)


def _indexes(definition: RollupDefinition) -> Iterator[BuildIndex]:
    """The indexes, by the names of the table's columns: the model names the members they hold."""
    for index in definition.indexes:
        wanted = [name.strip("{} ").split(".")[-1] for name in index.columns]
        columns = [
            column.name
            for name in wanted
            for column in definition.columns
            if name in (column.name, column.member)
        ]
        if columns:
            yield BuildIndex(index.name, tuple(dict.fromkeys(columns)))


def _bounds(compiled: CompiledStatement, key: PartKey) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(use.type.name, _bound(use.of(key.bounds), use.type.name))
        for use in compiled.parameters
    )


def _bound(value: object, type_name: str) -> object:
    """A bound of a partition as a value of the time's own type, by the clock of UTC."""
    if not isinstance(value, datetime) or type_name == "timestamptz":
        return value
    local = value.astimezone(UTC).replace(tzinfo=None)
    return local.date() if type_name == "date" else local


def _moment(value: object) -> datetime:
    """A bound of a build range: a moment without a zone is one of UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    text = datetime.fromisoformat(str(value))
    return text if text.tzinfo is not None else text.replace(tzinfo=UTC)


def _fields(key: PartKey, **values: object) -> dict[str, object]:
    start = None if key.start is None else key.start.isoformat()
    return {"fields": {"rollup": key.rollup, "partition": start, **values}}
