"""Who is told what the engine does."""

from __future__ import annotations

from typing import Protocol

from proxy.warehouse.warehouse import WarehouseObserver


class EngineObserver(WarehouseObserver, Protocol):
    """Counts what the engine does: the metrics."""

    def statement_cache(self, *, hit: bool) -> None:
        """A compiled statement was looked up."""

    def result_cache(self, outcome: str) -> None:
        """A statement's rows came from there (``proxy.cache.results.Outcome``)."""

    def rollups(self, outcome: str) -> None:
        """A statement was answered from pre-aggregations, or was not for a reason."""

    def warehouse_error(self, data_source: str, sqlstate: str) -> None:
        """A warehouse refused or failed."""
