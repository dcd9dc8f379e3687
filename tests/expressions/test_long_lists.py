"""Lists as long as object-relational mappers write them: ``IN ($1, ..., $9000)``."""

from __future__ import annotations

import gc
import time

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.postgres import translate
from semantic.compiler.parse import parse
from semantic.model.types import PostgresType

BIGINT = PostgresType("int8")
SETTINGS = SessionSettings("tester", "cubewire")


class Numbers(TypeEnvironment):
    """All columns and parameters are whole numbers."""

    def column(self, node: exp.Column) -> PostgresType:
        return BIGINT

    def parameter(self, index: int) -> PostgresType:
        return BIGINT

    def subquery(self, node: exp.Expr) -> PostgresType:
        return BIGINT

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        return (BIGINT,)


def seconds(parameters: int) -> float:
    listed = ", ".join(f"${number + 1}" for number in range(parameters))
    tree = parse(f"SELECT id IN ({listed}) FROM orders").tree
    assert isinstance(tree, exp.Select)
    gc.disable()  # it looks at all that other tests have left
    try:
        started = time.process_time()
        found = translate(tree.expressions[0], Numbers(), SETTINGS)
        taken = time.process_time() - started
    finally:
        gc.enable()
    assert len(found.expressions) == parameters
    return taken


def test_what_a_parameter_costs_does_not_depend_on_how_many_there_are() -> None:
    few = min(seconds(2_000) for _ in range(3))
    many = min(seconds(16_000) for _ in range(3))
    # Eight times the time, and sixty-four times were it to grow with the square.
    assert many / few < 32
