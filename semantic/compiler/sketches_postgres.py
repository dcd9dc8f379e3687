"""Estimated percentiles in PostgreSQL's own SQL, no extension needed: DDSketch.

Values are rounded to the middles of buckets that grow by a factor. Of rows the estimate is then the
exact percentile of the rounded values, which PostgreSQL sorts on disk where it must. What is stored
of a group is a text of buckets and counts (``171074:3,171080:1``); merged, they are counted and the
very same percentile of theirs is looked up, so that both give the same number.

The aggregates within a sketch are called by their qualified names, which keeps them from being
taken for aggregates over the rows of the statement.
"""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp, parse_one

from semantic.compiler.trees import enclose, rebuild

SCHEMA = "pg_catalog"
"""Of those aggregates."""

_MARK = "fn__"

_LARGEST = "709.782712893384"
_SMALLEST = "-744.4"
"""Logarithms of the largest and smallest numbers that there are."""


class PercentileSketch:
    """DDSketch in PostgreSQL.

    Args:
        log_gamma: logarithm of the factor that buckets grow by.
        log_middle: of the middle of a bucket, as a factor of its upper end.
        zero: the number of the bucket of 0.
        first: the distance from it to the buckets of the values about 1.
        infinite: the distance from it to the buckets of the infinities; NaN's is one further.
    """

    def __init__(
        self, log_gamma: float, log_middle: float, zero: int, first: int, infinite: int
    ) -> None:
        gamma = f"CAST('{log_gamma!r}' AS DOUBLE PRECISION)"
        middle = f"CAST('{log_middle!r}' AS DOUBLE PRECISION)"

        def number(value: str) -> str:
            return f"ceil(ln({value}) / {gamma})"

        def value(number: str) -> str:
            exponent = f"({number}) * {gamma} + {middle}"
            return f"exp(LEAST(GREATEST({exponent}, {_SMALLEST}), {_LARGEST}))"

        self._rounded = (
            f"CASE WHEN _1 > 0 AND _1 < 'Infinity' THEN {value(number('_1'))}"
            f" WHEN _1 < 0 AND _1 > '-Infinity' THEN -{value(number('-_1'))} ELSE _1 END"
        )
        bucket = (
            f"CASE WHEN _1 = 'NaN' THEN {zero + infinite + 1}"
            f" WHEN _1 = 'Infinity' THEN {zero + infinite}"
            f" WHEN _1 = '-Infinity' THEN {zero - infinite}"
            f" WHEN _1 > 0 THEN {zero + first} + {number('_1')}"
            f" WHEN _1 < 0 THEN {zero - first} - {number('-_1')}"
            f" WHEN _1 = 0 THEN {zero} END"
        )
        self._bucket = f"CAST({bucket} AS INT)"
        self._sketch = (
            "(SELECT pg_catalog.string_agg(cw_s.b || ':' || cw_s.c, ',') FROM ("
            "SELECT cw_b.b, pg_catalog.count(cw_b.b) AS c FROM UNNEST(_1) AS cw_b(b)"
            " WHERE NOT cw_b.b IS NULL GROUP BY cw_b.b) AS cw_s)"
        )
        found = (
            f"CASE WHEN cw_t.b = {zero + infinite + 1} THEN CAST('NaN' AS DOUBLE PRECISION)"
            f" WHEN cw_t.b = {zero + infinite} THEN CAST('Infinity' AS DOUBLE PRECISION)"
            f" WHEN cw_t.b = {zero - infinite} THEN CAST('-Infinity' AS DOUBLE PRECISION)"
            f" WHEN cw_t.b > {zero} THEN {value(f'cw_t.b - {zero + first}')}"
            f" WHEN cw_t.b < {zero} THEN -{value(f'{zero - first} - cw_t.b')}"
            " ELSE CAST(0 AS DOUBLE PRECISION) END"
        )
        self._merged = (
            "(SELECT pg_catalog.percentile_cont(cw_q.r - floor(cw_q.r)) FROM ("
            f"SELECT cw_t.r, {found} AS v FROM ("
            "SELECT cw_s.b, cw_s.c, pg_catalog.sum(cw_s.c) OVER (ORDER BY cw_s.b) AS upto,"
            " _2 * (pg_catalog.sum(cw_s.c) OVER () - 1) AS r FROM ("
            "SELECT CAST(split_part(cw_e.e, ':', 1) AS INT) AS b,"
            " CAST(pg_catalog.sum(CAST(split_part(cw_e.e, ':', 2) AS BIGINT))"
            " AS DOUBLE PRECISION) AS c"
            " FROM UNNEST(string_to_array(_1, ',')) AS cw_e(e)"
            " GROUP BY CAST(split_part(cw_e.e, ':', 1) AS INT)) AS cw_s) AS cw_t"
            " WHERE cw_t.upto > floor(cw_t.r)"
            " AND cw_t.upto - cw_t.c <= ceil(cw_t.r)) AS cw_q GROUP BY cw_q.r)"
        )

    def estimate(self, value: exp.Expr, fraction: float) -> exp.Expr:
        """The estimate over rows, of double precision."""
        call = exp.PercentileCont(this=_number(fraction))
        order = exp.Order(expressions=[exp.Ordered(this=_filled(self._rounded, value))])
        return exp.WithinGroup(this=call, expression=order)

    def estimated(self, node: exp.Expr) -> tuple[exp.Expr, float] | None:
        """The value and the fraction of what ``estimate`` made; None for any other node."""
        if not isinstance(node, exp.WithinGroup) or not isinstance(node.this, exp.PercentileCont):
            return None
        rounded = node.expression.expressions[0].this
        if not isinstance(rounded, exp.Case) or not isinstance(
            rounded.args.get("default"), exp.Expr
        ):
            return None
        value, fraction = rounded.args["default"], node.this.this
        if not isinstance(fraction, exp.Cast) or rounded != _filled(self._rounded, value):
            return None
        return value, float(fraction.this.name)

    def stored(self, value: exp.Expr) -> exp.Expr:
        """The sketch of a group's values."""
        return _filled(self._sketch, exp.ArrayAgg(this=_filled(self._bucket, value)))

    def merged(self, sketches: exp.Expr, fraction: float) -> exp.Expr:
        """What stands for ``estimate``, over an aggregate that joins sketches by commas."""
        return _filled(self._merged, sketches, _number(fraction))


