"""``cubewire explain``: the plan of a statement."""

from __future__ import annotations

import argparse
from typing import Any

from proxy.cli.statement import run_statement
from semantic.compiler.api import CompiledStatement


def run(arguments: argparse.Namespace) -> int:
    """Print the resolved members, joins and filters, one line per node, then the SQL."""
    return run_statement(arguments, _render, _as_json)


def _render(compiled: CompiledStatement) -> str:
    return f"{compiled.plan}\nData source: {compiled.data_source}\nSQL: {compiled.sql}"


def _as_json(compiled: CompiledStatement) -> dict[str, Any]:
    return {
        "plan": compiled.plan.splitlines(),
        "data_source": compiled.data_source,
        "sql": compiled.sql,
        "relations": list(compiled.relations),
    }
