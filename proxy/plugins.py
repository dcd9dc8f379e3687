"""Connectors of other packages, which register under the entry points ``cubewire.connectors``.

``deploy/connector_template`` is such a package to start from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from connectors.base import Connector
from connectors.options import ConnectorOptionsError, nearest, read_options
from connectors.registry import open_connector
from proxy.config.sources import PluginSource, Source
from semantic.compiler.expressions import add_dialect
from semantic.compiler.expressions.portable.tables import Tables

GROUP = "cubewire.connectors"


@dataclass(frozen=True, slots=True)
class ConnectorPlugin:
    """What an entry point of the group names.

    Attributes:
        options: a dataclass of the options: fields of type str, int, float, bool or tuple of str.
        connector: makes the connector of such options, which is not started yet.
        tables: what its dialect does exactly as PostgreSQL, where Cubewire does not know it.
    """

    options: type
    connector: Callable[[Any], Connector]
    tables: Tables | None = None


def open_source(source: Source, options: dict[str, object]) -> Connector:
    """The connector of a data source; ``start`` opens it.

    Args:
        source: as it is configured.
        options: its options, which may have been completed.

    Raises:
        ConnectorOptionsError: an option is wrong, a driver or plug-in missing or broken.
    """
    if not isinstance(source, PluginSource):
        return open_connector(source.type, options)
    plugin = _load(source.plugin)
    checked: object = read_options(source.plugin, options, plugin.options)
    try:
        if plugin.tables is not None:
            add_dialect(plugin.tables)
        return plugin.connector(checked)
    except ConnectorOptionsError:
        raise
    except Exception as error:  # it is another's code, and may raise anything
        raise _broken(source.plugin, error) from error


def _load(name: str) -> ConnectorPlugin:
    found: dict[str, EntryPoint] = {each.name: each for each in entry_points(group=GROUP)}
    entry = found.get(name)
    if entry is None:
        known = nearest(name, found) if found else "no package registers any"
        raise ConnectorOptionsError(f"no connector {name!r} is installed: {known}")
    try:
        plugin = entry.load()
    except Exception as error:  # it is another's code, and may raise anything
        raise _broken(name, error) from error
    if not isinstance(plugin, ConnectorPlugin) or not is_dataclass(plugin.options):
        raise ConnectorOptionsError(
            f"the plug-in {name!r} ({entry.value}) is no proxy.plugins.ConnectorPlugin with a "
            "dataclass of options"
        )
    return plugin


def _broken(name: str, error: Exception) -> ConnectorOptionsError:
    return ConnectorOptionsError(
        f"the plug-in {name!r} cannot be used: {type(error).__name__}: {error}"
    )
