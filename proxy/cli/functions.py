"""``cubewire functions``: what is exact on which warehouse."""

from __future__ import annotations

import argparse
import json

from proxy.function_support import DUCKDB

_SHOWN = {"exact": "exact", "rounded": "up to rounding", "refused": "refused"}


def run(arguments: argparse.Namespace) -> int:
    """Print a row a function; with names, only theirs. Exits 1 where none of them is known."""
    wanted = {name.lower() for name in arguments.names}
    rows = [
        (group, name, status, examples)
        for group, names in DUCKDB.items()
        for name, (status, examples) in names.items()
        if not wanted or name.lower() in wanted
    ]
    if arguments.format == "json":
        print(json.dumps([_as_object(*row) for row in rows], indent=1))
    else:
        _print_table(rows)
    return 0 if rows else 1


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
