"""What is said of functions is what the tests show."""

from __future__ import annotations

from proxy.function_support import DUCKDB
from tests.expressions import support_table


def test_the_module_is_the_tests() -> None:
    assert support_table.statuses() == DUCKDB


def test_readme_has_the_table() -> None:
    readme = support_table.README.read_text()
    assert support_table.replaced(readme) == readme


def test_every_rule_is_held_to_postgres() -> None:
    assert support_table.untested() == []
