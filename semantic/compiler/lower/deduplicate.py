"""Counts each row of a measure's cube once in a group, however joins repeat it (rule J2).

A grouping over joined rows becomes a grouping over a subquery of the same rows in which one row of
each group and primary key is marked; the measure's aggregates are over the marked rows only.
Everything else in the SELECT sees all rows, as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import counts_duplicates, filtered, is_aggregate
from semantic.compiler.lower.grouping_sets import Keys, grouping_sets
from semantic.compiler.names import Names
from semantic.compiler.plan import (
    MEASURE_TABLE,
    Derived,
    MeasureUse,
    PlanNode,
    Projection,
    Query,
    Relation,
    RowKey,
    Select,
)
from semantic.compiler.rewrite.tools import (
    bottom_up,
    everywhere,
    is_volatile,
    join_conditions,
    relation_aliases,
    subquery_keys,
)
from semantic.compiler.trees import (
    all_of,
    column,
    conjuncts,
    enclose,
    grouping_keys,
    is_column_of,
    rebuild,
    table_of,
)
from semantic.errors import UnsupportedError

# As many as GROUPING takes.
_MOST_TOLD = 31


def deduplicate(plan: Query) -> Query:
    """Write out ``MeasureUse.row_keys`` everywhere."""
    return bottom_up(plan, _deduplicate)


def _deduplicate(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not any(use.row_keys for use in node.measures):
        return node
    if node.source is None or node.group is None:
        raise TypeError("measures are over the rows of a group")
    return _Deduplication(node, node.source, node.group).select()


@dataclass(frozen=True, slots=True)
class _Mark:
    """Which rows are marked: one of each combination of values, if it exists and fulfils."""

    values: tuple[exp.Expr, ...]
    exists: tuple[exp.Expr, ...]
    filter: exp.Expr | None


class _Deduplication:
    """One grouping SELECT as a grouping over marked rows.

    ``_columns`` are the columns of the subquery by what they hold.
    """

    def __init__(self, select: Select, source: Relation, group: tuple[exp.Expr, ...]) -> None:
        self._select = select
        self._source = source
        aliases = list(relation_aliases(source))
        self._aliases = frozenset(aliases)
        self._alias = f"{aliases[0]}:marked"
        self._names = Names()
        self._columns: dict[exp.Expr, exp.Column] = {}
        self._marks: dict[_Mark, exp.Column] = {}
        self._sets = grouping_sets(group)
        self._keys = [key for key in dict.fromkeys(grouping_keys(group)) if _varies(key)]
        for number, key in enumerate(self._keys):
            self._columns[key] = self._new(
                key.name if isinstance(key, exp.Column) else f"key:{number + 1}"
            )
        self._uses: list[MeasureUse] = []
        # What stands for a measure in the expressions of the outer SELECT.
        self._values: dict[str, exp.Expr] = {}

    def select(self) -> Select:
        select = self._select
        for use in select.measures:
            self._values[use.key] = self._value(use)
        # Subqueries that belong to the rows see the rows as they are.
        outer = replace(select, source=None, where=None, measures=())
        outer = everywhere(outer, self._above)
        inner, below = self._inner()
        return replace(
            outer,
            source=Derived(self._alias, inner),
            measures=tuple(self._uses),
            subqueries=tuple(item for item in outer.subqueries if item.key not in below),
        )

    def _new(self, wanted: str) -> exp.Column:
        return column(self._alias, self._names.take(wanted))

    # The outer SELECT.

    def _above(self, tree: exp.Expr) -> exp.Expr:
        """An expression over the subquery's columns instead of what they are made of."""
        return rebuild(tree, self._column)

    def _column(self, node: exp.Expr) -> exp.Expr | None:
        known = self._columns.get(node)
        if known is not None:
            return known
        if not isinstance(node, exp.Column):
            return None
        table = table_of(node)
        if table == MEASURE_TABLE:
            return self._values.get(node.name)
        if table in self._aliases:
            made = self._columns[node] = self._new(node.name)
            return made
        return None

    def _value(self, use: MeasureUse) -> exp.Expr:
        """What a measure is in the outer SELECT: one value for each grouping set."""
        if not use.row_keys:
            return self._use(use, ())
        values = [(keys, self._use(use, keys)) for keys in self._sets]
        if len(values) == 1:
            return values[0][1]
        told = [key for key in self._keys if not all(key in keys for keys in self._sets)]
        if len(told) > _MOST_TOLD:
            raise UnsupportedError(
                f"more than {_MOST_TOLD} keys in ROLLUP, CUBE or GROUPING SETS over measures that "
                "a join may repeat are not supported",
                hint="Use fewer keys.",
            )
        branches = [
            exp.If(this=exp.Literal.number(_mask(told, keys)), true=value) for keys, value in values
        ]
        call = exp.Grouping(expressions=[self._columns[key] for key in told])
        return exp.Case(this=call, ifs=branches)

    def _use(self, use: MeasureUse, keys: Keys) -> exp.Expr:
        """A measure over marked rows, for the groups of one grouping set."""

        def mark(node: exp.Expr) -> exp.Column | None:
            """The mark of the rows that an aggregate is over."""
            names = {item.name for item in node.find_all(exp.Column)}
            for row_key in use.row_keys:
                if row_key.inputs is None or not row_key.inputs.isdisjoint(names):
                    return self._mark(use, row_key, keys)
            return None

        if use.type is None:
            made = mark(use.formula)
            condition = None if use.filter is None else self._above(use.filter)
            return _filtered(self._above(use.formula), made or condition)

        def marked(node: exp.Expr) -> exp.Expr | None:
            if not is_aggregate(node):
                return self._plain(node, use.alias)
            call = node.this if isinstance(node, exp.Filter) else node
            moved = rebuild(node, lambda item: self._plain(item, use.alias))
            made = mark(node) if counts_duplicates(call) else None
            return moved if made is None else filtered(moved, made)

        key = f"{use.key}:{len(self._uses)}"
        condition = None if use.filter is None else self._condition(use.filter)
        formula = rebuild(use.formula, marked)
        if use.portable and isinstance(formula, exp.Filter):
            # The mark holds for rows that meet the condition only.
            formula, condition = formula.this, formula.expression.this
        made_use = replace(
            use, key=key, alias=self._alias, formula=formula, filter=condition, row_keys=()
        )
        self._uses.append(made_use)
        return column(MEASURE_TABLE, key)

    def _plain(self, node: exp.Expr, alias: str) -> exp.Expr | None:
        """A column of a measure's formula, which need not be a PostgreSQL expression otherwise."""
        return self._column(node) if is_column_of(node, alias) else None

    def _condition(self, node: exp.Expr) -> exp.Expr:
        """Whether a row meets a FILTER condition, as a column of the subquery."""
        truth = _truth(node)
        made = self._columns.get(truth)
        if made is None:
            made = self._columns[truth] = self._new("filter")
        return made

    def _mark(self, use: MeasureUse, row_key: RowKey, keys: Keys) -> exp.Column:
        truth = None if use.filter is None else _truth(use.filter)
        values = [
            *(key for key in keys if key in self._columns),
            *row_key.columns,
            *(_truth(node) for node in row_key.apart),
        ]
        if truth is not None:
            values.append(truth)
        mark = _Mark(tuple(dict.fromkeys(values)), row_key.columns, truth)
        made = self._marks.get(mark)
        if made is None:
            made = self._marks[mark] = self._new("once")
        return made

    # The subquery.

    def _inner(self) -> tuple[Select, set[str]]:
        """The subquery, and the keys of the subqueries that it has taken with it."""
        used = [node for mark in self._marks for node in mark.values]
        below = {
            key
            for node in (
                *self._columns,
                *used,
                *conjuncts(self._select.where),
                *join_conditions(self._source),
            )
            for key in subquery_keys(node)
        }
        subqueries = tuple(item for item in self._select.subqueries if item.key in below)
        rows = Select((), self._source, self._select.where, subqueries=subqueries)
        if all(isinstance(node, exp.Column) for node in used):
            return replace(rows, projections=tuple(self._projections(lambda node: node))), below
        # What rows are told apart by is computed once, below.
        alias = self._alias.replace(":marked", ":joined")
        names = Names()
        computed: dict[exp.Expr, exp.Expr] = {}
        for node in (*self._columns, *used):
            if node not in computed:
                wanted = self._columns[node].name if node in self._columns else "value"
                wanted = node.name if isinstance(node, exp.Column) else wanted
                computed[node] = column(alias, names.take(wanted))
        projections = tuple(Projection(made.name, node) for node, made in computed.items())
        source = Derived(alias, replace(rows, projections=projections))
        return Select(tuple(self._projections(lambda node: computed[node])), source), below

    def _projections(self, at: Callable[[exp.Expr], exp.Expr]) -> Iterator[Projection]:
        for node, made in self._columns.items():
            yield Projection(made.name, at(node))
        for mark, made in self._marks.items():
            number = exp.Window(
                this=exp.RowNumber(), partition_by=[at(node) for node in mark.values], over="OVER"
            )
            present = [
                exp.Not(this=exp.Is(this=at(node), expression=exp.Null())) for node in mark.exists
            ]
            exists: exp.Expr = present[0]
            for other in present[1:]:
                exists = exp.Or(this=exists, expression=other)
            first = exp.EQ(this=number, expression=exp.Literal.number(1))
            conditions = [first, exists]
            if mark.filter is not None:
                conditions.append(at(mark.filter))
            yield Projection(made.name, all_of(conditions) or first)


def _truth(node: exp.Expr) -> exp.Expr:
    """A condition that is true or false, never NULL."""
    return exp.Is(this=enclose(node), expression=exp.true())


def _filtered(call: exp.Expr, condition: exp.Expr | None) -> exp.Expr:
    if condition is None:
        return call
    return exp.Filter(this=call, expression=exp.Where(this=condition))


def _mask(told: list[exp.Expr], keys: Keys) -> int:
    """What GROUPING of some keys is for the groups of a set: a bit for each that is left out."""
    mask = 0
    for key in told:
        mask = mask * 2 + (key not in keys)
    return mask


def _varies(key: exp.Expr) -> bool:
    return key.find(exp.Column) is not None or is_volatile(key)
