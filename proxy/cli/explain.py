"""``cubewire explain``: the plan of a statement."""

from __future__ import annotations

import argparse
from typing import Any

from proxy.cli.statement import run_statement
from proxy.explained import explain_document, explain_text
from semantic.compiler.api import CompiledStatement


def run(arguments: argparse.Namespace) -> int:
    """Print the resolved members, joins and filters, one line per node, then the SQL."""
    return run_statement(arguments, _render, _as_json)


def _render(compiled: CompiledStatement) -> str:
    return "\n".join(explain_text(compiled))


def _as_json(compiled: CompiledStatement) -> dict[str, Any]:
    return explain_document(compiled)
