"""A whole row as an output column: ``SELECT o FROM orders AS o``.

The warehouse returns the row's columns one by one; who writes the rows to the client puts them
together as the one value of a composite type that PostgreSQL announces.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import Analysis, ResultColumn, WholeRow
from semantic.compiler.cube_source import CubeSource
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
    parts = scope.named(name)
    only = parts[0] if len(parts) == 1 else None
    return only if isinstance(only, CubeSource) else None


def check_whole_row(select: exp.Select, node: exp.Expr | None, *, merged: bool) -> None:
    """Refuse what would compare rows, or have rows that are not there.

    Args:
        select: the SELECT that has the row among its columns.
        node: the column.
        merged: the SELECT groups, or returns each row once.
    """
    if merged:
        raise unsupported("a whole row in a grouped or distinct SELECT", node, WHOLE_ROW_HINT)
    if any(join.args.get("side") for join in select.find_all(exp.Join)):
        raise unsupported("a whole row beside an outer join", node, WHOLE_ROW_HINT)


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
