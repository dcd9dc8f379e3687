"""Runs compiled statements: on one warehouse, or over rows fetched from several."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from connectors.base import BatchStream, Connector, Parameter
from connectors.errors import WarehouseError
from connectors.stage import Stage, StageTable
from connectors.stage_tables import StageColumn
from proxy.discretion import DiscreetBatches, DiscreetRows, withheld
from proxy.engine_observer import EngineObserver
from proxy.errors import SessionError
from proxy.observability.stages import at_the_warehouse
from proxy.queries import Caller, CubeQuery
from proxy.rows.array_values import array_values
from proxy.sources import EncodedSource, RowSource
from proxy.wire.oids import TYPES
from semantic.compiler.api import CompiledStatement, Fetch, Placeholder

Parameters = tuple[Parameter, ...]


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
    """The warehouses by data source, and the stage."""

    connectors: dict[str, Connector]
    stage: Stage
    observer: EngineObserver

    async def close(self) -> None:
        """Stop what runs."""
        await self.stage.close()
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
                    self._tables(bound, caller),
                    compiled.sql,
                    bound.parameters,
                    time_zone=zone,
                    timeout=caller.statement_timeout,
                )
            else:
                stream = await self.connectors[compiled.data_source].execute(
                    compiled.sql,
                    bound.parameters,
                    time_zone=zone,
                    timeout=caller.statement_timeout,
                )
        return DiscreetBatches(stream) if compiled.governed else stream

    async def relay(self, bound: Bound, result_formats: Sequence[int], caller: Caller) -> RowSource:
        """Rows that the warehouse itself writes as they go to the client."""
        compiled = bound.compiled
        with self._observed(compiled):
            stream = await self.connectors[compiled.data_source].stream_rows(
                compiled.sql,
                bound.parameters,
                result_formats,
                time_zone=caller.semantic.time_zone,
                timeout=caller.statement_timeout,
            )
        if compiled.governed:
            stream = DiscreetRows(stream)
        source = EncodedSource(stream)
        if stream.type_oids != tuple(TYPES[item.type.name].oid for item in compiled.columns):
            await source.close()
            raise SessionError("XX000", "the warehouse returned other types than announced")
        return source

    def _tables(self, bound: Bound, caller: Caller) -> list[StageTable]:
        pairs = zip(bound.compiled.fetches, bound.fetched, strict=True)
        return [
            StageTable(
                fetch.table,
                tuple(
                    StageColumn(column.name, column.type.name, stored)
                    for column, stored in zip(fetch.columns, fetch.stored, strict=True)
                ),
                partial(self._fetch, fetch, parameters, caller),
                f"{fetch.kind} of data source {fetch.data_source}",
                fetch.reason if caller.scope.is_whole else "the data source does no more",
            )
            for fetch, parameters in pairs
        ]

    async def _fetch(self, fetch: Fetch, parameters: Parameters, caller: Caller) -> BatchStream:
        return await self.connectors[fetch.data_source].execute(
            fetch.sql,
            parameters,
            time_zone=caller.semantic.time_zone,
            timeout=caller.statement_timeout,
        )

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


def _bound(placeholders: Sequence[Placeholder], values: Sequence[object]) -> Parameters:
    return tuple(Parameter(use.type.name, use.of(values)) for use in placeholders)
