"""Groups joined rows by primary key first, and those groups as the SELECT says (rule J2).

Where all measures whose rows joins repeat are of one cube, and whatever stands beside them can be
made of partial results, each row of the cube is one group of its own below: its measures need no
marks. The joined rows are read once, and nothing is sorted or joined.

It is done on DuckDB. ``python -m tests.fan_out.cost`` times both ways: 1M joined rows by 10 keys
take 0.17 s marked and 0.08 s grouped where a row is repeated 3 times, 0.24 and 0.05 s for 10 times;
for rows that are not repeated after all, or groups of a few rows, grouping costs up to twice as
much. PostgreSQL keeps marks: up to 3 repetitions they cost no more there, and ``any_value`` needs
PostgreSQL 16.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import counts_duplicates, filtered
from semantic.compiler.aggregate_trees import is_aggregate as is_warehouse_aggregate
from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.emit_parts import is_constant, postgres_data_type
from semantic.compiler.lower.copies import subqueries_of
from semantic.compiler.lower.grouped import aliases_of
from semantic.compiler.names import Names
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    Derived,
    Join,
    MeasureUse,
    PlanNode,
    Projection,
    Query,
    Relation,
    RowKey,
    Select,
    walk,
)
from semantic.compiler.rewrite.tools import (
    bottom_up,
    is_volatile,
    join_conditions,
    with_expressions,
)
from semantic.compiler.trees import all_of, column, enclose, is_column_of, rebuild, table_of
from semantic.model.types import FLOAT4, INT2, INT4, INT8, PostgresType

_SETS = (exp.GroupingSets, exp.Rollup, exp.Cube, exp.Tuple, exp.Paren)
_ONE_TYPE = exp.Min | exp.Max
_INTEGERS = (INT2, INT4, INT8)


class _NotPartialError(Exception):
    """Something in the SELECT needs the joined rows as they are."""


def row_groups(plan: Query) -> Query:
    """A plan whose SELECTs are over groups of rows where that is enough.

    Those that have to see the joined rows themselves keep their ``MeasureUse.row_keys``.
    """
    if not any(_has_row_keys(node) for node in walk(plan)):
        return plan
    return bottom_up(plan, _grouped)


def _has_row_keys(node: PlanNode) -> bool:
    return isinstance(node, Select) and any(use.row_keys for use in node.measures)


def _grouped(node: PlanNode) -> PlanNode:
    if not isinstance(node, Select) or not _has_row_keys(node):
        return node
    source, group, row_key = node.source, node.group, _only_key(node)
    if source is None or group is None or row_key is None or node.windows:
        return node
    if any(isinstance(key, _SETS) or is_volatile(key) or _has_subquery(key) for key in group):
        return node
    try:
        return _RowGroups(node, source, row_key).select()
    except _NotPartialError:
        return node


def _only_key(select: Select) -> RowKey | None:
    """What tells the rows of all repeated measures apart, if it is the same for all of them."""
    found = [key for use in select.measures for key in use.row_keys]
    if any(len(use.row_keys) > 1 for use in select.measures) or any(key.apart for key in found):
        return None
    first = found[0]
    if any(key.columns != first.columns for key in found):
        return None
    return first if all(isinstance(node, exp.Column) for node in first.columns) else None


class _RowGroups:
    """One grouping SELECT as a grouping over a grouping.

    ``_columns`` are the columns of the inner one by what they hold: keys, values of the cube's rows
    and partial results.
    """

    def __init__(self, select: Select, source: Relation, row_key: RowKey) -> None:
        self._select = select
        self._source = source
        self._row_key = row_key
        self._aliases = aliases_of(source)
        self._alias = f"{_first(source)}:once"
        self._names = Names()
        self._columns: dict[exp.Expr, exp.Column] = {}
        self._group = [node for node in select.group or () if not is_constant(node)]
        self._group += [node for node in row_key.columns if node not in self._group]
        for number, key in enumerate(self._group):
            wanted = key.name if isinstance(key, exp.Column) else f"key:{number + 1}"
            self._column(key, wanted)
        self._keys = dict(self._columns)
        self._below: list[MeasureUse] = []
        self._uses: list[MeasureUse] = []
        self._values: dict[str, exp.Expr] = {}

    def select(self) -> Select:
        """The outer SELECT.

        Raises:
            _NotPartialError: it cannot be made of groups of rows.
        """
        select = self._select
        for use in select.measures:
            self._values[use.key] = self._once(use) if use.row_keys else self._whole(use)
        below = [select.where, *join_conditions(self._source)]
        subqueries = subqueries_of(below, select)
        if len(subqueries) < len(select.subqueries):
            raise _NotPartialError
        outer = replace(select, source=None, where=None, measures=(), subqueries=())
        outer = with_expressions(outer, lambda tree: rebuild(tree, self._above))
        inner = Select(
            projections=tuple(Projection(made.name, node) for node, made in self._columns.items()),
            source=self._source,
            where=select.where,
            group=tuple(dict.fromkeys(self._group)),
            measures=tuple(self._below),
            subqueries=subqueries,
        )
        return replace(outer, source=Derived(self._alias, inner), measures=tuple(self._uses))

    def _column(self, node: exp.Expr, wanted: str) -> exp.Column:
        """The inner column that holds an expression over the joined rows' groups."""
        made = self._columns.get(node)
        if made is None:
            made = self._columns[node] = column(self._alias, self._names.take(wanted))
        return made

    def _use(self, use: MeasureUse) -> exp.Column:
        """A measure of the outer SELECT."""
        self._uses.append(use)
        return column(MEASURE_TABLE, use.key)

    # The rest of the SELECT.

    def _above(self, node: exp.Expr) -> exp.Expr | None:
        key = self._keys.get(node)
        if key is not None:
            return key
        if isinstance(node, exp.Window):
            raise _NotPartialError
        if isinstance(node, exp.Filter | exp.Grouping | exp.WithinGroup) or is_aggregate(node):
            return self._partial(node)
        if not isinstance(node, exp.Column):
            return None
        table = table_of(node)
        if table == MEASURE_TABLE:
            return self._values.get(node.name)
        if table in self._aliases:
            raise _NotPartialError
        return None

    def _partial(self, node: exp.Expr) -> exp.Expr:
        """An aggregate of the client's over all joined rows, made of those of the row groups."""
        call = _combinable(node)
        if _has_subquery(node) or any(
            table_of(item) == MEASURE_TABLE for item in node.find_all(exp.Column)
        ):
            raise _NotPartialError
        part = self._column(node, type(call).__name__.lower())
        if isinstance(call, exp.Count):
            key = f"{self._alias}:{part.name}"
            return self._use(self._count(MeasureUse(key, part.name, "", part, False, INT8), part))
        if isinstance(call, exp.Sum):
            # What type it has is known later.
            raise _NotPartialError
        return call.__class__(this=part)

    # Measures.

    def _whole(self, use: MeasureUse) -> exp.Expr:
        """A measure over all joined rows, made of its values for the row groups."""
        call = _combinable(use.formula)
        if use.type is None or (use.filter is not None and _has_subquery(use.filter)):
            raise _NotPartialError
        self._below.append(use)
        part = self._column(column(MEASURE_TABLE, use.key), use.name.rpartition(".")[2])
        made = replace(use, key=f"{use.key}:groups", alias=self._alias, filter=None)
        if isinstance(call, exp.Count):
            return self._use(self._count(made, part))
        formula: exp.Expr = call.__class__(this=part)
        if isinstance(call, exp.Sum):
            formula = _sum_in(formula, use.type)
        return self._use(replace(made, formula=formula))

    def _count(self, use: MeasureUse, part: exp.Expr) -> MeasureUse:
        """A count made of counts: that of no groups is 0."""
        total = exp.Coalesce(this=exp.Sum(this=part), expressions=[exp.Literal.number(0)])
        formula = exp.Cast(this=total, to=postgres_data_type(INT8))
        return replace(use, alias=self._alias, formula=formula, portable=False, type=INT8)

    def _once(self, use: MeasureUse) -> exp.Expr:
        """A measure over the row groups that stand for a row of its cube."""
        mark = self._mark(use)
        if use.type is None:
            moved = rebuild(use.formula, lambda node: self._input(node, use))
            return exp.Filter(this=moved, expression=exp.Where(this=mark))

        def marked(node: exp.Expr) -> exp.Expr | None:
            if not is_warehouse_aggregate(node):
                return self._input(node, use)
            call = node.this if isinstance(node, exp.Filter) else node
            moved = rebuild(node, lambda item: self._input(item, use))
            return filtered(moved, mark) if counts_duplicates(call) else moved

        formula = rebuild(use.formula, marked)
        condition = None if use.filter is None else self._met(use.filter)
        if use.portable and isinstance(formula, exp.Filter):
            # The mark holds for rows that meet the condition only.
            formula, condition = formula.this, formula.expression.this
        key = f"{use.key}:once"
        return self._use(
            replace(use, key=key, alias=self._alias, formula=formula, filter=condition, row_keys=())
        )

    def _input(self, node: exp.Expr, use: MeasureUse) -> exp.Expr | None:
        """What a formula is over: it has one value for each row of the cube, and in its group."""
        if use.type is None and node in self._keys:
            return self._keys[node]
        if use.type is None or use.portable:
            if isinstance(node, exp.Column) and table_of(node) in (SUBQUERY_TABLE, MEASURE_TABLE):
                raise _NotPartialError
            if not isinstance(node, exp.Column) or table_of(node) not in self._aliases:
                return None
        elif not is_column_of(node, use.alias):
            return None
        key = self._keys.get(node)
        if key is not None:
            return key
        inputs = use.row_keys[0].inputs
        if inputs is not None and (node.name not in inputs or not is_column_of(node, use.alias)):
            raise _NotPartialError
        return self._column(exp.AnyValue(this=node), node.name)

    def _mark(self, use: MeasureUse) -> exp.Column:
        """Whether a row group stands for a row of the cube that meets the FILTER condition."""
        present = [
            exp.Not(this=exp.Is(this=node, expression=exp.Null())) for node in self._row_key.columns
        ]
        exists: exp.Expr = present[0]
        for other in present[1:]:
            exists = exp.Or(this=exists, expression=other)
        conditions = [exists]
        if use.filter is not None:
            conditions.append(self._any(use.filter))
        return self._column(all_of(conditions) or exists, "once")

    def _met(self, condition: exp.Expr) -> exp.Column:
        return self._column(self._any(condition), "filter")

    def _any(self, condition: exp.Expr) -> exp.Expr:
        """Whether any of the joined rows of a row group meets a condition."""
        tables = {table_of(item) for item in condition.find_all(exp.Column)}
        if not tables or not tables <= self._aliases or _has_subquery(condition):
            raise _NotPartialError
        truth = exp.Is(this=enclose(condition), expression=exp.true())
        return exp.LogicalOr(this=exp.Paren(this=truth))


def _combinable(node: exp.Expr) -> exp.Expr:
    """The call of an aggregate that can be made of its values for parts of a group.

    Raises:
        _NotPartialError: it is another one.
    """
    call = node.this if isinstance(node, exp.Filter) else node
    if not isinstance(call, exp.Count | exp.Sum | _ONE_TYPE):
        raise _NotPartialError
    if isinstance(call.this, exp.Distinct | exp.Order) or call.expressions:
        raise _NotPartialError
    return call


def _sum_in(formula: exp.Expr, kind: PostgresType) -> exp.Expr:
    """A sum of sums in the type of the sums."""
    if kind == FLOAT4:
        # Each sum would lose digits.
        raise _NotPartialError
    if kind in _INTEGERS:
        return exp.Cast(this=formula, to=postgres_data_type(kind))
    return formula


def _first(source: Relation) -> str:
    """The alias of the leftmost relation."""
    while isinstance(source, Join):
        source = source.left
    return next(iter(sorted(aliases_of(source))))


def _has_subquery(node: exp.Expr) -> bool:
    return any(table_of(item) == SUBQUERY_TABLE for item in node.find_all(exp.Column))
