"""Resolves the names of one SELECT's expressions and decides what its measures mean there.

This is the eager half of binding: it sees every expression of the statement, also those that no
result needs, because the text that PostgreSQL analyses must be right everywhere. What it decides is
kept by node; ``semantic.compiler.select`` makes plan expressions of it for the columns in demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.aggregates import (
    aggregate_name,
    check_over_expression,
    check_result,
    is_aggregate,
    is_measure_call,
    reading_of,
)
from semantic.compiler.cube_source import CubeSource
from semantic.compiler.join_field import refuse_hidden_field
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import name_of, quoted
from semantic.compiler.parse import refuse_misread
from semantic.compiler.period_use import PeriodUse, find_period
from semantic.compiler.positions import position_of
from semantic.compiler.scope import (
    BoundQuery,
    MeasureColumn,
    VisibleColumn,
    use_all,
)
from semantic.compiler.statement import Statement, unsupported
from semantic.compiler.whole_rows import WHOLE_ROW_HINT, counted_row
from semantic.errors import DeniedError, SemanticError, UnsupportedError

BindSubquery = Callable[[exp.Expr, Scope], BoundQuery]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A node that stands for a measure over the rows of its group.

    Attributes:
        column: the measure.
        filter: the FILTER condition around the aggregate.
        within: what the measure's value is put into (a cast), None for the value itself.
        reference: the column node inside ``within``.
        aggregate: the client's aggregate, which decides the type; empty for MEASURE().
    """

    column: VisibleColumn
    filter: exp.Expr | None = None
    within: exp.Expr | None = None
    reference: exp.Expr | None = None
    aggregate: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """Where an expression stands.

    Attributes:
        grouping: a bare measure means its value over the group (M4).
        aggregate: the aggregate call around it, whose argument takes row values.
        windowed: the aggregate is called over a window of rows that are not grouped.
        filter: the FILTER condition of the aggregate that comes next.
    """

    grouping: bool = False
    aggregate: exp.Expr | None = None
    windowed: bool = False
    filter: exp.Expr | None = None


ROWS = Context()
GROUPS = Context(grouping=True)

_SAFE_CASTS = frozenset({exp.DType.DECIMAL, exp.DType.DOUBLE})


