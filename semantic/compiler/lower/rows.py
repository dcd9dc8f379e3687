"""The rows that the parts of a SELECT are about, copied for each part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.emit_parts import is_constant
from semantic.compiler.lower.contexts import RowColumns
from semantic.compiler.lower.copies import Copy, PlanNames, subqueries_of
from semantic.compiler.names import Names
from semantic.compiler.plan import Derived, MeasureUse, Projection, Select
from semantic.compiler.stages import Leaf, children_of, spec_of
from semantic.compiler.trees import all_of, column, is_column_of, rebuild


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that all parts of a SELECT are about.

    Attributes:
        select: the SELECT; parts read copies of its source.
        use: the measure that parts are made for, of which leaves inherit what they do not say.
    """

    select: Select
    use: MeasureUse
    columns: RowColumns
    names: PlanNames

    def copy(self, where: tuple[exp.Expr, ...]) -> tuple[Copy, exp.Expr | None]:
        """A copy of the SELECT's source, and conditions over it."""
        wanted = subqueries_of(where, self.select)
        copy = Copy(self.names, self.columns.relation, wanted)
        condition = all_of([copy.expression(node) for node in where])
        return copy, condition

    def leaf_use(
        self, leaf: exp.Expr, alias: str, change: Callable[[exp.Expr], exp.Expr]
    ) -> MeasureUse:
        """A leaf as a measure of a part whose rows have an alias."""
        spec = spec_of(leaf)
        if not isinstance(spec, Leaf):
            raise TypeError(type(spec).__name__)
        return replace(
            self.use,
            key=self.names.key(),
            name=spec.name,
            alias=alias,
            formula=change(children_of(leaf)[0]),
            portable=spec.portable,
            type=spec.type,
            filter=None,
        )


class RowSubquery:
    """The rows as a subquery that holds what the join and the leaves need."""

    def __init__(self, rows: Rows, where: tuple[exp.Expr, ...]) -> None:
        self._scan = rows.columns.alias
        self._copy, self._condition = rows.copy(where)
        self.alias = rows.names.alias("rows")
        self._names = Names()
        self._columns: dict[exp.Expr, str] = {}

    def column(self, node: exp.Expr) -> exp.Expr:
        """A column that holds an expression over the scan."""
        if is_constant(node):
            return node
        name = self._columns.get(node)
        if name is None:
            name = self._columns[node] = self._names.take(_hint(node))
        return column(self.alias, name)

    def expression(self, node: exp.Expr) -> exp.Expr:
        """An expression over the scan's columns, each of them handed through."""

        def handed(item: exp.Expr) -> exp.Expr | None:
            return self.column(item) if is_column_of(item, self._scan) else None

        return rebuild(node, handed)

    def make(self) -> Derived:
        """The subquery; nothing may be asked for afterwards."""
        copy: Copy = self._copy
        projections = tuple(
            Projection(name, copy.expression(node)) for node, name in self._columns.items()
        ) or (Projection("one", exp.Literal.number(1)),)
        return Derived(
            self.alias,
            Select(
                projections=projections,
                source=copy.relation,
                where=self._condition,
                subqueries=copy.subqueries,
            ),
        )


def _hint(node: exp.Expr) -> str:
    inner = node.find(exp.Column)
    return "value" if inner is None else inner.name
