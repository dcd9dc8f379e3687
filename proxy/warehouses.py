"""Runs compiled statements: on one warehouse, or over rows fetched from several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

from connectors.base import BatchStream, Connector, Parameter
from connectors.errors import WarehouseError
from connectors.postgres_types import FIRST_USER_OID
from connectors.stage import Fetching, Stage, StageTable, apart
from connectors.stage_tables import StageColumn
from proxy.discretion import DiscreetBatches, DiscreetRows, withheld
from proxy.engine_observer import EngineObserver
from proxy.errors import SessionError
from proxy.observability.stages import at_the_warehouse
from proxy.queries import Caller, CubeQuery
from proxy.rows.array_values import array_values
from proxy.sources import EncodedSource, RowSource
from proxy.warehouse.warehouse import Asking, DataSources
from proxy.wire.oids import TYPES
from semantic.compiler.api import CompiledStatement, Fetch, Placeholder

Parameters = tuple[Parameter, ...]
_Asked = tuple[Fetch, Asking]


@dataclass(frozen=True, slots=True)
class Bound:
    """A compiled statement with what is bound to its placeholders.

    Attributes:
        parameters: of the statement.
        fetched: of each of its fetches.
    """

    compiled: CompiledStatement
    parameters: Parameters
    fetched: tuple[Parameters, ...]


@dataclass(frozen=True, slots=True)
class Warehouses:
    """The warehouses by data source, and the stage.

    Attributes:
        connectors: what tells of their capabilities.
        sources: what runs statements, in turn and within limits.
    """

    connectors: dict[str, Connector]
    sources: DataSources
    stage: Stage
    observer: EngineObserver

    async def close(self) -> None:
        """Stop what runs."""
        await self.stage.close()
        await self.sources.close()
        for connector in self.connectors.values():
            await connector.close()

    def encodes(self, compiled: CompiledStatement) -> bool:
        """Whether the warehouse can write rows as they go to the client."""
        if compiled.fetches:
            return False
        return self.connectors[compiled.data_source].capabilities.encoded_rows

    async def bind(self, query: CubeQuery, values: Sequence[object], caller: Caller) -> Bound:
        """What to bind: the client's values, rows of temporary tables, and what policies say."""
        compiled = query.compiled
        if compiled.temporary:
            if caller.own is None:
                raise SessionError("XX000", "the temporary tables are gone")
            # Those that fetch do not read them.
            capabilities = self.connectors[compiled.data_source].capabilities
            text = capabilities.array_texts and not compiled.fetches
            arrays = await caller.own.arrays(compiled.temporary, text=text)
            kinds = [item.type.name for item in compiled.temporary]
            values = (*values, *await asyncio.to_thread(array_values, arrays, kinds, text=text))
        fetched = tuple(_bound(fetch.parameters, values) for fetch in compiled.fetches)
        return Bound(compiled, _bound(compiled.parameters, values), fetched)

    async def execute(self, bound: Bound, caller: Caller) -> BatchStream:
        """Start a statement, its rows as Arrow batches."""
        compiled, zone = bound.compiled, caller.semantic.time_zone
        with self._observed(compiled):
            if compiled.fetches:
                stream = await self.stage.execute(
                    self._fetching(bound, caller),
                    compiled.sql,
                    bound.parameters,
                    time_zone=zone,
                    timeout=caller.statement_timeout,
                )
            else:
                asking = _asking(compiled, compiled, bound.parameters, caller)
                stream = await self.sources.of(compiled.data_source).execute(asking)
        return DiscreetBatches(stream) if compiled.governed else stream

    async def relay(self, bound: Bound, result_formats: Sequence[int], caller: Caller) -> RowSource:
        """Rows that the warehouse itself writes as they go to the client."""
        compiled = bound.compiled
        with self._observed(compiled):
            asking = _asking(compiled, compiled, bound.parameters, caller)
            source = self.sources.of(compiled.data_source)
            stream = await source.stream_rows(asking, result_formats)
        if compiled.governed:
            stream = DiscreetRows(stream)
        rows = EncodedSource(stream)
        announced = [TYPES[item.type.name].oid for item in compiled.columns]
        described = zip(stream.type_oids, announced, result_formats, strict=True)
        if not all(_is_announced(*column) for column in described):
            await rows.close()
            raise SessionError("XX000", "the warehouse returned other types than announced")
        return rows

    def snapshots(self, compiled: CompiledStatement) -> Mapping[str, bool]:
        """The data sources that are fetched from: whether all fetches of one see one state."""
        fetched = [fetch.data_source for fetch in compiled.fetches]
        return {
            name: fetched.count(name) == 1 or self.connectors[name].capabilities.snapshots
            for name in fetched
        }

    def _fetching(self, bound: Bound, caller: Caller) -> list[Fetching]:
        whole = bound.compiled
        asked: dict[str, list[_Asked]] = {}
        for fetch, parameters in zip(whole.fetches, bound.fetched, strict=True):
            asking = _asking(fetch, whole, parameters, caller)
            asked.setdefault(fetch.data_source, []).append((fetch, asking))
        fetching: list[Fetching] = []
        for name, fetches in asked.items():
            if len(fetches) > 1 and self.connectors[name].capabilities.snapshots:
                fetching.append(self._in_one_snapshot(name, fetches, caller))
            else:
                execute = self.sources.of(name).execute
                tables = [_table(each, partial(execute, ask), caller) for each, ask in fetches]
                fetching += apart(tables)
        return fetching

    @asynccontextmanager
    async def _in_one_snapshot(
        self, data_source: str, fetches: Sequence[_Asked], caller: Caller
    ) -> AsyncIterator[Sequence[StageTable]]:
        source = self.sources.of(data_source)
        async with source.snapshot([asking for _, asking in fetches]) as starts:
            pairs = zip(fetches, starts, strict=True)
            yield [_table(fetch, start, caller) for (fetch, _), start in pairs]

    @contextmanager
    def _observed(self, compiled: CompiledStatement) -> Iterator[None]:
        try:
            with at_the_warehouse():
                yield
        except WarehouseError as error:
            self.observer.warehouse_error(compiled.data_source, error.sqlstate)
            if compiled.governed:
                raise withheld(error) from None
            raise


