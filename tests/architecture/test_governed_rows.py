"""Rows of cubes are read through ``GovernedRows`` alone: there is no other way to a table."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.sources import Module, imports, modules

TABLES = "semantic.compiler.cube_tables"
"""Knows where the rows of cubes come from, whoever asks."""

MAY_ASK = {
    "semantic.compiler.governed_rows",
    # Make ``GovernedRows``, and hand the tables on to it.
    "semantic.compiler.callers",
    "semantic.compiler.probe",
}

ASKS_FOR_TABLES = {
    "semantic.compiler.governed_rows": 1,  # SQL of a cube within that of another
    "semantic.compiler.restriction": 2,  # joined cubes, and partners of inner joins
    "semantic.compiler.scan": 1,  # the root of every scan
}
"""Who calls ``table(cube, policies, ...)``, and how often."""


def test_nobody_else_knows_the_tables_of_cubes() -> None:
    found = {each.importer.name for each in imports() if each.module == TABLES}
    assert found == MAY_ASK


def test_the_sql_of_cubes_is_read_in_one_place() -> None:
    """``Cube.sql_table`` and ``Cube.sql`` as rows: nobody parses a template as a query besides."""
    found = {
        module.name
        for module in modules()
        if module.name.startswith("semantic.compiler")
        for call in _calls(module)
        if any(keyword.arg == "into_query" and _is_true(keyword.value) for keyword in call.keywords)
    }
    assert found == {TABLES}


def test_every_scan_asks_for_governed_tables() -> None:
    found: dict[str, int] = {}
    for module in modules():
        if not module.name.startswith("semantic.compiler"):
            continue
        for call in _calls(module):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if name == "table" and len(call.args) >= 2:
                found[module.name] = found.get(module.name, 0) + 1
    assert found == ASKS_FOR_TABLES


def test_scans_are_made_by_builders_and_of_stored_rows() -> None:
    """A ``Scan`` made elsewhere could have any table."""
    found = {
        module.name
        for module in modules()
        for call in _calls(module)
        if isinstance(call.func, ast.Name) and call.func.id == "Scan"
    }
    assert found == {"semantic.compiler.scan", "semantic.compiler.rollups.stored_source"}


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
