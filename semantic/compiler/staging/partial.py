"""Rows of one data source added up before they are joined with those of another.

Rows that agree in all that the rest of a statement sees of them are joined alike. So they may be
fetched as one group with its sums, counts and extremes, which the grouping around the join adds up:
every group is joined with as many rows as each of its own would be. Nothing is done where that
would not be the same to the last digit, as with sums of doubles, or where rows agree in values that
are equal and not the same, such as 0 and -0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.expressions.types import has_one_form
from semantic.compiler.plan import (
    Derived,
    Join,
    MeasureUse,
    PlanNode,
    Projection,
    Query,
    Relation,
    Scan,
    Select,
    walk,
)
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import bottom_up, expressions_of, is_volatile
from semantic.compiler.staging.closure import columns_of, data_sources, is_correlated
from semantic.compiler.staging.groups import filtered, quotient
from semantic.compiler.trees import all_of, column, conjuncts, grouping_keys, rebuild, table_of
from semantic.model.types import INT2, INT4, INT8, NUMERIC

_EXACT = frozenset(kind.name for kind in (INT2, INT4, INT8, NUMERIC))
_EXTREMES = exp.Min | exp.Max
_TAKE_EQUALS_ALIKE = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.Distinct)


def add_up_early(plan: Query, types: PlanTypes) -> Query:
    """A plan that fetches groups instead of rows where it joins data sources.

    Args:
        plan: over several data sources.
        types: of the plan.
    """

    def changed(node: PlanNode) -> PlanNode:
        if not isinstance(node, Select) or node.group is None or not isinstance(node.source, Join):
            return node
        if len(data_sources(node.source)) < 2 or not _is_simple(node):
            return node
        for scan in _kept_whole(node.source):
            made = _Early(node, scan, types).made()
            if made is not None:
                return made
        return node

    return bottom_up(plan, changed)


def _is_simple(select: Select) -> bool:
    """Whether all of it is PostgreSQL's, says the same of equal rows, and has no windows."""
    nodes = list(walk(select))
    return (
        all(node.model_condition is None for node in nodes if isinstance(node, Join))
        and not any(is_volatile(tree) for node in nodes for tree in expressions_of(node))
        and not any(tree.find(exp.Window) for tree in expressions_of(select))
        and not any(is_correlated(item.query) for item in select.subqueries)
        and all(use.portable and not use.row_keys for use in select.measures)
    )


def _kept_whole(relation: Relation) -> Iterator[Scan]:
    """The scans of which no join puts NULLs in the place of rows."""
    if isinstance(relation, Scan):
        yield relation
    elif isinstance(relation, Join):
        if relation.kind in ("INNER", "CROSS", "LEFT"):
            yield from _kept_whole(relation.left)
        if relation.kind in ("INNER", "CROSS", "RIGHT"):
            yield from _kept_whole(relation.right)


