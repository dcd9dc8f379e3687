"""Measures taken apart into aggregates whose values can be stored and aggregated again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.aggregate_trees import is_aggregate
from semantic.compiler.rollups.trees import bare
from semantic.compiler.sketches import IN_POSTGRES, counts_of, hll_schema, is_counted
from semantic.compiler.sketches_postgres import SCHEMA
from semantic.compiler.trees import copied, enclose, rebuild
from semantic.model.types import FLOAT8, PostgresType

Function = Literal["sum", "count", "min", "max", "avg", "distinct", "hll", "ddsketch"]

_FUNCTIONS: tuple[tuple[type[exp.Expr], Function], ...] = (
    (exp.Sum, "sum"),
    (exp.Count, "count"),
    (exp.Min, "min"),
    (exp.Max, "max"),
    (exp.Avg, "avg"),
    (exp.ApproxDistinct, "hll"),
)
SKETCHES = frozenset({"hll", "ddsketch"})


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate over the rows of a group.

    Attributes:
        function: what is computed; ``distinct`` counts the different values, a sketch estimates it.
        value: of a row; of a sketch its hash or bucket, where the warehouse does not see to that.
        schema: where a PostgreSQL warehouse has the functions of a sketch.
        fraction: of a percentile that is read of a sketch there.
    """

    function: Function
    value: exp.Expr
    schema: str = ""
    fraction: float | None = None


class NotStorableError(ValueError):
    """A measure of which no part can be aggregated again; the message says why."""


def aggregate_calls(formula: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost aggregate calls of a formula in the warehouse's dialect, stages' included."""
    if is_aggregate(formula) or is_counted(formula):
        yield formula
        return
    for child in formula.iter_expressions():
        yield from aggregate_calls(child)


def read_aggregate(call: exp.Expr) -> Aggregate:
    """What an aggregate call computes.

    A FILTER clause is as good as a value that is NULL elsewhere.

    Raises:
        NotStorableError: its values for parts of a group do not give that of the group.
    """
    counts = counts_of(call)
    if counts is not None:
        return _counted(counts)
    if isinstance(call, exp.Filter):
        return _filtered(read_aggregate(call.this), call)
    schema = hll_schema(call)
    if schema:
        return Aggregate("hll", bare(call.expressions[0]), schema)
    estimated = IN_POSTGRES.estimated(call)
    if estimated is not None:
        value, fraction = estimated
        return Aggregate("ddsketch", bare(value), SCHEMA, fraction)
    function = next((name for kind, name in _FUNCTIONS if type(call) is kind), None)
    if function is None or len(call.expressions):
        raise NotStorableError(f"{_name(call)} cannot be computed from parts")
    value = call.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1 or function in {"sum", "avg"}:
            raise NotStorableError(f"{_name(call)}(DISTINCT ...) cannot be computed from parts")
        value = value.expressions[0]
        function = "distinct" if function == "count" else function
    if isinstance(value, exp.Star):
        value = exp.Literal.number(1)
    if value.find(exp.Order, exp.Window, exp.Select):
        raise NotStorableError(f"{_name(call)} over such a value cannot be computed from parts")
    return Aggregate(function, bare(value))


def _filtered(inner: Aggregate, call: exp.Filter) -> Aggregate:
    condition = enclose(call.expression.this)
    chosen = exp.Case(ifs=[exp.If(this=condition, true=inner.value)])
    return replace(inner, value=copied(chosen))


def _counted(call: exp.Expr) -> Aggregate:
    """Counts of the buckets of a percentile's sketch."""
    if isinstance(call, exp.Filter):
        return _filtered(_counted(call.this), call)
    return Aggregate("ddsketch", bare(call.expressions[0]))


def _name(call: exp.Expr) -> str:
    if isinstance(call, exp.WithinGroup):
        call = call.this
    return call.sql_name() if isinstance(call, exp.Func) else call.name.upper()


def with_values(tree: exp.Expr, values: dict[str, exp.Expr], table: str) -> exp.Expr:
    """A formula with the values of a relation's columns in their place."""

    def replace(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column):
            name = node.args.get("table")
            if isinstance(name, exp.Identifier) and name.this == table:
                return enclose(values[node.name])
        return None

    made = rebuild(tree, replace)
    return bare(made)


def as_double(value: exp.Expr) -> exp.Expr:
    """A number in double precision."""
    return exp.Cast(this=value, to=exp.DataType(this=exp.DType.DOUBLE, nested=False))


def needed_parts(aggregate: Aggregate, kind: PostgresType) -> tuple[Aggregate, ...]:
    """The aggregates that give this one when they are aggregated again.

    Args:
        aggregate: what is wanted.
        kind: the type of its value, as far as it is known.
    """
    if aggregate.function != "avg":
        return (replace(aggregate, fraction=None),)
    value = aggregate.value
    if kind.name == FLOAT8.name:
        # The average of single precision numbers is one of double precision.
        value = as_double(value)
    return (Aggregate("sum", value), Aggregate("count", aggregate.value))
