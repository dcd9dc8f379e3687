"""A plan as one statement of the warehouse's dialect."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from semantic.compiler.aggregate_trees import filtered
from semantic.compiler.api import Analysis, BoundValue, ResultColumn, SessionSettings
from semantic.compiler.base_tables import cubes_in
from semantic.compiler.dialect import cast_to
from semantic.compiler.emit_functions import function_call, unnested
from semantic.compiler.emit_keys import KEY_TABLE, KEY_TEXT_TABLE, key_text, with_named_keys
from semantic.compiler.emit_parts import (
    Emitted,
    add_scan_tables,
    aggregates_in,
    aliased,
    any_number_of_rows,
    checked_count,
    decided,
    final_names,
    group_key,
    is_constant,
    is_keyless,
    is_plain_count,
    joined,
    limit_with_ties,
    named_window,
    narrowed,
    number_parameters,
    ordered,
    output_name,
    plain,
    postgres_data_type,
    scan_select,
    values_select,
    with_clause,
)
from semantic.compiler.emit_portable import check_keys, prepared, written
from semantic.compiler.emit_sets import distinct_rows, matched_rows
from semantic.compiler.expressions import (
    has_apart_conditions,
    is_text_form,
    set_lists,
    translate,
    translate_column,
    translate_condition,
    translate_result,
)
from semantic.compiler.named_windows import spelled_out
from semantic.compiler.plan import (
    MEASURE_TABLE,
    AliasedRelation,
    Cte,
    CteReference,
    Derived,
    FunctionTable,
    Join,
    MeasureUse,
    OrderKey,
    Query,
    Relation,
    Scan,
    Select,
    SetOperation,
    TemporaryRows,
    Values,
    With,
    query_columns,
)
from semantic.compiler.plan_types import PlanTypes, subquery_key
from semantic.compiler.temporary import temporary_rows
from semantic.compiler.trees import all_of, column, copied, enclose, identifier, rebuild, table_of
from semantic.model.types import PostgresType

Types = tuple[PostgresType, ...]


def emit(
    plan: Query,
    analysis: Analysis,
    dialect: str,
    settings: SessionSettings,
    arrays: tuple[PostgresType, ...],
    values: Mapping[str, BoundValue],
) -> Emitted:
    """Write a plan in a dialect, every result column cast to the type announced (if any is).

    Args:
        arrays: types of the parameters behind the client's.
        values: of policies, by the names of their placeholders.
    """
    plan = prepared(plan, analysis, dialect)
    types = PlanTypes(plan, analysis)
    check_keys(plan, types, dialect)
    emitter = _Emitter(types, dialect, settings, len(analysis.parameters))
    tree = emitter.statement(plan, analysis.columns)
    uses = number_parameters(tree, (*analysis.parameters, *arrays), values)
    return Emitted(written(tree, analysis.columns, dialect), uses, cubes_in(tree))


class _Emitter:
    def __init__(
        self, types: PlanTypes, dialect: str, settings: SessionSettings, parameters: int
    ) -> None:
        self._types = types
        self._clients_parameters = parameters
        self._dialect = dialect
        self._where = dialect, types, settings
        self._translated: dict[exp.Expr, exp.Expr] = {}
        self._aliases = 0
        self._keys: dict[str, exp.Expr] = {}

    def statement(self, plan: Query, columns: tuple[ResultColumn, ...]) -> exp.Expr:
        """The outermost query."""
        if not columns:
            return self.query(plan)
        if isinstance(plan, With):
            body = self.statement(plan.body, columns)
            body.set("with_", self._with(plan.ctes))
            return body
        if isinstance(plan, Select) and not plan.distinct:
            return self._select(plan, columns)
        return self._casted(plan, columns)

    def _casted(self, plan: Query, columns: tuple[ResultColumn, ...]) -> exp.Expr:
        """Casts around a query whose own select list decides which rows are equal.

        The order moves out with them, since it would not survive inside.
        """
        order: tuple[OrderKey, ...] = ()
        limits: list[exp.Expr | None] = [None, None]
        if isinstance(plan, SetOperation):
            order, limits = plan.order, [plan.limit, plan.offset]
            inner = self._set_operation(plan, with_order=False)
        elif isinstance(plan, Select):
            order, limits = plan.order, [plan.limit, plan.offset]
            inner = self._select(plan, None, with_order=False)
        else:
            inner = self.query(plan)
        alias = "result"
        names = query_columns(plan)
        types = self._types.query(plan)
        for name, kind in zip(names, types, strict=True):
            self._types.define(alias, name, kind)
        projections = [
            aliased(self._result(column(alias, name), target, {}), final)
            for name, target, final in zip(names, columns, final_names(columns), strict=True)
        ]
        select = exp.Select(
            expressions=projections,
            from_=exp.From(
                this=exp.Subquery(this=inner, alias=exp.TableAlias(this=identifier(alias)))
            ),
        )
        if order:
            select.set("order", self._output_order(order, alias, names))
        self._limits(select, limits[0], limits[1])
        if isinstance(plan, Select) and plan.with_ties:
            limit_with_ties(select, self._dialect)
        return select

    def _output_order(
        self, order: tuple[OrderKey, ...], alias: str, names: tuple[str, ...]
    ) -> exp.Order:
        keys = [
            ordered(self._expression(column(alias, names[key.output]), {}), key)
            for key in order
            if key.output is not None
        ]
        return exp.Order(expressions=keys)

    def query(self, query: Query, targets: Types | None = None) -> exp.Expr:
        """A query anywhere but at the top, its columns in other types than its own if given."""
        if isinstance(query, With):
            body = self.query(query.body, targets)
            body.set("with_", self._with(query.ctes))
            return body
        if isinstance(query, Select):
            return self._select(query, None, targets=targets)
        if isinstance(query, SetOperation):
            return self._set_operation(query, targets)
        if isinstance(query, Values):
            return self._values(query, targets)
        raise TypeError(type(query).__name__)

    def _with(self, ctes: tuple[Cte, ...]) -> exp.With:
        types = self._types.recursive
        return with_clause((cte, self.query(cte.query, types(cte.key))) for cte in ctes)

    def _select(
        self,
        plan: Select,
        columns: tuple[ResultColumn, ...] | None,
        *,
        with_order: bool = True,
        targets: Types | None = None,
    ) -> exp.Select:
        plan = spelled_out(plan, self._dialect)
        plan = with_named_keys(plan, self._keys, self._types, self._dialect)
        uses = {use.key: use for use in plan.measures}
        select = exp.Select(
            expressions=self._projections(plan, columns, targets, uses),
            distinct=self._distinct(plan, uses),
        )
        if plan.source is not None:
            self._from(select, plan.source, uses)
        if plan.where is not None:
            where = plan.where if self._dialect == "postgres" else decided(plan.where)
            select.set("where", exp.Where(this=self._condition(where, uses)))
        if plan.group is not None:
            self._group(select, plan, uses)
        if plan.having is not None:
            select.set("having", exp.Having(this=self._condition(plan.having, uses)))
        elif is_keyless(plan) and not aggregates_in(plan):
            # What made this one row out of all was not asked for: say so otherwise.
            select.set("having", exp.Having(this=any_number_of_rows()))
        if plan.windows:
            windows = [(name, self._expression(node, uses)) for name, node in plan.windows]
            select.set("windows", [named_window(*window) for window in windows])
        if with_order:
            if plan.order:
                # PostgreSQL wants to see them there.
                ties = plan.with_ties and self._dialect == "postgres"
                needs_constants = bool(plan.distinct_on) or ties
                keys = [
                    ordered(
                        output_name(select, key, self._dialect)
                        or self._expression(key.expression, uses),
                        key,
                    )
                    for key in plan.order
                    if needs_constants or not is_constant(key.expression)
                ]
                if keys:
                    select.set("order", exp.Order(expressions=keys))
            self._limits(select, plan.limit, plan.offset)
            if plan.with_ties:
                limit_with_ties(select, self._dialect)
        return select

    def _projections(
        self,
        plan: Select,
        columns: tuple[ResultColumn, ...] | None,
        targets: Types | None,
        uses: dict[str, MeasureUse],
    ) -> list[exp.Expr]:
        if columns is None:
            kinds = targets or self._types.query(plan)
            return [
                aliased(self._column(item.expression, kind, uses), item.name)
                for item, kind in zip(plan.projections, kinds, strict=True)
            ]
        return [
            aliased(self._result(item.expression, target, uses), name)
            for item, target, name in zip(
                plan.projections, columns, final_names(columns), strict=True
            )
        ]

    def _result(
        self, node: exp.Expr, target: ResultColumn, uses: dict[str, MeasureUse]
    ) -> exp.Expr:
        return self._filled(translate_result(node, *self._where, target.type), uses)

    def _column(self, node: exp.Expr, kind: PostgresType, uses: dict[str, MeasureUse]) -> exp.Expr:
        """A projection as a column of that type, which may be the one of a set operation."""
        own = self._types.expression(node)
        if own.name != kind.name and (own.name, kind.name) != ("unknown", "text"):
            node = exp.Cast(this=node, to=postgres_data_type(kind))
        return self._filled(translate_column(node, *self._where, kind), uses)

    def _distinct(self, plan: Select, uses: dict[str, MeasureUse]) -> exp.Expr | None:
        if plan.distinct_on:
            keys = [self._expression(node, uses) for node in plan.distinct_on]
            return exp.Distinct(on=exp.Tuple(expressions=keys))
        if not plan.distinct:
            return None
        nodes = [item.expression for item in plan.projections]
        if not any(is_text_form(kind, self._dialect) for kind in self._types.query(plan)):
            return exp.Distinct()
        keys = [self._expression(node, uses) for node in nodes if not is_constant(node)]
        return exp.Distinct(on=exp.Tuple(expressions=keys) if keys else None)

    def _group(self, select: exp.Select, plan: Select, uses: dict[str, MeasureUse]) -> None:
        if not plan.group:
            return
        keys = [group_key(node, lambda key: self._expression(key, uses)) for node in plan.group]
        select.set("group", exp.Group(expressions=keys))

    def _limits(self, select: exp.Expr, limit: exp.Expr | None, offset: exp.Expr | None) -> None:
        if limit is not None:
            select.set("limit", exp.Limit(expression=self._count(limit, "2201W", "LIMIT")))
        if offset is not None:
            select.set("offset", exp.Offset(expression=self._count(offset, "2201X", "OFFSET")))

    def _count(self, node: exp.Expr, sqlstate: str, clause: str) -> exp.Expr:
        """The number of a LIMIT or OFFSET, which must not be negative."""
        if self._dialect == "postgres" or isinstance(node, exp.Literal):
            return node.copy() if is_plain_count(node) else self._expression(node, {})
        number = exp.Cast(this=node, to=exp.DataType.build("bigint"))
        return checked_count(self._expression(number, {}), sqlstate, clause)

    def _set_operation(
        self, plan: SetOperation, targets: Types | None = None, *, with_order: bool = True
    ) -> exp.Expr:
        targets = targets or self._types.query(plan)
        if any(is_text_form(kind, self._dialect) for kind in targets):
            return self._set_of_texts(plan, targets, with_order=with_order)
        kinds = {"union": exp.Union, "intersect": exp.Intersect, "except": exp.Except}
        node = kinds[plan.operator](
            this=self._side(plan.left, targets),
            expression=self._side(plan.right, targets),
            distinct=not plan.all,
        )
        if with_order:
            if plan.order:
                keys = [
                    ordered(identifier(plan.columns[key.output]), key)
                    for key in plan.order
                    if key.output is not None
                ]
                node.set("order", exp.Order(expressions=keys))
            self._limits(node, plan.limit, plan.offset)
        return node

    def _set_of_texts(self, plan: SetOperation, targets: Types, *, with_order: bool) -> exp.Expr:
        """A set operation with columns that are texts of values: rows are equal by the values."""
        left, right = self._side(plan.left, targets), self._side(plan.right, targets)
        alias, keys = self._values_of(plan.columns, targets)
        if plan.operator == "union":
            node: exp.Expr = exp.Union(this=left, expression=right, distinct=False)
            if not plan.all:
                node = distinct_rows(node, alias, plan.columns, keys)
        else:
            other, other_keys = self._values_of(plan.columns, targets)
            node = matched_rows(
                (left, alias, keys),
                (right, other, other_keys),
                plan.columns,
                negated=plan.operator == "except",
                distinct=not plan.all,
            )
        if not with_order or not (plan.order or plan.limit or plan.offset):
            return node
        alias, _ = self._values_of(plan.columns, targets)
        select = distinct_rows(node, alias, plan.columns, None)
        if plan.order:
            select.set("order", self._output_order(plan.order, alias, plan.columns))
        self._limits(select, plan.limit, plan.offset)
        return select

    def _values_of(self, names: tuple[str, ...], kinds: Types) -> tuple[str, list[exp.Expr]]:
        """A new alias for a query with these columns, and the columns' values under it."""
        self._aliases += 1
        alias = f"set:{self._aliases}"
        for name, kind in zip(names, kinds, strict=True):
            self._types.define(alias, name, kind)
        return alias, [self._expression(column(alias, name), {}) for name in names]

    def _side(self, plan: Query, targets: Types) -> exp.Expr:
        """One side of a set operation, in the types that both sides have."""
        side = self.query(plan, targets)
        plain = isinstance(plan, Select) and not plan.order
        if plain and side.args.get("limit") is None and side.args.get("offset") is None:
            return side
        return exp.Subquery(this=side)

    def _values(self, plan: Values, targets: Types | None) -> exp.Expr:
        targets = targets or self._types.query(plan)
        rows = []
        for row in plan.rows:
            items = [
                self._column(item, target, {}) for item, target in zip(row, targets, strict=True)
            ]
            rows.append(exp.Tuple(expressions=items))
        return values_select(rows, plan.columns)

    def _from(self, select: exp.Select, source: Relation, uses: dict[str, MeasureUse]) -> None:
        if isinstance(source, Scan) and source.inline:
            add_scan_tables(select, self._narrowed(source))
            return
        first, joins = self._flat(source, uses)
        select.set("from_", exp.From(this=first))
        select.set("joins", joins or None)

    def _flat(
        self, source: Relation, uses: dict[str, MeasureUse]
    ) -> tuple[exp.Expr, list[exp.Expr]]:
        """A join tree as a first table and the joins that follow it."""
        if not isinstance(source, Join):
            return self._relation(source), []
        first, joins = self._flat(source.left, uses)
        right_first, right_joins = self._flat(source.right, uses)
        condition = None if source.condition is None else self._condition(source.condition, uses)
        if source.model_condition is not None:
            model = copied(source.model_condition)
            condition = all_of([model] if condition is None else [model, condition])
        made = joined(source, right_first, right_joins, condition, self._dialect, self._types)
        return first, [*joins, made]

    def _relation(self, relation: Relation) -> exp.Expr:
        if not isinstance(relation, AliasedRelation):
            raise TypeError(type(relation).__name__)
        if isinstance(relation, TemporaryRows):
            return temporary_rows(relation, self._dialect, self._clients_parameters)
        if isinstance(relation, FunctionTable):
            return self._function_table(relation)
        alias = exp.TableAlias(this=identifier(relation.alias))
        if isinstance(relation, Scan):
            return exp.Subquery(this=scan_select(self._narrowed(relation)), alias=alias)
        if isinstance(relation, Derived):
            if relation.lateral:
                lateral = exp.Subquery(this=self.query(relation.query))
                return exp.Lateral(this=lateral, alias=alias)
            return exp.Subquery(this=self.query(relation.query), alias=alias)
        name = relation.cte if isinstance(relation, CteReference) else relation.table
        return exp.Table(this=identifier(name), alias=alias)

    def _narrowed(self, scan: Scan) -> Scan:
        conditions = [self._condition(item, {}) for item in scan.pushed]
        return narrowed(scan, conditions) if conditions else scan

    def _function_table(self, table: FunctionTable) -> exp.Expr:
        lists = set_lists(table.function, table.arguments, *self._where)
        if lists is None:
            arguments = [self._expression(item, {}) for item in table.arguments]
            return function_call(table, arguments)
        return unnested(table, [self._filled(item, {}) for item in lists])

    def _expression(self, node: exp.Expr, uses: dict[str, MeasureUse]) -> exp.Expr:
        """A plan expression in the dialect, its placeholders filled in."""
        is_column = isinstance(node, exp.Column)
        if is_column and not is_text_form(self._types.expression(node), self._dialect):
            return self._fill_in(node, uses) or copied(node)
        known = self._translated.get(node)
        if known is None:
            tree = translate(node, *self._where)
            known = self._translated[node] = self._filled(tree, uses)
            return known
        # A grouping key comes back in the select list and the order: copying is the cheaper way.
        return copied(known)

    def _condition(self, node: exp.Expr, uses: dict[str, MeasureUse]) -> exp.Expr:
        """A plan expression where a condition stands."""
        if not has_apart_conditions(self._dialect):
            return self._expression(node, uses)
        return self._filled(translate_condition(node, *self._where), uses)

    def _filled(self, tree: exp.Expr, uses: dict[str, MeasureUse]) -> exp.Expr:
        """A translation with its placeholders filled in."""
        places = [item for item in tree.walk() if isinstance(item, exp.Column | exp.Select)]
        for place in places:
            value = self._fill_in(place, uses)
            if value is not None:
                # The translation is a tree of our own, which may be changed in place.
                if place is tree:
                    return value
                place.replace(value)
        return tree

    def _fill_in(self, node: exp.Expr, uses: dict[str, MeasureUse]) -> exp.Expr | None:
        if isinstance(node, exp.Column):
            table = table_of(node)
            if table == MEASURE_TABLE:
                return enclose(self._measure(uses[node.name], uses))
            if table == KEY_TABLE:
                return enclose(plain(self._expression(self._keys[node.name], uses)))
            if table == KEY_TEXT_TABLE:
                grouped = self._keys[node.name]
                text = self._column(grouped, self._types.column(node), uses)
                return key_text(plain(self._expression(grouped, uses)), text)
            return self._inlined(node)
        key = subquery_key(node)
        if key is not None:
            return self.query(self._types.subquery_plan(key))
        return None

    def _inlined(self, node: exp.Column) -> exp.Expr | None:
        """What an inline scan computes for a column; None where the column exists."""
        relation = self._types.find_relation(table_of(node))
        if not isinstance(relation, Scan) or not relation.inline:
            return None
        return enclose(copied(self._types.scan_column(relation, node.name).expression))

    def _measure(self, use: MeasureUse, uses: dict[str, MeasureUse]) -> exp.Expr:
        if use.portable or use.type is None:
            call = use.formula
            if use.filter is not None:
                call = exp.Filter(this=call, expression=exp.Where(this=use.filter))
            return self._column(call, self._types.column(column(MEASURE_TABLE, use.key)), uses)
        formula = rebuild(use.formula, lambda node: self._fill_in(node, uses))
        if use.filter is not None:
            condition = self._condition(use.filter, uses)
            formula = rebuild(formula, lambda node: filtered(node, condition))
        return cast_to(formula, use.type, self._dialect)