class Resolver:
    """Resolves the expressions of one SELECT.

    Attributes:
        columns: what each column node means.
        outer: nodes that stand for a measure over the groups of a SELECT around this one.
        evaluations: aggregates and bare measures that stand for a measure's value.
        subqueries: the queries inside expressions, by their SELECT (or set operation) node.
        aggregated: measures that are aggregated in any way, with a node to blame.
        plain_aggregates: aggregates without a measure.
        counted_rows: cubes and views whose whole rows are counted, with a node to blame.
        periods: calls of date_trunc to a custom granularity.
    """

    def __init__(self, statement: Statement, scope: Scope, bind: BindSubquery) -> None:
        self._statement = statement
        self._scope = scope
        self._bind = bind
        self.columns: dict[int, VisibleColumn] = {}
        self.outer: dict[int, Scope] = {}
        self._owners: dict[int, Scope] = {}
        scope.groups.evaluate = self._evaluate_for
        self.evaluations: dict[int, Evaluation] = {}
        self.subqueries: dict[int, BoundQuery] = {}
        self.aggregated: list[tuple[VisibleColumn, exp.Expr]] = []
        self.plain_aggregates: list[exp.Expr] = []
        self.counted_rows: list[tuple[CubeSource, exp.Expr]] = []
        self.group_keys: list[exp.Expr] = []
        self.periods: dict[int, PeriodUse] = {}
        self._key_columns: set[int] = set()

    def add_group_key(self, node: exp.Expr) -> None:
        """Remember a grouping expression: a measure inside an equal one is a row value (M6)."""
        self.group_keys.append(node)
        key = self.columns.get(id(node))
        if key is not None:
            self._key_columns.add(id(key))

    def is_key(self, visible: VisibleColumn) -> bool:
        """Whether a column is a grouping key."""
        return id(visible) in self._key_columns

    def resolve(self, node: exp.Expr, context: Context) -> None:
        """Resolve an expression and everything below it."""
        refuse_misread(node)
        if isinstance(node, exp.Column):
            self._column(node, context)
        elif isinstance(node, exp.Query):
            self._subquery(node)
        elif isinstance(node, exp.Window):
            self._window(node, context)
        elif isinstance(node, exp.Filter):
            self._filter(node, context)
        elif is_measure_call(node):
            self._measure_call(node, context)
        elif is_aggregate(node):
            self._aggregate(node, context)
        else:
            if context.grouping and self.group_keys and any(node == key for key in self.group_keys):
                context = ROWS
            for child in node.iter_expressions():
                self.resolve(child, context)
            period = find_period(node, self.columns)
            if period is not None:
                self.periods[id(node)] = period

    def find(self, node: exp.Column, *, local: bool = False) -> VisibleColumn | None:
        """The column that a node names; None after reporting or deferring the failure."""
        if isinstance(node.this, exp.Star):
            raise unsupported("a whole row as a value", node, WHOLE_ROW_HINT)
        table, name = self._names(node)
        exact = bool(node.this.args.get("quoted"))
        scope: Scope | None = self._scope
        while scope is not None:
            found = scope.find(name, table, quoted=exact)
            if found:
                break
            scope = None if local else scope.parent
        else:
            found = []
        if len(found) != 1 or scope is None:
            if not local:
                self._not_found(node, table, name, ambiguous=bool(found))
            return None
        visible = found[0]
        if scope is not self._scope and visible.is_measure and scope.after_grouping:
            self._owners[id(visible)] = scope
        if visible.name != name:
            self._statement.replace(node.this, quoted(visible.name))
        return visible

    def _names(self, node: exp.Column) -> tuple[str | None, str]:
        table = node.args.get("table")
        name = name_of(node.this)
        if table is None:
            return None, name
        return name_of(table), name

    def _not_found(
        self, node: exp.Column, table: str | None, name: str, *, ambiguous: bool
    ) -> None:
        refuse_hidden_field(node)
        scope: Scope | None = self._scope
        while table is None and scope is not None:
            if scope.named(name):
                raise unsupported("a whole row as a value", node, WHOLE_ROW_HINT)
            scope = scope.parent
        if ambiguous:
            error = SemanticError("42702", f'column reference "{name}" is ambiguous')
        else:
            shown = name if table is None else f"{table}.{name}"
            error = SemanticError("42703", f'column "{shown}" does not exist')
        error.position = position_of(node)
        self._statement.defer(error)

    def _column(self, node: exp.Column, context: Context) -> None:
        visible = self.columns.get(id(node)) or self.find(node)
        if visible is None:
            return
        self.columns[id(node)] = visible
        self._use(visible, node)
        owner = self._owners.get(id(visible))
        if owner is not None and context.aggregate is None:
            if self._ask(owner, node, visible):
                self._statement.wrap(node, "measure(", ")")
            return
        if not (context.grouping and visible.is_measure) or id(visible) in self._key_columns:
            return
        if not self._is_local(visible):
            return
        self._check_usable(visible, node)
        self._statement.wrap(node, "measure(", ")")
        self._evaluate(node, Evaluation(visible))

    def _ask(self, owner: Scope, node: exp.Expr, visible: VisibleColumn, name: str = "") -> bool:
        """Have the SELECT around evaluate a measure over its group, for a node of this one."""
        evaluate = owner.groups.evaluate
        if evaluate is None or not evaluate(node, visible, name):
            return False
        self.outer[id(node)] = owner
        return True

    def _evaluate_for(self, node: exp.Expr, visible: VisibleColumn, name: str) -> bool:
        """See ``Groups.evaluate``."""
        if id(visible) in self._key_columns:
            return False
        measure = self._check_usable(visible, node)
        if name:
            place = position_of(node)
            if reading_of(name, measure.definition, visible.name, place) != "defined":
                raise unsupported("this aggregate over a measure of the outer query", node)
            check_result(name, measure.definition, measure.type, visible.name, place)
        self._use(visible, node)
        self._evaluate(node, Evaluation(visible, aggregate=name))
        return True

    def _use(self, visible: VisibleColumn, node: exp.Expr) -> None:
        try:
            visible.source.use(visible)
        except (UnsupportedError, DeniedError) as error:
            error.position = error.position or position_of(node)
            raise

    def _evaluate(self, node: exp.Expr, evaluation: Evaluation) -> None:
        try:
            evaluation.column.source.evaluate(evaluation.column)
        except UnsupportedError as error:
            error.position = error.position or position_of(node)
            raise
        self.evaluations[id(node)] = evaluation
        self.aggregated.append((evaluation.column, node))

    def _is_local(self, visible: VisibleColumn) -> bool:
        return any(visible.source is source for source in self._scope.sources)

    def _subquery(self, node: exp.Query) -> None:
        inner = node
        while isinstance(inner, exp.Subquery) and not _has_clauses(inner):
            inner = inner.this
        bound = self.subqueries[id(node)] = self._bind(inner, self._scope)
        use_all(bound)

    def _window(self, node: exp.Window, context: Context) -> None:
        call = node.this
        windowed = replace(context, windowed=not context.grouping)
        for key, value in node.args.items():
            items = value if isinstance(value, list) else [value]
            for item in items:
                if isinstance(item, exp.Expr) and key != "this":
                    self.resolve(item, context)
        if isinstance(call, exp.Filter):
            self.resolve(call.expression, context)
            call = call.this
        if is_measure_call(call):
            raise unsupported(
                "MEASURE() over a window", call, "Group in a subquery and use the window around it."
            )
        if context.grouping or not is_aggregate(call):
            # After grouping, the call is over groups: a measure in it is the group's own value.
            for child in call.iter_expressions():
                self.resolve(child, context)
        else:
            self._aggregate(call, windowed)

    def _filter(self, node: exp.Filter, context: Context) -> None:
        condition = node.expression
        self.resolve(condition, replace(ROWS, aggregate=node))
        inner = condition.this if isinstance(condition, exp.Where) else condition
        self.resolve(node.this, replace(context, filter=inner))
        evaluation = self.evaluations.pop(id(node.this), None)
        if evaluation is not None:
            self.evaluations[id(node)] = evaluation

    def _measure_call(self, node: exp.Expr, context: Context) -> None:
        arguments = node.expressions if isinstance(node, exp.Anonymous) else [node.this]
        argument = _peel(arguments[0]) if len(arguments) == 1 else None
        visible = self.find(argument) if isinstance(argument, exp.Column) else None
        if isinstance(argument, exp.Column) and visible is None:
            return
        if visible is None or not visible.is_measure:
            raise SemanticError(
                "42804",
                "MEASURE() takes a measure",
                hint=self._hint_for_plain(visible),
                position=position_of(argument or node),
            )
        owner = self._owners.get(id(visible))
        if owner is not None and context.filter is None and self._ask(owner, node, visible):
            return
        if not self._is_local(visible):
            raise unsupported("a measure of the outer query in a subquery", node)
        self.columns[id(argument)] = visible
        self._use(visible, node)
        self._check_usable(visible, node)
        self._evaluate(node, Evaluation(visible, context.filter))

    def _hint_for_plain(self, visible: VisibleColumn | None) -> str:
        if visible is None:
            return "Write MEASURE(name) with the name of one measure."
        measures = [
            column.name
            for source in self._scope.sources
            for column in source.columns
            if column.is_measure
        ]
        if not measures:
            return (
                f"{visible.name} is a plain column here: the subquery it comes from groups, limits "
                "or deduplicates its rows. Use a plain aggregate such as SUM()."
            )
        return f"{visible.name} is a plain column. Measures here: {', '.join(measures[:10])}."

    def _count_rows(self, node: exp.Expr) -> None:
        """Make ``count(o)`` over whole rows the count of them, none of which is NULL."""
        source = counted_row(node, self._scope)
        if source is None:
            return
        for visible in source.columns:
            self._use(visible, node)
        self.counted_rows.append((source, node.this))
        node.set("this", exp.Star())

    def _aggregate(self, node: exp.Expr, context: Context) -> None:
        self._count_rows(node)
        inside = replace(ROWS, aggregate=node)
        for child in node.iter_expressions():
            self.resolve(child, inside)
        used = [
            (visible, child)
            for child in node.walk(prune=lambda item: isinstance(item, exp.Query))
            if (visible := self.columns.get(id(child))) is not None and visible.is_measure
        ]
        if not used:
            self.plain_aggregates.append(node)
            return
        if self._over_outer(node, used, context):
            return
        if not all(self._is_local(visible) for visible, _ in used):
            raise unsupported("an aggregate over a measure of the outer query", node)
        direct = _direct_argument(node)
        visible = self.columns.get(id(direct)) if direct is not None else None
        if visible is not None and len(used) == 1:
            self._over_measure(node, visible, direct, context)
            return
        for visible, child in used:
            self._over_expression(node, visible, child)

    def _over_outer(
        self, node: exp.Expr, used: list[tuple[VisibleColumn, exp.Expr]], context: Context
    ) -> bool:
        """An aggregate over nothing but a measure of the SELECT around, which it fits (M2)."""
        visible = used[0][0]
        owner = self._owners.get(id(visible))
        direct = _argument(node)
        if owner is None or context.filter is not None or self.columns.get(id(direct)) is None:
            return False
        return len(used) == 1 and self._ask(owner, node, visible, aggregate_name(node))

    def _over_measure(
        self, node: exp.Expr, visible: VisibleColumn, direct: exp.Expr | None, context: Context
    ) -> None:
        """An aggregate whose whole argument is one measure, perhaps cast."""
        measure = self._check_usable(visible, node)
        definition = measure.definition
        name = aggregate_name(node)
        position = position_of(node)
        argument = _argument(node)
        casted = argument is not None and argument.find(exp.Cast) is not None
        defined = self._statement.settings.measure_aggregates == "defined"
        if context.windowed:
            summed = definition.type == "count" and name == "sum"
            if not definition.is_staged and (
                summed or definition.type in {"sum", "avg", "min", "max"}
            ):
                reading_of(name, definition, visible.name, position)
                self.aggregated.append((visible, node))
                return
            raise unsupported(
                f'an aggregate over a window of the {definition.type} measure "{definition.name}"',
                node,
                "Group in a subquery and use the window around it.",
            )
        reading = "defined" if defined else reading_of(name, definition, visible.name, position)
        rows_do = (
            casted
            and not (defined or definition.is_staged)
            and definition.type in {"sum", "avg", "min", "max"}
        )
        if reading == "rows" or rows_do:
            self.aggregated.append((visible, node))
            return
        check_result(name, definition, measure.type, visible.name, position)
        if not casted:
            self._evaluate(node, Evaluation(visible, context.filter, aggregate=name))
            return
        if not (isinstance(argument, exp.Expr) and _safe_casts(argument)):
            check_over_expression(name, definition, visible.name, position)
            self.aggregated.append((visible, node))
            return
        self._evaluate(node, Evaluation(visible, context.filter, argument, direct, name))

    def _over_expression(self, node: exp.Expr, visible: VisibleColumn, child: exp.Expr) -> None:
        """An aggregate over an expression that holds a measure takes row values, if it may."""
        measure = self._check_usable(visible, child)
        check_over_expression(
            aggregate_name(node), measure.definition, visible.name, position_of(child)
        )
        self.aggregated.append((visible, node))

    def _check_usable(self, visible: VisibleColumn, node: exp.Expr) -> MeasureColumn:
        """The measure behind a column.

        Raises:
            UnsupportedError: its definition needs what the compiler cannot do, at the node.
        """
        try:
            measure = visible.measure
        except UnsupportedError as error:
            if error.position is None:
                error.position = position_of(node)
            raise
        if measure is None:
            raise TypeError(visible.name)
        return measure


