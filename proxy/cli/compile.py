"""``cubewire compile``: the warehouse's SQL of a statement."""

from __future__ import annotations

import argparse
from typing import Any

from proxy.cli.statement import run_statement
from semantic.compiler.api import CompiledStatement, ParameterUse


def run(arguments: argparse.Namespace) -> int:
    """Print what would be sent to the warehouse."""
    return run_statement(arguments, _render, _as_json)


def _render(compiled: CompiledStatement) -> str:
    lines = [f"-- {fetch.table}: {fetch.data_source}\n{fetch.sql};" for fetch in compiled.fetches]
    return "\n".join([*lines, compiled.sql])


def _as_json(compiled: CompiledStatement) -> dict[str, Any]:
    return {
        "data_source": compiled.data_source,
        "sql": compiled.sql,
        "parameters": [
            {"index": use.index + 1, "type": use.type.name}
            if isinstance(use, ParameterUse)
            else {"policy": True, "type": use.type.name}
            for use in compiled.parameters
        ],
        "columns": [{"name": column.name, "type": column.type.name} for column in compiled.columns],
        "relations": list(compiled.relations),
        "fetches": [
            {"table": fetch.table, "data_source": fetch.data_source, "sql": fetch.sql}
            for fetch in compiled.fetches
        ],
    }
