"""The query that a rollup's rows are the result of."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.emit_parts import postgres_data_type
from semantic.compiler.expressions.periods import Period
from semantic.compiler.granularities import truncated
from semantic.compiler.plan import MEASURE_TABLE, MeasureUse, Projection, Scan, Select
from semantic.compiler.rollups.aggregates import Aggregate
from semantic.compiler.rollups.blueprint import Key, Part
from semantic.compiler.rollups.grain import GRAINS, serves_every_zone
from semantic.compiler.sketches import distinct_sketch, percentile_sketch
from semantic.compiler.trees import column
from semantic.model.types import DATE, TIMESTAMP, TIMESTAMPTZ, PostgresType

# Since then the offsets of all time zones are whole quarters of an hour.
QUARTER_HOURS_SINCE = "1980-01-01 00:00:00+00"


def stored_query(scan: Scan, keys: tuple[Key, ...], parts: tuple[Part, ...]) -> Select:
    """A SELECT of the keys and parts over a scan that has a column of the same name for each.

    Truncation is by the clock of UTC: the query has to be compiled for that time zone.
    """
    values = {item.column.name: _key_value(scan, item) for item in keys}
    projections = [Projection(name, value) for name, value in values.items()]
    uses: list[MeasureUse] = []
    for part in parts:
        name = part.column.name
        projections.append(Projection(name, column(MEASURE_TABLE, f"{scan.alias}:{name}")))
        uses.append(
            MeasureUse(
                f"{scan.alias}:{name}",
                f"{part.column.relation}.{part.column.member}",
                scan.alias,
                _call(part.aggregate, column(scan.alias, name)),
                portable=False,
                type=part.column.type,
            )
        )
    return Select(tuple(projections), scan, group=tuple(values.values()), measures=tuple(uses))


def _call(aggregate: Aggregate, value: exp.Expr) -> exp.Expr:
    match aggregate.function:
        case "sum":
            return exp.Sum(this=value)
        case "count":
            return exp.Count(this=value, big_int=True)
        case "distinct":
            return exp.Count(this=exp.Distinct(expressions=[value]), big_int=True)
        case "min":
            return exp.Min(this=value)
        case "max":
            return exp.Max(this=value)
        case "hll":
            return distinct_sketch(value, aggregate.schema)
        case "ddsketch":
            return percentile_sketch(value, aggregate.schema)
        case "avg":
            raise TypeError(aggregate.function)


def _key_value(scan: Scan, key: Key) -> exp.Expr:
    value = column(scan.alias, key.column.name)
    return value if key.grain is None else stored_time(value, key, key.grain)


def stored_time(value: exp.Expr, key: Key, grain: Period) -> exp.Expr:
    """What is stored of a time: the start of its period by the clock of UTC."""
    if key.type.name == "date":
        return cast(_start(cast(value, TIMESTAMP), key, grain), DATE)
    start = _start(value, key, grain)
    if key.type.name != "timestamptz" or not serves_every_zone(grain):
        return start
    # Before that a quarter of an hour of UTC is none of every local clock.
    since = cast(exp.Literal.string(QUARTER_HOURS_SINCE), TIMESTAMPTZ)
    recent = exp.GTE(this=value, expression=since)
    return exp.Case(ifs=[exp.If(this=recent, true=start)], default=value)


def _start(value: exp.Expr, key: Key, grain: Period) -> exp.Expr:
    name = key.column.granularity or ""
    if GRAINS.get(name) == grain:
        field = exp.Literal.string(name)
        return exp.Anonymous(this="date_trunc", expressions=[field, value])
    return truncated(grain, value)


def cast(node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """A cast of an expression of a plan."""
    return exp.Cast(this=node, to=postgres_data_type(kind))
