"""A SELECT over a join as one over a subquery of the joined rows, which parts can read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.lower.copies import PlanNames, subqueries_of
from semantic.compiler.lower.grouped import aliases_of
from semantic.compiler.names import Names
from semantic.compiler.plan import (
    CteReference,
    Derived,
    Join,
    MeasureUse,
    Projection,
    Relation,
    RowKey,
    Scan,
    Select,
)
from semantic.compiler.rewrite.tools import join_conditions, with_expressions
from semantic.compiler.trees import column, rebuild, table_of
from semantic.errors import UnsupportedError


def over_joined_rows(select: Select, names: PlanNames) -> Select:
    """The same SELECT, its source a subquery if it is a join.

    Raises:
        UnsupportedError: something is joined that cannot be read again.
    """
    if not isinstance(select.source, Join):
        return select
    for item in _leaves(select.source):
        lateral = isinstance(item, Derived) and item.lateral
        if lateral or not isinstance(item, Scan | Derived | CteReference):
            raise UnsupportedError(
                "a measure with a context of its own beside LATERAL or a function in FROM is not "
                "supported",
                hint="Compute the measure in a grouped subquery over its cube alone, and join it.",
            )
    return _Moved(select, select.source, names).make()


class _Moved:
    def __init__(self, select: Select, source: Join, names: PlanNames) -> None:
        self._select = select
        self._source = source
        self._aliases = aliases_of(source)
        self._alias = names.alias("joined")
        self._names = Names()
        self._columns: dict[tuple[str, str], str] = {}

    def make(self) -> Select:
        outer = with_expressions(replace(self._select, source=None, measures=()), self._expression)
        uses = tuple(self._use(use) for use in self._select.measures)
        # Keys come last: of equal columns the first one counts, and only a key's type is not known.
        uses = tuple(map(self._with_keys, uses))
        projections = tuple(
            Projection(name, column(*key)) for key, name in self._columns.items()
        ) or (Projection("one", exp.Literal.number(1)),)
        inside = subqueries_of(list(join_conditions(self._source)), self._select)
        rows = Select(projections=projections, source=self._source, subqueries=inside)
        return replace(outer, source=Derived(self._alias, rows), measures=uses)

    def _expression(self, node: exp.Expr) -> exp.Expr:
        def moved(item: exp.Expr) -> exp.Expr | None:
            if isinstance(item, exp.Column) and table_of(item) in self._aliases:
                return column(self._alias, self._name(table_of(item), item.name))
            return None

        return rebuild(node, moved)

    def _name(self, table: str, name: str) -> str:
        key = (table, name)
        if key not in self._columns:
            self._columns[key] = self._names.take(name)
        return self._columns[key]

    def _use(self, use: MeasureUse) -> MeasureUse:
        return replace(
            use,
            formula=self._expression(use.formula),
            filter=None if use.filter is None else self._expression(use.filter),
        )

    def _with_keys(self, use: MeasureUse) -> MeasureUse:
        keys = tuple(self._row_key(key, use.alias) for key in use.row_keys)
        return replace(use, alias=self._alias, row_keys=keys)

    def _row_key(self, key: RowKey, alias: str) -> RowKey:
        inputs = key.inputs
        return replace(
            key,
            columns=tuple(self._expression(node) for node in key.columns),
            inputs=None if inputs is None else frozenset(self._name(alias, n) for n in inputs),
            apart=tuple(self._expression(node) for node in key.apart),
        )


def _leaves(relation: Relation) -> Iterator[Relation]:
    if isinstance(relation, Join):
        yield from _leaves(relation.left)
        yield from _leaves(relation.right)
    else:
        yield relation
