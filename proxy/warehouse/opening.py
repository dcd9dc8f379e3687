"""Puts the data sources together, as configured, over their connectors."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.base import Connector
from proxy.config import Config
from proxy.config.limits import SourceLimits
from proxy.warehouse.limits import all_limits
from proxy.warehouse.warehouse import DataSources, Warehouse, WarehouseObserver

_ESTIMATED = {"max_cost": "cost", "max_scanned_bytes": "bytes"}
"""Limits that need the warehouse to tell something of a statement before it runs."""


class LimitsError(ValueError):
    """The section ``limits`` wants what a data source cannot do."""


def open_sources(
    config: Config, connectors: Mapping[str, Connector], observer: WarehouseObserver
) -> DataSources:
    """The data sources of these connectors, and of those that a reload adds to them."""

    def make(name: str) -> Warehouse:
        limits = config.limits.get(name, SourceLimits())
        slots = limits.slots or _connections(config, name)
        return Warehouse(name, connectors[name], limits, slots, observer)

    sources = DataSources(make)
    for name in connectors:
        sources.of(name)  # whose health is seen before the first statement
    return sources


def check_limits(name: str, limits: SourceLimits | None, connector: Connector) -> None:
    """Raises LimitsError for a limit that cannot be kept."""
    if limits is None:
        return
    for key, what in _ESTIMATED.items():
        wanted = any(getattr(each, key) for each in all_limits(limits))
        if wanted and what not in connector.capabilities.estimates:
            raise LimitsError(
                f"limits.{name}.{key}: this kind of data source does not estimate a statement's "
                f"{what} before it is run"
            )


def _connections(config: Config, name: str) -> int:
    """How many statements a source runs at once, as its own section says; 0 where it does not."""
    source = config.data_sources.get(name)
    options = {} if source is None else source.options()
    own = (options.get(key) for key in ("pool_size", "quick_threads", "slow_threads"))
    return sum(number for number in own if isinstance(number, int))
