"""A grouped SELECT taken apart: its groups with what is computed over their rows, and the rest.

The first half becomes the *main part*: keys, aggregates and ordinary measures, one row a group. The
second half, everything that PostgreSQL evaluates after grouping (the select list, HAVING, windows,
DISTINCT, ORDER BY, LIMIT), is put over the main part's columns and those of further parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.emit_parts import is_constant
from semantic.compiler.lower.copies import subqueries_of
from semantic.compiler.lower.grouping_sets import grouping_sets
from semantic.compiler.names import Names
from semantic.compiler.no_rows import value_of_no_rows
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    AliasedRelation,
    MeasureUse,
    OrderKey,
    PlanNode,
    Projection,
    Relation,
    Select,
    walk,
)
from semantic.compiler.rewrite.tools import join_conditions, relation_aliases
from semantic.compiler.trees import column, grouping_keys, rebuild, table_of
from semantic.errors import UnsupportedError

_SETS = (exp.GroupingSets, exp.Rollup, exp.Cube)
Change = Callable[[exp.Expr], exp.Expr]


class MainPart:
    """The groups of a grouped SELECT, under an alias, with the columns that are asked for.

    Attributes:
        select: the SELECT it is made of.
        alias: of the part where the rest of the SELECT stands.
        keys: the different grouping expressions.
        sets: for GROUPING SETS, ROLLUP and CUBE: the keys (by place) of each different set.
    """

    def __init__(self, select: Select, alias: str) -> None:
        self.select = select
        self.alias = alias
        self.keys = tuple(dict.fromkeys(grouping_keys(select.group or ())))
        self.sets = self._grouping_sets()
        # Where there are groups without rows, the alias of all groups.
        self.groups: str | None = None
        self._names = Names()
        self._columns: dict[exp.Expr, str] = {}
        self._uses: dict[str, MeasureUse] = {}
        self.key_names = tuple(self._key(node) for node in self.keys)

    def column(self, node: exp.Expr, wanted: str) -> exp.Expr:
        """A column that holds an expression over the groups."""
        name = self._columns.get(node)
        if name is None:
            name = self._columns[node] = self._names.take(wanted)
        return column(self.alias, name)

    def _or_empty(self, value: exp.Expr, formula: exp.Expr, *, portable: bool) -> exp.Expr:
        """A value, or what it is for a group without rows."""
        if self.groups is None:
            return value
        empty = value_of_no_rows(formula, portable=portable)
        if empty is None:
            return value
        if empty != exp.Literal.number(0):
            raise UnsupportedError(
                "this measure or aggregate beside a filled measure is not supported",
                hint="Compute it in a query of its own.",
            )
        return exp.Coalesce(this=value, expressions=[empty])

    def measure(self, use: MeasureUse) -> exp.Expr:
        """A column that holds a measure that needs the groups' rows alone."""
        known = next((key for key, other in self._uses.items() if _same(other, use)), None)
        if known is None:
            known = use.key
            self._uses[known] = use
        value = self.column(column(MEASURE_TABLE, known), use.name.rpartition(".")[2])
        return self._or_empty(value, use.formula, portable=use.portable)

    def key_column(self, place: int) -> exp.Expr:
        """The column of a grouping expression."""
        return column(self.groups or self.alias, self.key_names[place])

    def bit(self, place: int) -> exp.Expr:
        """``GROUPING(key)``: 1 where the key does not group."""
        return self.column(exp.Grouping(expressions=[self.keys[place]]), f"{place + 1}:grouping")

    def after_grouping(self, node: exp.Expr, values: dict[str, exp.Expr]) -> exp.Expr:
        """An expression of the rest of the SELECT over the parts' columns.

        Args:
            node: over the SELECT's source.
            values: what stands for the measures that have parts of their own.
        """

        def replaced(item: exp.Expr) -> exp.Expr | None:
            if item in self.keys:
                return item if is_constant(item) else self.key_column(self.keys.index(item))
            if isinstance(item, exp.Window):
                return self._window(item, lambda node: rebuild(node, replaced))
            if isinstance(item, exp.Filter | exp.Grouping) or is_aggregate(item):
                return self._or_empty(self.column(item, _hint(item)), item, portable=True)
            if isinstance(item, exp.Column):
                return self._loose(item, values)
            return None

        return rebuild(node, replaced)

    def _window(self, node: exp.Window, change: Change) -> exp.Expr:
        """A window call: its function is called over groups, so only its arguments are theirs."""
        arguments: dict[str, object] = {}
        for key, value in node.args.items():
            if key == "this":
                arguments[key] = self._called(value, change)
            elif isinstance(value, list):
                arguments[key] = [change(item) for item in value]
            else:
                arguments[key] = change(value) if isinstance(value, exp.Expr) else value
        return exp.Window(**arguments)

    def _called(self, node: exp.Expr, change: Change) -> exp.Expr:
        """The function of a window call, which is no aggregate over the rows of a group."""
        inside = isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls)
        arguments: dict[str, object] = {}
        for key, value in node.args.items():
            if inside and key == "this":
                arguments[key] = self._called(value, change)
            elif isinstance(value, exp.Expr):
                arguments[key] = change(value)
            elif isinstance(value, list):
                arguments[key] = [change(i) if isinstance(i, exp.Expr) else i for i in value]
            else:
                arguments[key] = value
        return node.__class__(**arguments)

    def _loose(self, node: exp.Column, values: dict[str, exp.Expr]) -> exp.Expr | None:
        table = table_of(node)
        if table == MEASURE_TABLE:
            value = values.get(node.name)
            if value is not None:
                return value
            use = next(item for item in self.select.measures if item.key == node.name)
            return self.measure(use)
        if table == SUBQUERY_TABLE or table not in aliases_of(self.select.source):
            return None
        raise UnsupportedError(
            f'the column "{node.name}" outside GROUP BY is not supported beside this measure',
            hint="Group by the column, or aggregate it.",
        )

    def make(self, extra: tuple[Projection, ...] = ()) -> Select:
        """The part's query, with all columns that were asked for so far."""
        projections = [Projection(name, node) for node, name in self._columns.items()]
        projections += extra
        if not projections:
            projections = [Projection("one", exp.Literal.number(1))]
        where = self.select.where
        nodes = [where, *self.keys, *self._columns, *(use.filter for use in self._uses.values())]
        nodes += join_conditions(self.select.source)
        return Select(
            projections=tuple(projections),
            source=self.select.source,
            where=where,
            group=self.select.group,
            measures=tuple(self._uses.values()),
            subqueries=subqueries_of(nodes, self.select),
        )

    def rest(
        self, source: Relation, values: dict[str, exp.Expr], uses: tuple[MeasureUse, ...]
    ) -> Select:
        """The second half of the SELECT.

        Args:
            source: the main part and whatever is attached to it.
            values: what stands for the measures that have parts of their own.
            uses: measures that are computed of other measures, over the parts' columns.
        """
        select = self.select

        def change(node: exp.Expr) -> exp.Expr:
            return self.after_grouping(node, values)

        projections = tuple(
            Projection(item.name, change(item.expression)) for item in select.projections
        )
        having = None if select.having is None else change(select.having)
        order = tuple(_changed(key, change) for key in select.order)
        windows = tuple((name, _named_window(node, change)) for name, node in select.windows)
        distinct_on = tuple(change(node) for node in select.distinct_on)
        nodes = [
            *(item.expression for item in projections),
            having,
            *(key.expression for key in order),
            *(node for _, node in windows),
            *distinct_on,
            select.limit,
            select.offset,
        ]
        return Select(
            projections=projections,
            source=source,
            where=having,
            windows=windows,
            distinct=select.distinct,
            distinct_on=distinct_on,
            order=order,
            limit=select.limit,
            offset=select.offset,
            with_ties=select.with_ties,
            measures=uses,
            subqueries=subqueries_of(nodes, select),
        )

    def _key(self, node: exp.Expr) -> str:
        inner = node.find(exp.Column)
        name = self._columns[node] = self._names.take("key" if inner is None else inner.name)
        return name

    def _grouping_sets(self) -> tuple[tuple[int, ...], ...] | None:
        group = self.select.group or ()
        if not any(isinstance(node, _SETS) for node in group):
            return None
        places = {key: place for place, key in enumerate(self.keys)}
        return tuple(tuple(sorted(places[key] for key in keys)) for keys in grouping_sets(group))


