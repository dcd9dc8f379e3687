"""Sketches: small summaries of a group's values that give an estimate, and can be merged.

Both kinds merge without loss: the sketch of a group is the same whether it is made of rows or of
the sketches of parts of the group, in any order. So an estimate does not depend on where it is
computed, and a rollup answers with the very number that the source would give.

- Distinct counts are HyperLogLog: DuckDB's own (1,024 registers, standard error 3.25 %), or that of
  PostgreSQL's extension ``hll`` (4,096 registers, 1.63 %, exact for small groups).
- Percentiles are DDSketch: values are counted in buckets that grow by a factor, so that the middle
  of a bucket is within 1 % of every value in it. ``sketches_postgres`` does in PostgreSQL what is
  done here in DuckDB.

A measure is estimated only if it is declared approximate and some rollup of its cube stores it.
"""

from __future__ import annotations

import math

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import call, sql
from semantic.compiler.sketches_postgres import PercentileSketch
from semantic.model.members import Measure
from semantic.model.relations import Cube

RELATIVE_ERROR = 0.01
"""Of an estimated percentile, at most."""
HLL_LOG2_REGISTERS = 12
"""Of a sketch in PostgreSQL; standard error is 1.04 / sqrt(registers)."""

_LOG_GAMMA = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
# The middle of a bucket, as a factor of its upper end.
_LOG_MIDDLE = math.log(1 - RELATIVE_ERROR)
# Buckets are numbered by the order of their values: 0 is in the middle, then positive numbers of
# any exponent, infinity, NaN; negative ones likewise on the other side.
_ZERO = 131_072
_FIRST = 40_000
_INFINITE = 100_000
_BUCKET = f"""CAST(CASE WHEN isnan(_1) THEN {_ZERO + _INFINITE + 1}
  WHEN isinf(_1) THEN {_ZERO} + {_INFINITE} * sign(_1)
  WHEN _1 > 0 THEN {_ZERO + _FIRST} + ceil(ln(_1) / {_LOG_GAMMA!r})
  WHEN _1 < 0 THEN {_ZERO - _FIRST} - ceil(ln(-_1) / {_LOG_GAMMA!r})
  WHEN _1 = 0 THEN {_ZERO} END AS INT)"""
IN_POSTGRES = PercentileSketch(_LOG_GAMMA, _LOG_MIDDLE, _ZERO, _FIRST, _INFINITE)
"""Percentiles there."""
# A bucket and how many values are in it, as one number.
_COUNT_BITS = 44
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_COUNTED = f"""list_transform(map_entries(_1),
  lambda e: (CAST(e.key AS BIGINT) << {_COUNT_BITS}) | CAST(e.value AS BIGINT))"""
_STEPS = ", ".join(str(1 << bit) for bit in range(17, -1, -1))
# Which value that is, counted from 0, between two of them.
_RANK = f"(FRACTION * (list_sum(list_transform(l, lambda e: e & {_COUNT_MASK})) - 1))"
# The last bucket before which there are at most r values, found bit by bit of its distance.
_AT = f"""list_reduce(
  list_slice([{_STEPS}],
    19 - length(bin((list_max(l) >> {_COUNT_BITS}) - (list_min(l) >> {_COUNT_BITS}))), 18),
  lambda cw_a, cw_d: CASE WHEN list_sum(list_transform(l, lambda e:
    CASE WHEN (e >> {_COUNT_BITS}) < cw_a + cw_d THEN e & {_COUNT_MASK} ELSE 0 END)) <= r
  THEN cw_a + cw_d ELSE cw_a END, list_min(l) >> {_COUNT_BITS})"""
_VALUE = f"""CASE WHEN b = {_ZERO} THEN CAST(0 AS DOUBLE)
  WHEN abs(b - {_ZERO}) > {_INFINITE} THEN CAST('NaN' AS DOUBLE)
  WHEN abs(b - {_ZERO}) = {_INFINITE} THEN (b - {_ZERO}) * CAST('Infinity' AS DOUBLE)
  ELSE sign(b - {_ZERO})
    * exp((abs(b - {_ZERO}) - {_FIRST}) * {_LOG_GAMMA!r} + {_LOG_MIDDLE!r}) END"""
_QUANTILE = f"""list_transform([_1], lambda l: CASE WHEN len(l) > 0 THEN list_reduce(
  list_transform(list_transform([floor({_RANK}), ceil({_RANK})], lambda r: {_AT}),
    lambda b: {_VALUE}),
  lambda cw_low, cw_high: CASE WHEN cw_low = cw_high THEN cw_low
    ELSE cw_low + ({_RANK} - floor({_RANK})) * (cw_high - cw_low) END) END)[1]"""
_MERGED_DISTINCT = """coalesce(finalize(combine_aggr(to_aggregate_state({
  'precision': CAST(10 AS UTINYINT), 'registers': _1}, 'approx_count_distinct', ['BIGINT']))), 0)"""
_HLL_STATE = 'STRUCT("precision" UTINYINT, registers UTINYINT[])'
_HLL_ADD = ".hll_add_agg"