def _table(fetch: Fetch, start: Callable[[], Awaitable[BatchStream]], caller: Caller) -> StageTable:
    columns = tuple(
        StageColumn(column.name, column.type.name, stored)
        for column, stored in zip(fetch.columns, fetch.stored, strict=True)
    )
    return StageTable(
        fetch.table,
        columns,
        start,
        f"{fetch.kind} of data source {fetch.data_source}",
        fetch.reason if caller.scope.is_whole else "the data source does no more",
    )


def _asking(
    statement: CompiledStatement | Fetch,
    whole: CompiledStatement,
    parameters: Parameters,
    caller: Caller,
) -> Asking:
    """A statement for its data source.

    Args:
        statement: what is asked of the data source.
        whole: what that is a part of, or the same.
        parameters: of the statement.
        caller: on whose behalf.
    """
    return Asking(
        statement.sql,
        parameters,
        caller.security.user,
        caller.security.roles,
        caller.semantic.time_zone,
        caller.statement_timeout,
        caller.progress,
        # The tables of a pre-aggregation are swapped, which a copy may not have heard of.
        late=not whole.rollups,
        cubes=whole.cubes,
    )


def _is_announced(oid: int, announced: int, code: int) -> bool:
    """Whether a column is of the type announced; the text of the warehouse's own types is text."""
    is_own = oid >= FIRST_USER_OID and announced == TYPES["text"].oid and code == 0
    return oid == announced or is_own


def _bound(placeholders: Sequence[Placeholder], values: Sequence[object]) -> Parameters:
    return tuple(Parameter(use.type.name, use.of(values)) for use in placeholders)
