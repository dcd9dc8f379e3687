"""Columns that a grouping by a primary key allows beside it (functional dependency).

PostgreSQL takes ``SELECT p.name ... GROUP BY p.id`` where ``id`` is the key of a table. A warehouse
does not know the keys of the model: there, such columns become grouping keys too, which makes no
other groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.cube_source import CubeSource
from semantic.compiler.plan import SUBQUERY_TABLE
from semantic.compiler.select_state import GROUP_SETS, SelectState
from semantic.compiler.trees import table_of


def dependent_columns(
    state: SelectState, group: tuple[exp.Expr, ...], expressions: Iterable[exp.Expr]
) -> tuple[exp.Expr, ...]:
    """Columns of the plan's expressions that hang on a primary key among the grouping keys."""
    if any(isinstance(key, GROUP_SETS) for key in group):
        return ()
    aliases = set(_grouped_by_key(state))
    if not aliases:
        return ()
    found: dict[exp.Expr, None] = {}
    for expression in expressions:
        for node in _outside_aggregates(expression):
            if table_of(node) in aliases and node not in group:
                found[node] = None
    return tuple(found)


def _grouped_by_key(state: SelectState) -> Iterator[str]:
    columns = state.resolver.columns
    grouped = {id(columns[id(key)]) for key in state.resolver.group_keys if id(key) in columns}
    for source in state.scope.sources:
        if isinstance(source, CubeSource):
            for key in source.unique_keys():
                if all(id(source.columns[index]) in grouped for index in key):
                    yield source.alias


def _outside_aggregates(node: exp.Expr) -> Iterator[exp.Column]:
    if isinstance(node, exp.Column):
        if table_of(node) != SUBQUERY_TABLE:
            yield node
        return
    inside = list(node.iter_expressions())
    if isinstance(node, exp.Window):
        # What is called over a window takes the groups' values; only aggregates in it take rows.
        call = node.this.this if isinstance(node.this, exp.Filter) else node.this
        inside = [*call.iter_expressions(), *(item for item in inside if item is not node.this)]
    elif is_aggregate(node):
        return
    for item in inside:
        yield from _outside_aggregates(item)
