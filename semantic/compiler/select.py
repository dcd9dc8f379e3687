"""One bound SELECT: names, grouping and measures are decided at once, columns on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from semantic.compiler.aggregates import contains_aggregate
from semantic.compiler.api import WholeRow
from semantic.compiler.facts import check_facts
from semantic.compiler.fan_out import FanOut
from semantic.compiler.multiplicity import linked
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import name_of
from semantic.compiler.output_items import add_row_columns, output_items
from semantic.compiler.plan import (
    Query,
    RowKey,
)
from semantic.compiler.resolve import GROUPS, ROWS, Resolver
from semantic.compiler.scope import (
    OUTPUT,
    BoundQuery,
    MeasureColumn,
    Source,
    VisibleColumn,
    use_all,
)
from semantic.compiler.select_build import build_select
from semantic.compiler.select_state import GROUP_SETS, Item, SelectState, limits_of
from semantic.compiler.sources import FromClause
from semantic.compiler.statement import Statement, read_only, refuse_other_arguments, unsupported
from semantic.compiler.trees import column, rebuild
from semantic.compiler.whole_rows import WHOLE_ROW_HINT, check_joined, columns_of
from semantic.model.members import Dimension

_SELECT_CLAUSES = frozenset(
    {
        "distinct",
        "expressions",
        "from_",
        "group",
        "having",
        "into",
        "joins",
        "laterals",
        "limit",
        "locks",
        "offset",
        "order",
        "where",
        "windows",
        "with_",
    }
)


class BoundSelect:
    """See ``BoundQuery``."""

    def __init__(
        self,
        statement: Statement,
        node: exp.Select,
        parent: Scope | None,
        from_clause: Callable[[Scope], FromClause],
        bind: Callable[[exp.Expr, Scope], BoundQuery],
    ) -> None:
        refuse_other_arguments(node, _SELECT_CLAUSES, "SELECT")
        if node.args.get("locks"):
            raise read_only(_locking(node), node)
        if node.args.get("into"):
            raise unsupported("SELECT INTO from a cube", node)
        scope = Scope(parent)
        clause = from_clause(scope)
        resolver = Resolver(statement, scope, bind)
        self._state = SelectState(statement, node, scope, clause, resolver)
        self._fan_out = FanOut(self._state)
        self.names: list[str] = []
        self._bind_clauses()

    # Binding: everything is looked at once, in PostgreSQL's order of evaluation.

    def _bind_clauses(self) -> None:
        node, resolver = self._state.node, self._state.resolver
        self._state.from_clause.resolve_conditions(resolver)
        self._state.items = list(output_items(self._state))
        self.names += [item.name for item in self._state.items]
        add_row_columns(self._state)
        where = node.args.get("where")
        self._state.where = where.this if where is not None else None
        if self._state.where is not None:
            resolver.resolve(self._state.where, ROWS)
        having = node.args.get("having")
        self._state.having = having.this if having is not None else None
        order = node.args.get("order")
        self._state.order = list(order.expressions) if order is not None else []
        self._state.scope.grouped = self._is_grouped()
        self._state.groups = self._bind_group() if self._state.scope.grouped else None
        self._state.distinct_on = []
        self._state.distinct = False
        self._bind_distinct()
        self._bind_after_grouping()
        self._state.limit, self._state.offset, self._state.with_ties = limits_of(node)
        for count in (self._state.limit, self._state.offset):
            if count is not None:
                resolver.resolve(count, ROWS)
        where = self._state.where
        self._state.from_clause.bind_products(
            lambda one, other: linked(one, other, where, resolver),
            self._starred,
            grouped=self._state.scope.grouped,
        )
        self._check_rows()
        check_facts(self._state)
        if not self.is_transparent:
            use_all(self)
        if self._state.where is not None:
            self._filter_by(self._state.where)
        self._fan_out.check()

    def _check_rows(self) -> None:
        state = self._state
        for source, node in state.resolver.counted_rows:
            check_joined(state.from_clause.tree, source, node)
        for item in state.items:
            if item.row is None:
                continue
            if state.scope.grouped or state.distinct:
                what = "a whole row in a grouped or distinct SELECT"
                raise unsupported(what, item.star, WHOLE_ROW_HINT)
            check_joined(state.from_clause.tree, item.row, item.star)

    def _starred(self) -> Iterator[Source]:
        """The sources of the columns that ``*`` stands for."""
        return (item.visible.source for item in self._state.items if item.visible is not None)

    def _is_grouped(self) -> bool:
        if self._state.node.args.get("group") or self._state.having is not None:
            return True
        nodes = [item.node for item in self._state.items if item.node is not None]
        nodes += [key.this for key in self._state.order]
        return any(contains_aggregate(node) for node in nodes)

    def _bind_group(self) -> list[exp.Expr]:
        group = self._state.node.args.get("group")
        if group is None:
            return []
        refuse_other_arguments(group, frozenset({"expressions", "all"}), "GROUP BY")
        if group.args.get("all") is False and any(group.find_all(*GROUP_SETS)):
            raise unsupported("GROUP BY DISTINCT", group, "List the grouping sets once each.")
        for element in group.expressions:
            self._bind_group_element(element)
        return list(group.expressions)

    def _bind_group_element(self, node: exp.Expr) -> None:
        if isinstance(node, (*GROUP_SETS, exp.Tuple)):
            for child in node.expressions:
                self._bind_group_element(child)
            if isinstance(node, GROUP_SETS):
                self._name_keys(node)
            return
        if isinstance(node, exp.Paren):
            self._bind_group_element(node.this)
            return
        item = self._state.output_of(node, columns_first=True)
        if item is None:
            self._state.resolver.resolve(node, ROWS)
            self._state.resolver.add_group_key(node)
        elif item.node is not None:
            self._state.resolver.resolve(item.node, ROWS)
            self._state.resolver.add_group_key(item.node)

    def _name_keys(self, node: exp.Expr) -> None:
        """Tell keys of grouping sets apart that are written alike, or that no column is in."""
        state = self._state
        for key in _set_keys(node):
            item = state.output_of(key, columns_first=True)
            expression = key if item is None or item.node is None else item.node
            if item is None:
                item = next((other for other in state.items if other.node == expression), None)
            if expression.find(exp.Column, exp.Query) is None:
                if item is None:
                    raise unsupported(
                        "a constant as a key of ROLLUP, CUBE or GROUPING SETS",
                        key,
                        "Leave it out of the keys.",
                    )
                state.named_keys[id(item)] = item
            elif state.set_keys.setdefault(expression, item) is not item and item is not None:
                state.named_keys[id(item)] = item

    def _bind_distinct(self) -> None:
        distinct = self._state.node.args.get("distinct")
        if distinct is None:
            return
        on = distinct.args.get("on")
        if on is None:
            self._state.distinct = True
            return
        self._state.distinct_on = list(on.expressions) if isinstance(on, exp.Tuple) else [on]

    def _bind_after_grouping(self) -> None:
        scope, resolver = self._state.scope, self._state.resolver
        context = GROUPS if scope.grouped else ROWS
        scope.after_grouping = scope.grouped
        for item in self._state.items:
            if item.node is not None:
                resolver.resolve(item.node, context)
                self._keep_name(item)
        if self._state.having is not None:
            resolver.resolve(self._state.having, context)
        for key in [*(order.this for order in self._state.order), *self._state.distinct_on]:
            key = key.this if isinstance(key, exp.Paren) else key
            if self._state.output_of(key, columns_first=False) is None:
                resolver.resolve(key, context)
        for window in self._state.node.args.get("windows") or []:
            for child in window.iter_expressions():
                if not isinstance(child, exp.Identifier):
                    resolver.resolve(child, context)
        scope.after_grouping = False

    def _keep_name(self, item: Item) -> None:
        """Our edits of a column change the name PostgreSQL gives to the item: put it back."""
        node = item.node
        if node is None or (isinstance(node.parent, exp.Alias) and node.arg_key == "this"):
            return
        inner: exp.Expr | None = node
        while inner is not None and not isinstance(inner, exp.Column):
            if isinstance(inner, exp.Case):
                inner = inner.args.get("default")
            elif isinstance(inner, exp.Paren | exp.Cast | exp.Collate):
                inner = inner.this
            else:
                return
        if inner is None:
            return
        visible = self._state.resolver.columns.get(id(inner))
        renamed = visible is not None and visible.name != name_of(inner.this)
        if renamed or id(inner) in self._state.resolver.evaluations:
            self._state.statement.name_item(inner, item.name)

    # What the query around may ask.

    def repeated_by(self, index: int) -> str | None:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        return None if visible is None else self._fan_out.repeated_by(visible)

    def hand_up_rows(self, index: int, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        if visible is None:
            raise TypeError(self._state.items[index].name)
        source = visible.source
        beside = repeated or self._fan_out.beside(visible) is not None
        return tuple(
            RowKey(
                tuple(self._output(node) for node in key.columns),
                None
                if key.inputs is None
                else frozenset(self._hide(column(source.alias, name)) for name in key.inputs),
                tuple(self._output(node) for node in key.apart),
            )
            for key in source.row_keys(visible, repeated=beside)
        )

    def use(self, index: int) -> None:
        """See ``BoundQuery``: columns that ``*`` stands for are used where they are named."""
        for place in self._state.rows.get(index, (index,)):
            visible = self._state.items[place].visible
            if visible is not None:
                visible.source.use(visible)

    def evaluate(self, index: int, *, shared: bool) -> None:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        if visible is not None:
            visible.source.evaluate(visible, shared=shared)

    @property
    def multiplied_by(self) -> str | None:
        """See ``BoundQuery``."""
        if not self.is_transparent:
            return None
        found = (source.multiplied_by for source in self._state.scope.sources)
        return next((name for name in found if name is not None), None)

    def _filter_by(self, where: exp.Expr) -> None:
        resolver = self._state.resolver
        columns: list[VisibleColumn] | None = None
        if where.find(exp.Query) is None:
            found = (resolver.columns.get(id(node)) for node in where.walk())
            columns = [visible for visible in found if visible is not None]
        for source in self._state.scope.sources:
            source.filter_by(columns)

    def filter(self) -> None:
        """See ``BoundQuery``."""
        if self.is_transparent:
            for source in self._state.scope.sources:
                source.filter_by(None)

    def relation_key(self) -> RowKey | None:
        """See ``BoundQuery``."""
        key = self._fan_out.relation_key() if self.is_transparent else None
        return None if key is None else RowKey(tuple(self._output(n) for n in key.columns))

    def is_settled(self, index: int, measure: int) -> bool:
        """See ``BoundQuery``."""
        visible, counted = self._handed_up(index), self._handed_up(measure)
        if visible is None or counted is None or visible.source is not counted.source:
            return False
        return visible.source.is_settled(visible, counted)

    @property
    def is_transparent(self) -> bool:
        """Whether measures pass through (M9)."""
        return (
            not self._state.scope.grouped
            and not self._state.distinct
            and not self._state.distinct_on
            and self._state.limit is None
            and self._state.offset is None
            and not any(
                item.node is not None and item.node.find(exp.Window) is not None
                for item in self._state.items
            )
        )

    @property
    def is_rows(self) -> bool:
        """See ``BoundQuery``."""
        return self.is_transparent and any(source.is_rows for source in self._state.scope.sources)

    def _handed_up(self, index: int) -> VisibleColumn | None:
        """The column that an output hands up unchanged."""
        item = self._state.items[index]
        if item.visible is not None:
            return item.visible
        node = item.node
        while isinstance(node, exp.Paren):
            node = node.this
        return self._state.resolver.columns.get(id(node)) if isinstance(node, exp.Column) else None

    def time_dimension(self, index: int) -> Dimension | None:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        return None if visible is None else visible.source.time_dimension(visible)

    def is_measure(self, index: int) -> bool:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        return visible is not None and visible.is_measure and self.is_transparent

    def measure(self, index: int) -> MeasureColumn | None:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        return visible.measure if visible is not None and self.is_measure(index) else None

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        item = self._state.items[index]
        if item.row is not None:
            raise unsupported("a whole row as a value", item.star, WHOLE_ROW_HINT)
        name = self._state.demanded.get(index)
        if name is None:
            name = self._state.demanded[index] = self._state.output_names.take(
                self._state.items[index].name
            )
        return name

    def demand_rows(self) -> tuple[WholeRow, ...]:
        """See ``BoundQuery``."""
        rows: list[WholeRow] = []
        for index, item in enumerate(self._state.items):
            if item.row is None:
                self.demand(index)
            else:
                rows.append(WholeRow(index, columns_of(item.row)))
        return tuple(rows)

    def hand_up(self, index: int) -> exp.Expr:
        """See ``BoundQuery``."""
        visible = self._handed_up(index)
        if visible is None:
            raise TypeError(self._state.items[index].name)

        return self._output(visible.source.formula(visible))

    def _output(self, tree: exp.Expr) -> exp.Expr:
        """The same over hidden outputs."""
        aliases = {source.alias for source in self._state.scope.sources}

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column) and node.table in aliases:
                return column(OUTPUT, self._hide(node))
            return None

        return rebuild(tree, replace)

    def _hide(self, node: exp.Column) -> str:
        key = (node.table, node.name)
        name = self._state.hidden.get(key)
        if name is None:
            name = self._state.hidden[key] = self._state.output_names.take(f"{node.name}:input")
        return name

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``BoundQuery``."""
        if (
            isinstance(self._state.limit, exp.Literal)
            and self._state.limit.this == "1"
            and not self._state.with_ties
        ):
            yield frozenset()
        if self._state.distinct:
            yield frozenset(range(len(self._state.items)))
        if self._state.groups is not None:
            yield from self._group_keys()
        elif len(self._state.scope.sources) == 1:
            source = self._state.scope.sources[0]
            places = {
                id(visible): index
                for index in range(len(self.names))
                if (visible := self._handed_up(index)) is not None
            }
            for key in source.unique_keys():
                columns = [source.columns[index] for index in key]
                if all(id(visible) in places for visible in columns):
                    yield frozenset(places[id(visible)] for visible in columns)

    def _group_keys(self) -> Iterator[frozenset[int]]:
        if self._state.groups is None or any(
            isinstance(node, GROUP_SETS) for node in self._state.groups
        ):
            return
        places: set[int] = set()
        for key in self._state.resolver.group_keys:
            visible = self._state.resolver.columns.get(id(key))
            found = next(
                (
                    index
                    for index, item in enumerate(self._state.items)
                    if item.node is key
                    or item.node == key
                    or (visible is not None and self._handed_up(index) is visible)
                ),
                None,
            )
            if found is None:
                return
            places.add(found)
        yield frozenset(places)

    def build(self) -> Query:
        """See ``BoundQuery``."""
        if self._state.distinct or self._state.from_clause.facts:
            # All columns decide which rows there are.
            self.demand_rows()
        return build_select(self._state, self._fan_out)


def _set_keys(node: exp.Expr) -> Iterator[exp.Expr]:
    for child in node.expressions:
        if isinstance(child, (*GROUP_SETS, exp.Tuple)):
            yield from _set_keys(child)
        else:
            yield child.this if isinstance(child, exp.Paren) else child


def _locking(node: exp.Select) -> str:
    lock = node.args["locks"][0]
    if lock.args.get("update"):
        return "SELECT FOR NO KEY UPDATE" if lock.args.get("key") else "SELECT FOR UPDATE"
    return "SELECT FOR KEY SHARE" if lock.args.get("key") else "SELECT FOR SHARE"
