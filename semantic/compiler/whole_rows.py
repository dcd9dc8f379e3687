"""A whole row as an output column: ``SELECT o FROM orders AS o``.

The warehouse returns the row's columns one by one; who writes the rows to the client puts them
together as the one value of a composite type that PostgreSQL announces.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import Analysis, ResultColumn, WholeRow
from semantic.compiler.cube_source import CubeSource
from semantic.compiler.from_tree import Joined, RenamedJoin, Tree, ViewLeaf, leaves
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import name_of
from semantic.compiler.statement import unsupported
from semantic.errors import UnsupportedError

WHOLE_ROW_HINT = "Name the columns that are meant; COUNT(*) counts rows."


def row_source(node: exp.Expr, scope: Scope) -> CubeSource | None:
    """The cube or view whose whole row an output column is; None where it is anything else."""
    if not isinstance(node, exp.Column) or node.args.get("table") is not None:
        return None
    if not isinstance(node.this, exp.Identifier):
        return None
    name, quoted = name_of(node.this), bool(node.this.args.get("quoted"))
    around: Scope | None = scope
    while around is not None:
        if around.find(name, None, quoted=quoted):
            return None
        around = around.parent
    return _only_cube(name, scope)


def _only_cube(name: str, scope: Scope) -> CubeSource | None:
    parts = scope.named(name)
    only = parts[0] if len(parts) == 1 else None
    return only if isinstance(only, CubeSource) else None


def counted_row(node: exp.Expr, scope: Scope) -> CubeSource | None:
    """The cube or view of ``count(o)`` or ``count(o.*)``, None for other calls."""
    if not isinstance(node, exp.Count) or node.expressions or not isinstance(node.this, exp.Expr):
        return None
    row = node.this
    if isinstance(row, exp.Column) and isinstance(row.this, exp.Star):
        table = row.args.get("table")
        if not isinstance(table, exp.Identifier) or row.args.get("db") is not None:
            return None
        return _only_cube(name_of(table), scope)
    return row_source(row, scope)


def check_joined(tree: Tree | None, source: CubeSource, node: exp.Expr | None) -> None:
    """Refuse a row that a join may not find: it would be NULL, not a row of NULLs.

    Args:
        tree: all of FROM, its joins by the model decided.
        source: whose row it is.
        node: what stands for it.
    """
    if tree is None or _may_miss(tree, source):
        raise unsupported("a whole row that a join may not find", node, WHOLE_ROW_HINT)


def _may_miss(tree: Tree, source: CubeSource) -> bool:
    if isinstance(tree, RenamedJoin):
        return _may_miss(tree.tree, source)
    if not isinstance(tree, Joined):
        return isinstance(tree, ViewLeaf)
    if tree.links or tree.facts or any(step.kind == "LEFT" for step in tree.chain or ()):
        return True
    is_left = any(item is source for item in leaves(tree.left))
    if tree.kind == "FULL" or tree.kind == ("RIGHT" if is_left else "LEFT"):
        return True
    return _may_miss(tree.left if is_left else tree.right, source)


def columns_of(source: CubeSource) -> tuple[ResultColumn, ...]:
    """The columns of a row, in the order of its composite type."""
    found: list[ResultColumn] = []
    for visible in source.columns:
        if visible.published is None:
            raise TypeError(visible.name)
        found.append(ResultColumn(visible.published.name, visible.published.type))
    return tuple(found)


def apart(analysis: Analysis, rows: Sequence[WholeRow]) -> tuple[ResultColumn, ...]:
    """What the warehouse returns: the plain columns in order, then the columns of each row.

    Raises:
        UnsupportedError: PostgreSQL takes the column for something else than a row of a relation.
    """
    if not rows:
        return analysis.columns
    for row in rows:
        if not analysis.columns[row.index].type.name.startswith("oid:"):
            raise UnsupportedError(
                "a whole row at this place is not supported", hint=WHOLE_ROW_HINT
            )
    places = {row.index for row in rows}
    plain = [column for index, column in enumerate(analysis.columns) if index not in places]
    return (*plain, *(column for row in rows for column in row.columns))
