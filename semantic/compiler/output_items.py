"""The output columns of a SELECT: what is written, ``*`` expanded, and whole rows."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.names import name_of, output_name
from semantic.compiler.positions import position_of
from semantic.compiler.select_state import Item, SelectState
from semantic.compiler.statement import refuse_other_arguments, unsupported
from semantic.compiler.whole_rows import row_source
from semantic.errors import SemanticError


def output_items(state: SelectState) -> Iterator[Item]:
    """The output columns in order."""
    for node in state.node.expressions:
        if isinstance(node, exp.Star):
            refuse_other_arguments(node, frozenset(), "*")
            yield from _star(state, None, node)
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            yield from _star(state, name_of(node.args["table"]), node)
        elif isinstance(node, exp.Alias):
            yield _expression(state, name_of(node.args["alias"]), node.this)
        elif isinstance(node, exp.Aliases):
            raise unsupported("several aliases for one expression", node)
        else:
            yield _expression(state, output_name(node, state.statement.sql), node)


def add_row_columns(state: SelectState) -> None:
    """Add the columns of whole rows, where no position and no name in ORDER BY finds them."""
    for index, item in enumerate(tuple(state.items)):
        if item.row is None:
            continue
        start = len(state.items)
        for visible in item.row.columns:
            name = f"{item.name}:{visible.name}"
            state.items.append(Item(name, visible=visible, star=item.star))
        state.rows[index] = range(start, len(state.items))


def _expression(state: SelectState, name: str, node: exp.Expr) -> Item:
    row = row_source(node, state.scope)
    return Item(name, node) if row is None else Item(name, star=node, row=row)


def _star(state: SelectState, table: str | None, node: exp.Expr) -> Iterator[Item]:
    scope = state.scope
    parts = scope.items if table is None else scope.named(table)
    if not parts:
        state.statement.defer(
            SemanticError(
                "42P01",
                f'missing FROM-clause entry for table "{table}"',
                position=position_of(node),
            )
        )
    for part in parts:
        for visible in part.columns:
            yield Item(visible.name, visible=visible, star=node)
