"""Stored parts aggregated again: what an aggregate over rows is over groups of those rows."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.rollups.aggregates import Aggregate
from semantic.compiler.rollups.blueprint import Part
from semantic.compiler.rollups.stored_query import cast
from semantic.compiler.rollups.trees import bare
from semantic.compiler.sketches import IN_POSTGRES, merged_distinct, merged_percentile
from semantic.compiler.sketches_postgres import joined
from semantic.compiler.trees import copied
from semantic.model.types import FLOAT8, INT8, PostgresType


def combined(
    wanted: Aggregate,
    parts: tuple[tuple[Part, exp.Column], ...],
    kind: PostgresType | None,
    condition: exp.Expr | None,
    *,
    exact: bool,
) -> exp.Expr | None:
    """An aggregate of rows as an expression over the parts of groups of them.

    Args:
        wanted: the aggregate.
        parts: as ``needed_parts`` names them, with the columns that hold them.
        kind: the type of the aggregate's value, as far as it is known.
        condition: of FILTER.
        exact: types are PostgreSQL's; otherwise the warehouse's own, whose sums do not widen.

    Returns:
        None where there is no exact form.
    """

    def over(call: exp.Expr) -> exp.Expr:
        if condition is None:
            return call
        return exp.Filter(this=call, expression=exp.Where(this=copied(condition)))

    part, value = parts[0]
    match wanted.function:
        case "sum":
            total = over(exp.Sum(this=value))
            return cast(total, INT8) if exact and part.column.type == INT8 else total
        case "count":
            return count_of(over(exp.Sum(this=value)))
        case "min":
            return over(exp.Min(this=value))
        case "max":
            return over(exp.Max(this=value))
        case "avg":
            return _average(over(exp.Sum(this=value)), over(exp.Sum(this=parts[1][1])), kind, exact)
        case "hll":
            return merged_distinct(value, part.aggregate.schema)
        case "ddsketch":
            if wanted.fraction is not None:
                return IN_POSTGRES.merged(over(joined(value)), wanted.fraction)
            return merged_percentile(value)
    return None


def count_of(total: exp.Expr) -> exp.Expr:
    """A total of counts, which is 0 of no groups."""
    zero = exp.Literal.number(0)
    return cast(exp.Coalesce(this=total, expressions=[zero]), INT8)


def _average(
    total: exp.Expr, rows: exp.Expr, kind: PostgresType | None, exact: bool
) -> exp.Expr | None:
    if kind is None or kind.name not in {"numeric", "float8"}:
        return None
    if kind != FLOAT8 and not exact:
        # An average of the warehouse's own, with digits of its own.
        return None
    divisor: exp.Expr = exp.Nullif(this=rows, expression=exp.Literal.number(0))
    if kind == FLOAT8:
        divisor = cast(divisor, FLOAT8)
    # As in the client's text: the division of NULL by NULL is NULL.
    return exp.Paren(this=exp.Div(this=total, expression=divisor, typed=True))


def is_small_number(node: exp.Expr) -> bool:
    """Whether a value is an integer that is written out, or a choice among such (or NULL)."""
    node = bare(node)
    if isinstance(node, exp.Case):
        values = [item.args["true"] for item in node.args["ifs"]]
        values += [node.args["default"]] if node.args.get("default") is not None else []
        return all(isinstance(bare(v), exp.Null) or is_small_number(v) for v in values)
    is_number = isinstance(node, exp.Literal) and not node.is_string
    return is_number and node.name.isdigit() and len(node.name) < len("2147483647")


_IDEMPOTENT = (exp.Min, exp.Max, exp.LogicalAnd, exp.LogicalOr, exp.BitwiseAndAgg, exp.BitwiseOrAgg)


def ignores_duplicates(call: exp.Expr) -> bool:
    """Whether an aggregate is the same however often a value occurs."""
    if isinstance(call, exp.Anonymous):
        return call.name.lower() == "every" or any(
            isinstance(item, exp.Distinct) for item in call.expressions
        )
    if isinstance(call, _IDEMPOTENT) and not call.expressions:
        return True
    argument = call.this
    if isinstance(argument, exp.Order):
        argument = argument.this
    return isinstance(argument, exp.Distinct)
