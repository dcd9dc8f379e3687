"""``cubewire functions``: what is exact on which warehouse, and what the configuration adds."""

from __future__ import annotations

import argparse
import json

from proxy.cli.configuration import UsageError, configuration, report
from proxy.config.functions import FunctionConfig
from proxy.function_support import DUCKDB

_SHOWN = {"exact": "exact", "rounded": "up to rounding", "refused": "refused"}


def run(arguments: argparse.Namespace) -> int:
    """Print a row a function; with names, only theirs. Exits 1 where none of them is known."""
    try:
        added = configuration(arguments).functions
    except UsageError as error:
        return report(error)
    wanted = {name.lower() for name in arguments.names}
    added = {name: item for name, item in added.items() if not wanted or name in wanted}
    rows = [
        (group, name, status, examples)
        for group, names in DUCKDB.items()
        for name, (status, examples) in names.items()
        if not wanted or name.lower() in wanted
    ]
    if arguments.format == "json":
        objects = [_as_object(*row) for row in rows]
        print(json.dumps([*objects, *(_added(*item) for item in added.items())], indent=1))
    else:
        _print_table(rows)
        for name, item in added.items():
            places = ", ".join(
                f"{there} on {source}" for source, there in item.data_sources.items()
            )
            print(f"  {name}({', '.join(item.arguments)}) {item.returns}: {places}")
    return 0 if rows or added else 1


def _added(name: str, function: FunctionConfig) -> dict[str, object]:
    """A function of the configuration."""
    return {
        "group": "configured",
        "name": name,
        "arguments": function.arguments,
        "returns": function.returns,
        "data_sources": function.data_sources,
    }


def _as_object(group: str, name: str, status: str, examples: tuple[str, ...]) -> dict[str, object]:
    """A function with what is refused on DuckDB, and what is equal up to rounding there."""
    return {
        "group": group,
        "name": name,
        "postgres": "exact",
        "duckdb": status,
        "duckdb_refused": [item for item in examples if not item.startswith("~ ")],
        "duckdb_rounded": [item[2:] for item in examples if item.startswith("~ ")],
    }


def _print_table(rows: list[tuple[str, str, str, tuple[str, ...]]]) -> None:
    """Aligned columns; what is refused of a function that is exact otherwise stands behind it."""
    last = ""
    for group, name, status, examples in rows:
        if group != last:
            print(f"{group.upper():32} {'PostgreSQL':12} DuckDB")
            last = group
        refused = [item for item in examples if not item.startswith("~ ")]
        rounded = [item[2:] for item in examples if item.startswith("~ ")]
        notes = f"; refused: {', '.join(refused)}" if refused else ""
        notes += f"; up to rounding: {', '.join(rounded)}" if rounded else ""
        print(f"  {name:30} {'exact':12} {_SHOWN[status]}{notes}")
