"""What an aggregate of the client's SQL means over a measure (rules M1 to M3)."""

from __future__ import annotations

from typing import Literal

from sqlglot import exp

from semantic.compiler.measures import MeasureDefinition
from semantic.errors import SemanticError
from semantic.model.members import CALCULATED_TYPES
from semantic.model.types import FLOAT8, INT8, NUMERIC, PostgresType

MEASURE_FUNCTIONS = frozenset({"measure", "agg", "aggregate"})

# PostgreSQL's aggregates that the parser does not know as such.
_ANONYMOUS_AGGREGATES = MEASURE_FUNCTIONS | {
    "any_value",
    "bit_xor",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "var_pop",
    "var_samp",
    "xmlagg",
}

Reading = Literal["defined", "rows"]

_NUMERIC_RESULTS = frozenset(
    {
        "avg",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "variance",
        "variance_pop",
        "var_pop",
        "var_samp",
    }
)
_DISTINCT_COUNTS = frozenset({"count_distinct", "count_distinct_approx"})
_PERCENTILES = frozenset({"median", "percentile"})


def is_measure_call(node: exp.Expr) -> bool:
    """Whether a node is ``MEASURE(x)`` or one of its synonyms."""
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in MEASURE_FUNCTIONS
    return type(node).__name__ == "Agg"


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node is a call of an aggregate of PostgreSQL (also when it stands in a window)."""
    if isinstance(node, exp.AggFunc):
        return not isinstance(node, exp.Grouping)
    if isinstance(node, exp.WithinGroup):
        return True
    return isinstance(node, exp.Anonymous) and node.name.lower() in _ANONYMOUS_AGGREGATES


def contains_aggregate(node: exp.Expr) -> bool:
    """Whether an expression makes its SELECT grouped; subqueries and window calls do not count."""
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):
        call = node.this.this if isinstance(node.this, exp.Filter) else node.this
        inside = [
            item for key, value in node.args.items() if key != "this" for item in _nodes(value)
        ]
        return any(contains_aggregate(item) for item in (*call.iter_expressions(), *inside))
    if is_aggregate(node):
        return True
    return any(contains_aggregate(child) for child in node.iter_expressions())


def _nodes(value: object) -> list[exp.Expr]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, exp.Expr)]


def aggregate_name(node: exp.Expr) -> str:
    """``sum``, ``count``, ``count distinct``, ``avg``, ``min``, ``max``, or any other name."""
    if isinstance(node, exp.WithinGroup):
        node = node.this
    name = node.name.lower()
    if not isinstance(node, exp.Anonymous):
        name = (
            node.sql_name().lower() if isinstance(node, exp.Func) else type(node).__name__.lower()
        )
    distinct = isinstance(node.this, exp.Distinct) and name not in {"min", "max"}
    return f"{name} distinct" if distinct else name


def reading_of(
    aggregate: str, measure: MeasureDefinition, name: str, position: int | None
) -> Reading:
    """How an aggregate directly over a measure is meant: as defined, or over its row values.

    Raises:
        SemanticError: 42804, it is what a tool writes by default and nobody means.
    """
    kind = measure.type
    if kind in CALCULATED_TYPES:
        return "defined"
    matching: tuple[str, ...]
    if kind == "count":
        matching = ("sum", "count")
    elif kind in _DISTINCT_COUNTS:
        matching = ("count distinct",)
    else:
        matching = (kind,)
    if aggregate in matching:
        return "defined"
    if measure.is_staged:
        # What it is for a single row is hardly what anybody aggregates.
        raise meaningless(aggregate, measure, name, position)
    if kind == "sum" or (kind in {"avg", "min", "max"} and aggregate != "sum"):
        return "rows"
    raise meaningless(aggregate, measure, name, position)


def check_result(
    aggregate: str,
    measure: MeasureDefinition,
    kind: PostgresType,
    name: str,
    position: int | None,
) -> None:
    """Check that a measure's value can be what an aggregate is announced to give.

    Raises:
        SemanticError: 42804, as a count it would be rounded, and it is no array or document.
    """
    integers = {"int2", "int4", "int8"}
    counts = aggregate.startswith(("count", "regr_count")) and kind.name not in integers
    if counts or any(part in aggregate for part in ("array", "json", "xml", "bit", "range")):
        refusal = meaningless(aggregate, measure, name, position)
        refusal.hint = f"Write MEASURE({name}) to get its value over the rows of the group."
        raise refusal


def result_type(aggregate: str, kind: PostgresType) -> PostgresType:
    """PostgreSQL's type of SUM, AVG and the like over a column of that type."""
    if aggregate == "sum" and kind.name in {"int2", "int4"}:
        return INT8
    if aggregate == "sum" and kind.name == "int8":
        return NUMERIC
    if aggregate in _NUMERIC_RESULTS:
        return {"int2": NUMERIC, "int4": NUMERIC, "int8": NUMERIC, "float4": FLOAT8}.get(
            kind.name, kind
        )
    numbers = {"int2", "int4", "int8", "numeric", "float4"}
    return FLOAT8 if aggregate == "percentile_cont" and kind.name in numbers else kind


def check_over_expression(
    aggregate: str, measure: MeasureDefinition, name: str, position: int | None
) -> None:
    """Check that an aggregate may be taken over an expression that holds a measure's row value.

    Raises:
        SemanticError: 42804.
    """
    kind = measure.type
    if measure.is_staged:
        legal = False
    elif aggregate == "sum":
        legal = kind in {"sum", "count"}
    elif aggregate == "count":
        legal = kind not in CALCULATED_TYPES and kind not in _DISTINCT_COUNTS
    else:
        legal = kind in {"sum", "avg", "min", "max"}
    if not legal:
        raise meaningless(aggregate, measure, name, position)


def meaningless(
    aggregate: str, measure: MeasureDefinition, name: str, position: int | None
) -> SemanticError:
    """The refusal of an aggregate that does not fit a measure (M3)."""
    shown = aggregate.replace(" ", "(").upper() + ("(...))" if " " in aggregate else "(...)")
    return SemanticError(
        "42804",
        f'{shown} cannot be applied to "{name}", a measure of type {measure.type}',
        hint=f"Write MEASURE({name}) to get its value over the rows of the group, or set "
        "cubewire.measure_aggregates to 'defined'.",
        position=position,
    )