def sketched(cube: Cube, measure: Measure) -> bool:
    """Whether a rollup of a cube stores a sketch of one of its measures."""
    names = ((measure.name,), ("CUBE", measure.name), (cube.name, measure.name))
    return measure.sketch is not None and any(
        reference.path in names
        for item in cube.pre_aggregations
        if item.type == "rollup" and item.table is None
        for reference in item.measures
    )


def estimate(measure: Measure, value: exp.Expr, dialect: str, schema: str) -> exp.Expr | None:
    """The estimate of a measure over rows, in the warehouse's dialect; None where it has none.

    Args:
        measure: declared approximate.
        value: of a row.
        dialect: of the warehouse.
        schema: where a PostgreSQL warehouse has the extension hll; empty for nowhere.
    """
    if measure.type == "count_distinct_approx":
        if dialect == "duckdb":
            return exp.ApproxDistinct(this=value)
        if not schema:
            return None
        return _cardinality(_hll_add(_hashed(value, schema), schema), schema)
    fraction = 0.5 if measure.type == "median" else measure.percentile
    if fraction is None:
        return None
    if dialect != "duckdb":
        return IN_POSTGRES.estimate(value, fraction)
    counts = _counted(call("histogram", sql(_BUCKET, value)))
    return sql(_QUANTILE.replace("FRACTION", f"CAST('{fraction!r}' AS DOUBLE)"), counts)


def is_estimate(formula: exp.Expr) -> bool:
    """Whether a measure's formula is one that ``estimate`` made in a warehouse's own SQL."""
    return any(
        isinstance(node, exp.ApproxDistinct) or is_counted(node) or hll_schema(node)
        for node in formula.walk()
    )


# What is stored, and what becomes of it.


def distinct_sketch(value: exp.Expr, schema: str) -> exp.Expr:
    """The sketch of a group's different values; in PostgreSQL the value is hashed already."""
    if schema:
        return _hll_add(value, schema)
    # The library has no node for a word behind a call of an aggregate, but one that looks so.
    state = exp.ColumnDef(this=exp.ApproxDistinct(this=value), kind=exp.Var(this="EXPORT_STATE"))
    fields = exp.Cast(this=state, to=exp.DataType.build(_HLL_STATE, dialect="duckdb"))
    return call("struct_extract", fields, exp.Literal.string("registers"))


def merged_distinct(sketch: exp.Expr, schema: str) -> exp.Expr:
    """What stands for the aggregate of ``estimate``, over the sketches of groups."""
    if schema:
        return exp.Anonymous(this=f"{schema}.hll_union_agg", expressions=[sketch])
    return sql(_MERGED_DISTINCT, sketch)


def percentile_sketch(value: exp.Expr, schema: str) -> exp.Expr:
    """The sketch of a group's values; in DuckDB their buckets are given."""
    if schema:
        return IN_POSTGRES.stored(value)
    return _counted(call("histogram", value))


def merged_percentile(sketch: exp.Expr) -> exp.Expr:
    """What stands for ``counted``, over the sketches of groups in DuckDB."""
    return call("flatten", call("list", sketch))


def is_counted(node: exp.Expr) -> bool:
    """Whether a node is the sketch within an estimated percentile: counts of its buckets."""
    aggregate = counts_of(node)
    return aggregate is not None and node == _counted(aggregate)


def counts_of(node: exp.Expr) -> exp.Expr | None:
    """The aggregate call, with its FILTER, in counts of buckets."""
    if not isinstance(node, exp.Anonymous) or node.name != "list_transform":
        return None
    entries = node.expressions[0]
    if not isinstance(entries, exp.Anonymous) or entries.name != "map_entries":
        return None
    aggregate: exp.Expr = entries.expressions[0]
    inner = aggregate.this if isinstance(aggregate, exp.Filter) else aggregate
    is_histogram = isinstance(inner, exp.Anonymous) and inner.name == "histogram"
    return aggregate if is_histogram else None


def hll_schema(node: exp.Expr) -> str:
    """The schema of the extension in a call that makes a sketch; empty for any other node."""
    if not isinstance(node, exp.Anonymous) or not node.name.endswith(_HLL_ADD):
        return ""
    return node.name.removesuffix(_HLL_ADD)


def _counted(aggregate: exp.Expr) -> exp.Expr:
    return sql(_COUNTED, aggregate)


def _hll_add(hashed: exp.Expr, schema: str) -> exp.Expr:
    registers = exp.Literal.number(HLL_LOG2_REGISTERS)
    return exp.Anonymous(this=f"{schema}{_HLL_ADD}", expressions=[hashed, registers])


def _hashed(value: exp.Expr, schema: str) -> exp.Expr:
    """A value's hash by the operator class of its type, so that equal values have the same."""
    row = exp.Anonymous(this="row", expressions=[value])
    number = exp.Anonymous(this="hash_record_extended", expressions=[row, exp.Literal.number(0)])
    hashed = exp.Anonymous(this=f"{schema}.hll_hash_bigint", expressions=[number])
    present = exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))
    return exp.Case(ifs=[exp.If(this=present, true=hashed)])


def _cardinality(sketch: exp.Expr, schema: str) -> exp.Expr:
    found = exp.Anonymous(this=f"{schema}.hll_cardinality", expressions=[sketch])
    known = exp.Coalesce(this=found, expressions=[exp.Literal.number(0)])
    return exp.Round(this=known)