def joined(sketch: exp.Expr) -> exp.Expr:
    """The aggregate that joins the sketches of groups."""
    return exp.GroupConcat(this=sketch, separator=exp.Literal.string(","))


def _number(value: float) -> exp.Expr:
    kind = exp.DataType(this=exp.DType.DOUBLE, nested=False)
    return exp.Cast(this=exp.Literal.string(repr(value)), to=kind)


@lru_cache(maxsize=64)
def _parsed(text: str) -> exp.Expr:
    def named(node: exp.Expr) -> exp.Expr | None:
        """Calls by qualified names stay as they are written."""
        if not isinstance(node, exp.Anonymous) or not node.name.startswith(_MARK):
            return None
        name = f"{SCHEMA}.{node.name.removeprefix(_MARK)}"
        arguments = [rebuild(item, named) for item in node.expressions]
        call = exp.Anonymous(this=name, expressions=arguments)
        if not name.endswith(".percentile_cont"):
            return call
        # The library's own node for it would be an aggregate.
        order = exp.DataType(this=exp.DType.USERDEFINED, kind="WITHIN GROUP (ORDER BY cw_q.v)")
        return exp.ColumnDef(this=call, kind=order)

    marked = text.replace(f"{SCHEMA}.", _MARK)
    return rebuild(parse_one(marked, read="postgres"), named)


def _filled(text: str, *operands: exp.Expr) -> exp.Expr:
    """A template's tree with operands in place of ``_1`` and ``_2``."""
    places = {f"_{number}": item for number, item in enumerate(operands, 1)}

    def replace(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column) and not node.args.get("table") and node.name in places:
            return enclose(places[node.name]).copy()
        return None

    return rebuild(_parsed(text), replace)