def _peel(node: exp.Expr | None) -> exp.Expr | None:
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node


def _argument(node: exp.Expr) -> exp.Expr | None:
    """The argument that an aggregate call is over."""
    if isinstance(node, exp.Anonymous):
        return node.expressions[0] if len(node.expressions) == 1 else None
    argument = node.this
    if isinstance(argument, exp.Distinct):
        return argument.expressions[0] if len(argument.expressions) == 1 else None
    return argument if isinstance(argument, exp.Expr) else None


def _direct_argument(node: exp.Expr) -> exp.Column | None:
    """The column that is the whole argument of an aggregate, casts and parentheses aside."""
    if isinstance(node, exp.WithinGroup):
        keys = node.expression.expressions if isinstance(node.expression, exp.Order) else []
        inner = _peel(keys[0].this) if len(keys) == 1 else None
    else:
        inner = _peel(_argument(node))
        if isinstance(inner, exp.Order):
            inner = _peel(inner.this)
    return inner if isinstance(inner, exp.Column) else None


def _safe_casts(node: exp.Expr) -> bool:
    """Whether casts around a measure's value keep it as a number."""
    while isinstance(node, exp.Paren | exp.Cast):
        if isinstance(node, exp.Cast) and (
            node.to.this not in _SAFE_CASTS or node.to.args.get("expressions")
        ):
            return False
        node = node.this
    return True


def _has_clauses(node: exp.Subquery) -> bool:
    return any(
        node.args.get(key) for key in ("with_", "order", "limit", "offset", "alias", "joins")
    )