@dataclass(slots=True)
class _Early:
    """One scan of a grouping SELECT, made groups."""

    select: Select
    scan: Scan
    types: PlanTypes
    parts: dict[exp.Expr, str] = field(default_factory=dict)
    keys: dict[exp.Expr, str] = field(default_factory=dict)
    possible: bool = True

    def made(self) -> Select | None:
        """The SELECT over the groups; None where they would not do for it."""
        select = self.select
        grouping = list(grouping_keys(select.group or ()))
        for key in grouping:
            if self._is_own(key):
                self.keys.setdefault(key, f"key:{len(self.keys) + 1}")
                self.possible &= self._has_one_form(key) or not _is_inside(key, grouping)
        conditions = conjuncts(select.where)
        own = [item for item in conditions if self._is_own(item)]
        changed = replace(
            select,
            projections=tuple(
                replace(item, expression=self._over(item.expression)) for item in select.projections
            ),
            where=all_of([item for item in conditions if item not in own]),
            group=tuple(self._over(node) for node in select.group or ()),
            having=None if select.having is None else self._over(select.having),
            distinct_on=tuple(self._over(node) for node in select.distinct_on),
            order=tuple(
                replace(key, expression=self._over(key.expression)) for key in select.order
            ),
            measures=tuple(self._measure(use) for use in select.measures),
        )
        if not self.possible or not self.parts or select.source is None:
            return None
        groups = self._groups(changed, own)
        if groups is None:
            return None
        source = bottom_up(select.source, lambda node: groups if node == self.scan else node)
        return replace(changed, source=source)

    def _groups(self, rest: Select, own: list[exp.Expr]) -> Derived | None:
        """The scan's rows by all that the rest of the SELECT sees of them, under its alias.

        None where that is nothing: there would be a group without rows. And where it tells equal
        values apart.
        """
        alias = self.scan.alias
        made = {*self.parts.values(), *self.keys.values()}
        columns = [
            item
            for node in walk(rest)
            for item in columns_of(node)
            if table_of(item) == alias and item.name not in made
        ]
        if not all(
            isinstance(item.parent, _TAKE_EQUALS_ALIKE) or self._has_one_form(item)
            for item in columns
        ):
            return None
        seen = dict.fromkeys(item.name for item in columns)
        inner = f"{alias}:rows"

        def below(node: exp.Expr) -> exp.Expr | None:
            is_own = isinstance(node, exp.Column) and table_of(node) == alias
            return column(inner, node.name) if is_own else None

        keys = {
            **{name: column(inner, name) for name in seen},
            **{name: rebuild(node, below) for node, name in self.keys.items()},
        }
        if not keys:
            return None
        values = {name: rebuild(node, below) for node, name in self.parts.items()}
        query = Select(
            projections=tuple(Projection(*item) for item in (*keys.items(), *values.items())),
            source=replace(self.scan, alias=inner),
            where=all_of([rebuild(item, below) for item in own]),
            group=tuple(keys.values()),
        )
        return Derived(alias, query)

    def _is_own(self, condition: exp.Expr) -> bool:
        """Whether a condition is on the scan's rows alone."""
        columns = list(condition.find_all(exp.Column))
        if not columns or condition.find(exp.Query) or is_volatile(condition):
            return False
        return all(table_of(item) == self.scan.alias for item in columns)

    def _measure(self, use: MeasureUse) -> MeasureUse:
        formula = use.formula
        if use.filter is not None:
            formula = exp.Filter(this=formula, expression=exp.Where(this=use.filter))
        return replace(use, formula=self._over(formula), filter=None)

    def _over(self, tree: exp.Expr) -> exp.Expr:
        return rebuild(tree, self._place)

    def _place(self, node: exp.Expr) -> exp.Expr | None:
        if node in self.keys:
            return column(self.scan.alias, self.keys[node])
        call, where = node, None
        if isinstance(node, exp.Filter):
            call, where = node.this, node.expression
        return self._total(call, where) if is_aggregate(call) else None

    def _total(self, call: exp.Expr, where: exp.Expr | None) -> exp.Expr:
        """What an aggregate over rows is over groups."""
        own = all(
            table_of(item) == self.scan.alias
            for tree in (call, where)
            if tree is not None
            for item in tree.find_all(exp.Column)
        )
        if isinstance(call.this, exp.Distinct) or (isinstance(call, _EXTREMES) and not own):
            # How often there is a value says nothing.
            self.possible &= isinstance(call, exp.Count | _EXTREMES)
            return filtered(call, where)
        if not own:
            self.possible = False
        elif isinstance(call, _EXTREMES):
            return type(call)(this=self._part(call, where))
        elif isinstance(call, exp.Count):
            return self._count(call, where)
        elif isinstance(call, exp.Sum | exp.Avg) and self._kind(call.this) in _EXACT:
            if isinstance(call, exp.Sum):
                return self._sum(call, where)
            count = self._count(exp.Count(this=call.this.copy()), where)
            return quotient(self._sum(exp.Sum(this=call.this.copy()), where), count, "decimal")
        else:
            self.possible = False
        return call

    def _sum(self, call: exp.Sum, where: exp.Expr | None) -> exp.Expr:
        total = exp.Sum(this=self._part(call, where))
        return exp.cast(total, "bigint") if self._kind(call) == INT8.name else total

    def _count(self, call: exp.Count, where: exp.Expr | None) -> exp.Expr:
        total = exp.cast(exp.Sum(this=self._part(call, where)), "bigint")
        return exp.Coalesce(this=total, expressions=[exp.cast(exp.Literal.number(0), "bigint")])

    def _has_one_form(self, node: exp.Expr) -> bool:
        return has_one_form(self.types.expression(node))

    def _kind(self, node: exp.Expr) -> str:
        return self.types.expression(node).name

    def _part(self, call: exp.Expr, where: exp.Expr | None) -> exp.Column:
        name = self.parts.setdefault(filtered(call, where), f"part:{len(self.parts) + 1}")
        return column(self.scan.alias, name)


def _is_inside(key: exp.Expr, grouping: list[exp.Expr]) -> bool:
    """Whether another key is computed of a key."""
    return any(node == key for other in grouping if other != key for node in other.walk())
