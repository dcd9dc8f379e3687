"""Evaluation contexts: over which rows, and for which groups, a stage's value is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.emit_parts import is_constant
from semantic.compiler.plan import SUBQUERY_TABLE, Derived, Join, Relation, Scan, Select, walk
from semantic.compiler.stages import Shift, Window
from semantic.compiler.trees import column, rebuild, table_of
from semantic.errors import UnsupportedError
from semantic.model.types import TEXT, UNKNOWN, PostgresType

# What is only counted has these, whatever it is: of equal columns the other one is taken.
_UNTOLD = (UNKNOWN, TEXT)
# Stands for a group's key, by place, in ``Context.mapping``.
GROUP_KEY = "group:"


@dataclass(frozen=True, slots=True)
class Context:
    """Rows and how they fall into groups.

    Attributes:
        where: conditions over the rows; all must hold.
        keys: the keys over the rows.
        mapping: the values of the keys that a group looks up, over the group's own (``GROUP_KEY``).
        moments: time dimensions that are shifted, with what stands for them.
        window: how the rows' time has to lie to the group's time, and which time dimension it is.
        held: conditions on that time which are checked when it is known.
    """

    where: tuple[exp.Expr, ...]
    keys: tuple[exp.Expr, ...]
    mapping: tuple[exp.Expr, ...]
    moments: tuple[tuple[exp.Column, exp.Expr], ...] = ()
    window: tuple[Window | Shift, exp.Column] | None = None
    held: tuple[exp.Expr, ...] = ()

    def moment(self, time: exp.Column) -> exp.Expr:
        """The time of a row."""
        return dict(self.moments).get(time, time)

    def restricted(self, condition: exp.Expr) -> Context:
        """Only the rows for which a condition holds."""
        return replace(self, where=(*self.where, condition))

    def looked_up(self, keys: tuple[exp.Expr, ...]) -> tuple[exp.Expr, ...]:
        """The values of the keys that a group with these keys looks up."""

        def fill(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column) and table_of(node) == GROUP_KEY:
                return keys[int(node.name)]
            return None

        return tuple(rebuild(node, fill) for node in self.mapping)


def plain_context(where: tuple[exp.Expr, ...], keys: tuple[exp.Expr, ...]) -> Context:
    """The rows and keys of a SELECT itself."""
    return Context(where, keys, tuple(column(GROUP_KEY, str(place)) for place in range(len(keys))))


class RowColumns:
    """The columns of the rows: which are the same, and which depend on the same base columns.

    Attributes:
        relation: a scan, or a subquery of joined rows.
        alias: of the relation.
        trees: what each column is made of, by name.
    """

    def __init__(self, relation: Scan | Derived, trees: Mapping[str, exp.Expr]) -> None:
        self.relation = relation
        self.alias = relation.alias
        self.trees = trees
        first: dict[exp.Expr, str] = {}
        self._bases = {name: frozenset(tree.find_all(exp.Column)) for name, tree in trees.items()}
        # Constants of two cubes are not one column: an outer join may make only one of them NULL.
        self._canonical = {
            name: first.setdefault(tree, name) if self._bases[name] else name
            for name, tree in trees.items()
        }

    def canonical(self, node: exp.Expr) -> exp.Expr:
        """An expression in which equal columns have one name."""

        def rename(item: exp.Expr) -> exp.Expr | None:
            if isinstance(item, exp.Column) and table_of(item) == self.alias:
                return column(self.alias, self._canonical[item.name])
            return None

        return rebuild(node, rename)

    def used(self, node: exp.Expr) -> set[str]:
        """Names of the columns in an expression."""
        return {item.name for item in node.find_all(exp.Column) if table_of(item) == self.alias}

    def touches(self, node: exp.Expr, time: exp.Column) -> bool:
        """Whether an expression depends on a time dimension.

        Raises:
            UnsupportedError: through another column, of which it is a part.
        """
        names = self.used(node)
        bases = self._bases[time.name]
        others = {name for name in names if name != time.name and bases & self._bases[name]}
        if others:
            raise UnsupportedError(
                f'"{min(others)}" depends on {time.name}, which this measure looks at over time',
                hint=f"Use {time.name} itself, such as date_trunc('month', {time.name}).",
            )
        return time.name in names

    def is_about(self, node: exp.Expr, time: exp.Column) -> bool:
        """Whether an expression depends on a time dimension, and on nothing else.

        Raises:
            UnsupportedError: it depends on other columns too.
        """
        if not self.touches(node, time):
            return False
        if len(self.used(node)) > 1:
            raise UnsupportedError(
                f"an expression of {time.name} and other columns together is not supported beside "
                "this measure over time",
                hint="Keep the time apart: group by it alone, and connect conditions by AND.",
            )
        return True


def has_subquery(node: exp.Expr) -> bool:
    """Whether an expression holds a subquery."""
    return any(table_of(item) == SUBQUERY_TABLE for item in node.find_all(exp.Column))


def row_columns(source: Relation | None) -> RowColumns:
    """The columns of a FROM clause that is one scan, or a subquery of joined rows.

    Raises:
        UnsupportedError: it is anything else.
    """
    if isinstance(source, Scan):
        known = sorted(source.columns, key=lambda item: item.type in _UNTOLD)
        return RowColumns(source, {item.name: item.expression for item in known})
    if isinstance(source, Derived) and isinstance(source.query, Select):
        query = source.query
        if isinstance(query.source, Join) and query.group is None:
            scans = {node.alias: node for node in walk(query.source) if isinstance(node, Scan)}
            below = [(item.name, _below(item.expression, scans)) for item in query.projections]
            below.sort(key=lambda item: item[1][1] in _UNTOLD)
            return RowColumns(source, {name: tree for name, (tree, _) in below})
    raise UnsupportedError(
        "a measure with a context of its own over this subquery is not supported",
        hint="Compute the measure in the query that reads its cube.",
    )


def _below(node: exp.Expr, scans: Mapping[str, Scan]) -> tuple[exp.Expr, PostgresType]:
    """What a column of the joined rows is made of, as far as it comes from a scan; its type."""
    if isinstance(node, exp.Column) and table_of(node) in scans:
        columns = scans[table_of(node)].columns
        found = next(item for item in columns if item.name == node.name)
        return found.expression, found.type
    return node, UNKNOWN


__all__ = [
    "GROUP_KEY",
    "Context",
    "RowColumns",
    "has_subquery",
    "is_constant",
    "plain_context",
    "row_columns",
]
