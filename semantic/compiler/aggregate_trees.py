"""Aggregates in the model's own SQL, which is in the warehouse's dialect."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.trees import copied, enclose

# Aggregates of warehouses that sqlglot does not know as such.
_MORE_AGGREGATES = frozenset(
    {
        "arg_max",
        "arg_min",
        "argmax",
        "argmin",
        "bit_and",
        "bit_or",
        "bool_and",
        "bool_or",
        "combine_aggr",
        "entropy",
        "every",
        "favg",
        "fsum",
        "geomean",
        "histogram",
        "hll_add_agg",
        "hll_union_agg",
        "kurtosis",
        "list",
        "mad",
        "median",
        "mode",
        "product",
        "regr_avgx",
        "regr_avgy",
        "skewness",
        "weighted_avg",
    }
)


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node of a warehouse's dialect is an aggregate call with all its clauses."""
    if isinstance(node, exp.Filter | exp.WithinGroup):
        return True
    if isinstance(node, exp.Window | exp.Lag | exp.Lead):
        return False
    if isinstance(node, exp.AggFunc):
        return True
    if not isinstance(node, exp.Anonymous):
        return False
    return node.name.lower().rpartition(".")[2] in _MORE_AGGREGATES


def counts_duplicates(node: exp.Expr) -> bool:
    """Whether a node is an aggregate that a repeated row changes."""
    if not is_aggregate(node) or isinstance(node, exp.Filter):
        return False
    if isinstance(node, exp.Min | exp.Max | exp.LogicalAnd | exp.LogicalOr | exp.ApproxDistinct):
        return False
    return not isinstance(node.this, exp.Distinct)


def row_reading(node: exp.Expr) -> exp.Expr | None:
    """The value of a simple aggregate over one row; None where only running it says."""
    if isinstance(node, exp.Filter):
        reading = row_reading(node.this)
        condition = node.expression.this if isinstance(node.expression, exp.Where) else None
        if reading is None or condition is None:
            return None
        default = exp.Literal.number(0) if isinstance(node.this, exp.Count) else None
        return exp.Case(ifs=[exp.If(this=condition, true=reading)], default=default)
    if not isinstance(node, exp.Sum | exp.Avg | exp.Min | exp.Max | exp.Count):
        return None
    value = node.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1 or isinstance(node, exp.Avg | exp.Sum):
            return None
        value = value.expressions[0]
    if isinstance(node, exp.Count):
        return zero_or_one(enclose(value))
    return enclose(value)


def zero_or_one(value: exp.Expr) -> exp.Expr:
    """The count of one value."""
    is_null = exp.Is(this=value, expression=exp.Null())
    zero, one = exp.Literal.number(0), exp.Literal.number(1)
    return exp.Case(ifs=[exp.If(this=is_null, true=zero)], default=one)


def filtered(node: exp.Expr, condition: exp.Expr) -> exp.Expr | None:
    """An aggregate restricted by a FILTER condition, over and above the one it may have."""
    if not is_aggregate(node):
        return None
    condition = copied(condition)
    if isinstance(node, exp.Filter):
        both = exp.And(
            this=exp.Paren(this=copied(node.expression.this)),
            expression=exp.Paren(this=condition),
        )
        return exp.Filter(this=copied(node.this), expression=exp.Where(this=both))
    return exp.Filter(this=copied(node), expression=exp.Where(this=condition))
