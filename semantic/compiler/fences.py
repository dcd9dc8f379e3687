"""Queries that yield governed rows, and that no optimiser evaluates anything inside of.

``OFFSET 0`` is what does it: PostgreSQL does not flatten a query that has it and pushes nothing
down, DuckDB lets no filter through a limit. ``tests/compiler/policies/test_barrier.py`` puts both
to the proof.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.trees import all_of, copied

RULED = "permitted"
"""The alias of a cube's own rows inside their governed query."""


def fenced(select: exp.Select) -> exp.Select:
    """A query that nothing is evaluated inside of but what stands in it."""
    select.set("offset", exp.Offset(expression=exp.Literal.number(0)))
    return select


def is_governed(table: exp.Expr) -> bool:
    """Whether a table is the governed query of a cube's rows."""
    if not isinstance(table, exp.Subquery) or not isinstance(table.this, exp.Select):
        return False
    first = table.this.args.get("from_")  # a cube's own SQL may have none
    if first is None or table.this.args.get("offset") is None:
        return False
    return bool(first.this.alias == RULED)


def with_conditions(table: exp.Expr, conditions: list[exp.Expr]) -> exp.Expr:
    """A governed query that yields only the rows that pass, too.

    Args:
        table: the query.
        conditions: leakproof ones, over columns of ``RULED``.
    """
    table = copied(table)
    where = table.this.args.get("where")
    rule = [] if where is None else [where.this]
    table.this.set("where", exp.Where(this=all_of([*conditions, *rule])))
    return table