def aliases_of(source: PlanNode | None) -> set[str]:
    """The aliases of the relations that a FROM clause makes visible."""
    return set(relation_aliases(source))


def refuse_correlated(select: Select) -> None:
    """Check that a SELECT's source, and nothing outside or inside it, is spoken of.

    Raises:
        UnsupportedError: a subquery speaks of the SELECT around it.
    """
    known = {MEASURE_TABLE, SUBQUERY_TABLE} | aliases_of(select.source)
    inner = {node.alias for node in walk(select) if isinstance(node, AliasedRelation)} - known
    for node in walk(select):
        if not isinstance(node, Select):
            continue
        for table in _tables(node):
            outside = table not in known and table not in inner
            downwards = node is not select and table in known - {MEASURE_TABLE, SUBQUERY_TABLE}
            if outside or downwards:
                raise UnsupportedError(
                    "a correlated subquery beside a measure with a context of its own is not "
                    "supported",
                    hint="Compute the measure in a grouped subquery in FROM and join that.",
                )


def _tables(select: Select) -> set[str]:
    nodes = [
        *(item.expression for item in select.projections),
        select.where,
        select.having,
        *(select.group or ()),
        *(key.expression for key in select.order),
    ]
    return {
        table_of(item)
        for node in nodes
        if node is not None
        for item in node.find_all(exp.Column)
        if table_of(item)
    }


def _same(one: MeasureUse, other: MeasureUse) -> bool:
    return replace(one, key=other.key) == other


def _changed(key: OrderKey, change: Change) -> OrderKey:
    return replace(key, expression=change(key.expression))


def _named_window(node: exp.Expr, change: Change) -> exp.Expr:
    arguments: dict[str, object] = {}
    for key, value in node.args.items():
        if isinstance(value, list):
            arguments[key] = [change(item) for item in value]
        elif isinstance(value, exp.Expr) and key != "this":
            arguments[key] = change(value)
        else:
            arguments[key] = value
    return node.__class__(**arguments)


def _hint(node: exp.Expr) -> str:
    return node.sql_name().lower() if isinstance(node, exp.Func) else type(node).__name__.lower()
