"""Splits a plan into what warehouses compute and what the stage does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from sqlglot import exp

from semantic.compiler.aggregates import contains_aggregate
from semantic.compiler.names import fold
from semantic.compiler.plan import (
    Cte,
    Derived,
    FunctionTable,
    Join,
    MeasureUse,
    Projection,
    Query,
    Relation,
    Scan,
    Select,
    SetOperation,
    StageRows,
    Subquery,
    Values,
    With,
    query_columns,
    walk,
)
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import everywhere, is_volatile
from semantic.compiler.staging.closure import aliases_in, data_sources, is_closed
from semantic.compiler.staging.drafts import Draft, pruned
from semantic.compiler.staging.groups import Groups, group_apart
from semantic.compiler.staging.sets import parts, united
from semantic.compiler.staging.warehouses import Warehouses
from semantic.compiler.trees import all_of, column, conjuncts, rebuild, table_of
from semantic.errors import UnsupportedError


@dataclass(slots=True)
class Splitter:
    """Splits one plan.

    Attributes:
        reason: why it is split at all.
        drafts: what is fetched.
    """

    plan: Query
    types: PlanTypes
    warehouses: Warehouses
    reason: str
    drafts: list[Draft] = field(default_factory=list)
    _refused: str = ""
    _moved: dict[tuple[str, str], exp.Column] = field(default_factory=dict)
    _names: Callable[[], str] = field(init=False)

    def __post_init__(self) -> None:
        taken = {fold(alias) for alias in aliases_in(self.plan)}
        taken |= {fold(node.key) for node in walk(self.plan) if isinstance(node, Cte)}
        free = (name for number in count(1) if (name := f"stage_{number}") not in taken)
        self._names = lambda: next(free)

    def split(self) -> Query:
        """The rest of the plan, over the rows of ``drafts``.

        Raises:
            UnsupportedError: something of it has to be computed by a warehouse, and cannot be.
        """
        rest = everywhere(self._query(self.plan, outermost=True), self._over_moved)
        rest, self.drafts = pruned(rest, self.drafts)
        return rest

    def _query(self, query: Query, *, outermost: bool = False) -> Query:
        """A query over fetched rows."""
        whole = None if outermost else self._whole(query)
        if whole is not None:
            return whole
        if isinstance(query, With):
            ctes = tuple(replace(cte, query=self._query(cte.query)) for cte in query.ctes)
            return replace(query, ctes=ctes, body=self._query(query.body, outermost=outermost))
        if isinstance(query, Select):
            return self._grouped(query) or self._limited(query) or self._select(query)
        if isinstance(query, SetOperation):
            left, right = self._query(query.left), self._query(query.right)
            # Numbers may be kept with their decimals on one side only.
            return replace(query, left=left, right=right, uniform=False)
        if isinstance(query, Values):
            return replace(query, subqueries=self._subqueries(query.subqueries))
        raise TypeError(type(query).__name__)

    def _subqueries(self, subqueries: Sequence[Subquery]) -> tuple[Subquery, ...]:
        return tuple(replace(item, query=self._query(item.query)) for item in subqueries)

    def _fetch(self, query: Query, kind: str, alias: str = "") -> StageRows | None:
        """The rows of a query that one warehouse computes; None where none does."""
        sources = data_sources(query)
        if len(sources) != 1 or not is_closed(query):
            return None
        refusal = self.warehouses.refusal(query, sources[0])
        if refusal:
            self._refused = refusal
            return None
        table = self._names()
        columns = zip(query_columns(query), self.warehouses.kinds(query), strict=True)
        rows = StageRows(alias or table, table, tuple(columns))
        reason = self._refused or self.reason
        self.drafts.append(Draft(rows, query, sources[0], kind, reason))
        return rows

    def _whole(self, query: Query) -> Query | None:
        rows = self._fetch(query, "query")
        return None if rows is None else _all_of(rows)

    def _grouped(self, select: Select) -> Query | None:
        """A grouping that the warehouse does, whatever is done with the groups."""
        if select.group is None or select.source is None:
            return None
        for averages in (False, True):
            alias = f"{next(iter(sorted(aliases_in(select.source))), '')}:groups"
            groups = group_apart(select, alias, self.types, averages=averages)
            if groups is None:
                return None
            rows = self._fetch(groups.fetch, "groups", alias) or self._grouped_by_sets(
                groups.fetch, alias
            )
            if rows is not None:
                return self._over_groups(groups, rows)
        return None

    def _grouped_by_sets(self, fetch: Select, alias: str) -> Derived | None:
        """The rows of several groupings, each of which the warehouse does."""
        found: list[Select] = []
        drafts = len(self.drafts)
        for part in parts(fetch, self.types):
            rows = self._fetch(part.fetch, "groups")
            if rows is None:
                del self.drafts[drafts:]
                return None
            found.append(part.over(rows, query_columns(fetch)))
        return united(found, alias) if found else None

    def _over_groups(self, groups: Groups, rows: Relation) -> Query:
        rest = groups.over(rows)
        return replace(rest, subqueries=self._subqueries(rest.subqueries))

    def _limited(self, select: Select) -> Query | None:
        """The first rows only, where the warehouse finds out which those are."""
        source = select.source
        if select.limit is None or source is None or not _is_plain(select):
            return None
        if not _is_readable(source) or select.subqueries:
            return None
        fetch = Select(
            projections=self._columns(source),
            source=source,
            where=select.where,
            order=tuple(replace(key, output=None) for key in select.order),
            limit=select.limit,
            offset=select.offset,
            with_ties=select.with_ties,
        )
        rows = self._rows(fetch, source)
        if rows is None:
            return None
        return replace(select, source=rows, where=None, limit=None, offset=None, with_ties=False)

    def _select(self, select: Select) -> Query:
        conditions = conjuncts(select.where)
        source = None
        if select.source is not None:
            source = self._relation(select.source, conditions)
        for use in select.measures:
            _check_portable(use, self._refused or self.reason)
        return replace(
            select,
            source=source,
            where=all_of(conditions),
            subqueries=self._subqueries(select.subqueries),
        )

    def _relation(self, relation: Relation, conditions: list[exp.Expr]) -> Relation:
        """A relation over fetched rows.

        Args:
            relation: of FROM.
            conditions: of WHERE, which hold for its rows; those that a fetch applies are taken out.
        """
        if isinstance(relation, Join):
            found = self._tree(relation, conditions)
            return found if found is not None else self._joined(relation, conditions)
        if isinstance(relation, Scan):
            rows = self._rows_of(relation, conditions)
            if rows is None:
                raise self._not_fetched(relation)
            return rows
        if isinstance(relation, Derived):
            rows = self._fetch(relation.query, _kind(relation.query), relation.alias)
            return rows or replace(relation, query=self._query(relation.query))
        if isinstance(relation, FunctionTable):
            return replace(relation, subqueries=self._subqueries(relation.subqueries))
        return relation

    def _joined(self, join: Join, conditions: list[exp.Expr]) -> Relation:
        if join.model_condition is not None:
            raise UnsupportedError(
                f"the model's join {join.path} is not supported in this statement",
                hint="Its condition is in the SQL of the warehouse, which cannot do the join.",
                detail=self.reason or None,
            )
        # What an outer join fills up with NULLs is not to be filtered before it.
        left = conditions if join.kind in ("INNER", "CROSS", "LEFT") else []
        right = conditions if join.kind in ("INNER", "CROSS", "RIGHT") else []
        return replace(
            join,
            left=self._relation(join.left, left),
            right=self._relation(join.right, right),
        )

    def _tree(self, join: Join, conditions: list[exp.Expr]) -> Relation | None:
        """Joins that multiply no rows, and those that only the warehouse has the condition of."""
        joins = [node for node in walk(join) if isinstance(node, Join)]
        if not all(node.is_to_one or node.model_condition is not None for node in joins):
            return None
        return self._rows_of(join, conditions) if _is_readable(join) else None

    def _rows_of(self, relation: Relation, conditions: list[exp.Expr]) -> StageRows | None:
        """The rows of a relation that satisfy as many conditions as its warehouse can tell."""
        known = aliases_in(relation)
        possible = [item for item in conditions if _is_over(item, known)]
        plain = Select(projections=self._columns(relation), source=relation)
        sources = data_sources(plain)
        if len(sources) != 1 or not is_closed(plain):
            return None

        def filtered(parts: list[exp.Expr]) -> Select:
            return replace(plain, where=all_of(parts))

        def refused(parts: list[exp.Expr]) -> str:
            return self.warehouses.refusal(filtered(parts), sources[0])

        applied = possible
        if refused(possible):
            applied = []
            for item in possible:
                if not refused([*applied, item]):
                    applied.append(item)
        rows = self._rows(filtered(applied), relation)
        if rows is not None:
            for item in applied:
                conditions.remove(item)
        return rows

    def _rows(self, fetch: Select, relation: Relation) -> StageRows | None:
        alias = relation.alias if isinstance(relation, Scan) else ""
        rows = self._fetch(fetch, "rows", alias)
        if rows is not None and not isinstance(relation, Scan):
            for item in fetch.projections:
                assert isinstance(item.expression, exp.Column)
                place = (table_of(item.expression), item.expression.name)
                self._moved[place] = column(rows.alias, item.name)
        return rows

    def _columns(self, relation: Relation) -> tuple[Projection, ...]:
        """All columns of a relation's scans and subqueries."""
        if isinstance(relation, Scan):
            names = [item.name for item in relation.columns]
            found = [Projection(name, column(relation.alias, name)) for name in names]
            return tuple(found) or (Projection("one", exp.Literal.number(1)),)
        columns = [
            column(leaf.alias, name) for leaf in _leaves(relation) for name in _names_of(leaf)
        ]
        return tuple(Projection(f"c{i}", item) for i, item in enumerate(columns, start=1)) or (
            Projection("one", exp.Literal.number(1)),
        )

    def _over_moved(self, tree: exp.Expr) -> exp.Expr:
        def moved(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                return self._moved.get((table_of(node), node.name))
            return None

        return rebuild(tree, moved) if self._moved else tree

    def _not_fetched(self, scan: Scan) -> UnsupportedError:
        query = Select(projections=self._columns(scan), source=scan)
        why = self.warehouses.refusal(query, scan.data_source)
        return UnsupportedError(
            f"the rows of {scan.relation} cannot be read from data source {scan.data_source}: "
            f"{why}",
            hint="What a policy or the model's own SQL says has to be said by the warehouse.",
        )


def _kind(query: Query) -> str:
    return "groups" if isinstance(query, Select) and query.group is not None else "query"


def _is_plain(select: Select) -> bool:
    """Whether a SELECT has a row for each row of its source, as far as LIMIT lets it."""
    if select.group is not None or select.distinct or select.distinct_on or select.windows:
        return False
    trees = [
        *(item.expression for item in select.projections),
        *(key.expression for key in select.order),
    ]
    return not any(tree.find(exp.Window) or contains_aggregate(tree) for tree in trees)


def _is_readable(relation: Relation) -> bool:
    """Whether all columns of a relation are known by their names."""
    if isinstance(relation, Join):
        return _is_readable(relation.left) and _is_readable(relation.right)
    return isinstance(relation, Scan | Derived)


def _leaves(relation: Relation) -> list[Scan | Derived]:
    if isinstance(relation, Join):
        return [*_leaves(relation.left), *_leaves(relation.right)]
    assert isinstance(relation, Scan | Derived)
    return [relation]


def _names_of(leaf: Scan | Derived) -> tuple[str, ...]:
    if isinstance(leaf, Scan):
        return tuple(item.name for item in leaf.columns)
    return query_columns(leaf.query)


def _is_over(condition: exp.Expr, aliases: frozenset[str]) -> bool:
    """Whether a condition is one on rows of these relations, and always the same for a row."""
    columns = list(condition.find_all(exp.Column))
    if condition.find(exp.Query) or is_volatile(condition) or not columns:
        return False
    return all(table_of(item) in aliases for item in columns)


def _check_portable(use: MeasureUse, reason: str) -> None:
    if not use.portable:
        raise UnsupportedError(
            f"measure {use.name} is in the SQL of its data source, which does not do this grouping",
            hint="Group by dimensions that the data source computes, in a subquery.",
            detail=reason or None,
            position=use.position,
        )


def _all_of(rows: StageRows) -> Select:
    return Select(
        projections=tuple(Projection(name, column(rows.alias, name)) for name, _ in rows.columns),
        source=rows,
    )
