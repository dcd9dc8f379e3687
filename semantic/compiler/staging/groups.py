"""A grouping SELECT as a grouping in the warehouse and a SELECT over its groups.

The groups stay the same, so nothing is aggregated twice: keys and aggregates become columns, and
HAVING, windows, DISTINCT, ORDER BY and LIMIT are over rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.plan import (
    MEASURE_TABLE,
    MeasureUse,
    Projection,
    Relation,
    Select,
    Subquery,
)
from semantic.compiler.plan_types import PlanTypes, subquery_key
from semantic.compiler.rewrite.tools import join_conditions, subquery_keys
from semantic.compiler.staging.closure import is_correlated
from semantic.compiler.trees import column, conjuncts, grouping_keys, rebuild, table_of
from semantic.model.types import FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC

_EXACT = frozenset(kind.name for kind in (INT2, INT4, INT8, NUMERIC))
_FLOATS = frozenset(kind.name for kind in (FLOAT4, FLOAT8))


class _NotOverGroupsError(Exception):
    """An expression is over more than keys and aggregates."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Both parts.

    Attributes:
        fetch: the grouping; its columns are keys and aggregates.
        rest: what is done with the groups; it has no source yet.
    """

    fetch: Select
    rest: Select

    def over(self, rows: Relation) -> Select:
        """The rest over the rows of the fetch."""
        return replace(self.rest, source=rows)


def group_apart(select: Select, alias: str, types: PlanTypes, *, averages: bool) -> Groups | None:
    """A grouping SELECT in two; None where more than keys and aggregates is asked of its groups.

    Args:
        select: with a source.
        alias: of the rows of the groups.
        types: of the plan that it stands in.
        averages: make them of sums and counts.
    """
    try:
        return _Apart(select, alias, types, averages).groups()
    except _NotOverGroupsError:
        return None


@dataclass(slots=True)
class _Apart:
    select: Select
    alias: str
    types: PlanTypes
    averages: bool
    columns: dict[exp.Expr, str] = field(default_factory=dict)
    keys: set[exp.Expr] = field(default_factory=set)

    def groups(self) -> Groups:
        select = self.select
        self.keys = {key for key in grouping_keys(select.group or ()) if key.find(exp.Column)}
        for key in self.keys:
            if any(table_of(item) == MEASURE_TABLE for item in key.find_all(exp.Column)):
                raise _NotOverGroupsError
        rest = replace(
            select,
            projections=tuple(
                replace(item, expression=self._placed(item.expression))
                for item in select.projections
            ),
            source=None,
            where=None if select.having is None else self._placed(select.having),
            group=None,
            having=None,
            windows=tuple((name, self._placed(node)) for name, node in select.windows),
            distinct_on=tuple(self._placed(node) for node in select.distinct_on),
            order=tuple(
                replace(key, expression=self._placed(key.expression)) for key in select.order
            ),
            measures=(),
        )
        rest = replace(rest, subqueries=tuple(_named(select.subqueries, _expressions(rest))))
        if any(is_correlated(item.query) for item in rest.subqueries):
            # They speak of the rows' own columns, which groups do not have.
            raise _NotOverGroupsError
        return Groups(self._fetch(), rest)

    def _fetch(self) -> Select:
        select = self.select
        wanted = {node.name for node in self.columns if _is_measure(node)}
        measures = tuple(use for use in select.measures if use.key in wanted)
        projections = [Projection(name, node) for node, name in self.columns.items()]
        below = [
            *self.columns,
            *(select.group or ()),
            *conjuncts(select.where),
            *join_conditions(select.source),
            *(use.filter for use in measures if use.filter is not None),
            *(use.formula for use in measures if use.portable),
        ]
        return Select(
            # A group that nothing is asked of is there all the same.
            projections=tuple(projections) or (Projection("rows", exp.Count(this=exp.Star())),),
            source=select.source,
            where=select.where,
            group=select.group,
            measures=measures,
            subqueries=tuple(_named(select.subqueries, below)),
        )

    def _placed(self, node: exp.Expr) -> exp.Expr:
        return rebuild(node, self._place)

    def _place(self, node: exp.Expr) -> exp.Expr | None:
        if node in self.keys:
            return self._column(node, "key")
        if isinstance(node, exp.Column):
            if not _is_measure(node):
                raise _NotOverGroupsError
            return self._measure(node)
        if isinstance(node, exp.Grouping):
            return self._column(node, "grouping")
        if subquery_key(node) is not None:
            return node
        if isinstance(node, exp.Window):
            return self._window(node)
        if isinstance(node, exp.Filter) and is_aggregate(node.this):
            return self._aggregate(node, node.this, node.expression)
        if is_aggregate(node):
            return self._aggregate(node, node, None)
        return None

    def _window(self, node: exp.Window) -> exp.Expr:
        """A window function is over groups, and so are its arguments."""
        call = node.this
        within = {id(node), id(call)}
        if isinstance(call, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
            within.add(id(call.this))
        return rebuild(node, lambda item: None if id(item) in within else self._place(item))

    def _measure(self, node: exp.Column) -> exp.Expr:
        use = next(item for item in self.select.measures if item.key == node.name)
        average = _average_of(use) if self.averages else None
        if average is None:
            return self._column(node, "measure")
        return self._quotient(average, _where(use.filter)) or self._column(node, "measure")

    def _aggregate(self, whole: exp.Expr, call: exp.Expr, where: exp.Expr | None) -> exp.Expr:
        found = None
        if self.averages and isinstance(call, exp.Avg):
            found = self._quotient(call, where)
        return found or self._column(whole, "aggregate")

    def _quotient(self, average: exp.Avg, where: exp.Expr | None) -> exp.Expr | None:
        """An average as PostgreSQL computes it: the sum by the count."""
        value = average.this
        inner = value.expressions[0] if isinstance(value, exp.Distinct) else value
        kind = self.types.expression(inner).name
        added: exp.Expr = inner.copy()
        if kind in _FLOATS:
            # Of real numbers, PostgreSQL adds up double precision ones.
            name, added = "double", exp.cast(added, "double")
        elif kind in _EXACT:
            name = "decimal"
        else:
            return None
        if isinstance(value, exp.Distinct):
            added = exp.Distinct(expressions=[added])
        total = self._column(filtered(exp.Sum(this=added), where), "sum")
        count = self._column(filtered(exp.Count(this=value.copy()), where), "count")
        return quotient(total, count, name)

    def _column(self, node: exp.Expr, word: str) -> exp.Column:
        name = self.columns.setdefault(node, f"{word}:{len(self.columns) + 1}")
        return column(self.alias, name)


def _is_measure(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and table_of(node) == MEASURE_TABLE


def _average_of(use: MeasureUse) -> exp.Avg | None:
    return use.formula if use.portable and isinstance(use.formula, exp.Avg) else None


def _where(condition: exp.Expr | None) -> exp.Expr | None:
    return None if condition is None else exp.Where(this=condition)


def quotient(total: exp.Expr, count: exp.Expr, name: str) -> exp.Expr:
    """An average of what has a sum and a count, as PostgreSQL computes it in a type."""
    divisor = exp.Nullif(this=count, expression=exp.Literal.number(0))
    left, right = exp.cast(total, name), exp.cast(divisor, name)
    return exp.Paren(this=exp.Div(this=left, expression=right, typed=True, safe=False))


def filtered(call: exp.Expr, where: exp.Expr | None) -> exp.Expr:
    """An aggregate with its FILTER, if it has one."""
    return call if where is None else exp.Filter(this=call, expression=where.copy())


def _expressions(select: Select) -> Iterable[exp.Expr]:
    yield from (item.expression for item in select.projections)
    yield from (node for _, node in select.windows)
    yield from (key.expression for key in select.order)
    yield from select.distinct_on
    yield from (item for item in (select.where, select.limit, select.offset) if item is not None)


def _named(subqueries: Iterable[Subquery], trees: Iterable[exp.Expr]) -> Iterable[Subquery]:
    """The subqueries that expressions hold."""
    keys = {key for tree in trees for key in subquery_keys(tree)}
    return (item for item in subqueries if item.key in keys)
