"""What the warehouse's own SQL means over a rollup that another engine keeps, DuckDB.

Only what means the same there may be moved. PostgreSQL's SQL is what clients write, so formulas of
its measures are translated as a client's are; the SQL of other warehouses stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import filtered
from semantic.compiler.plan import MeasureUse
from semantic.compiler.rollups.blueprint import Blueprint
from semantic.compiler.trees import conjuncts, rebuild
from semantic.model.types import PostgresType

STORE_DIALECT = "duckdb"

_ORDERINGS = exp.LT | exp.LTE | exp.GT | exp.GTE
# Values of these compare alike in every engine.
_ORDERED = frozenset({"int2", "int4", "int8", "numeric", "date", "timestamp", "timestamptz"})
_EQUAL = _ORDERED | {"bool", "uuid", "text", "varchar"}


def is_elsewhere(blueprint: Blueprint, dialect: str) -> bool:
    """Whether a rollup's tables are read by another engine than the rows that they are made of."""
    definition = blueprint.definition
    return definition.site != definition.data_source and dialect != STORE_DIALECT


def dialect_of_tables(blueprint: Blueprint, dialect: str) -> str:
    """The dialect that a rollup's tables are read in."""
    return STORE_DIALECT if is_elsewhere(blueprint, dialect) else dialect


def moved_rule(tree: exp.Expr, kinds: Mapping[str, PostgresType]) -> exp.Expr | None:
    """A condition of a policy over a rollup's columns, as the other engine has it; None for none.

    What a rule keeps out there it keeps out here, whatever texts the warehouse takes for equal:
    texts are only ever compared to be equal, and never in a negation.

    Args:
        tree: the condition, in the warehouse's dialect.
        kinds: the types of the columns by name.
    """
    if isinstance(tree, exp.Paren):
        inner = moved_rule(tree.this, kinds)
        return None if inner is None else exp.Paren(this=inner)
    if isinstance(tree, exp.And | exp.Or):
        left, right = moved_rule(tree.this, kinds), moved_rule(tree.expression, kinds)
        return None if left is None or right is None else type(tree)(this=left, expression=right)
    if isinstance(tree, exp.Boolean):
        return tree
    if isinstance(tree, exp.Not):
        inner = tree.this.unnest()
        is_null = isinstance(inner, exp.Is) and _kind(inner.this, kinds) is not None
        return tree if is_null and isinstance(inner.expression, exp.Null) else None
    kind = _kind(tree.this, kinds)
    if kind is None:
        return None
    if isinstance(tree, exp.Is):
        return tree if isinstance(tree.expression, exp.Null) else None
    if isinstance(tree, exp.EQ) and isinstance(tree.expression, exp.Any):
        return _among(tree, kind)
    if isinstance(tree, exp.EQ | _ORDERINGS):
        known = _EQUAL if isinstance(tree, exp.EQ) else _ORDERED
        return tree if kind in known and _is_value(tree.expression) else None
    if isinstance(tree, exp.In) and tree.args.get("query") is None:
        known_values = all(_is_value(item) for item in tree.expressions)
        return tree if kind in _EQUAL and tree.expressions and known_values else None
    return None


def _among(tree: exp.EQ, kind: str) -> exp.Expr | None:
    """Whether a column is one of an array's elements."""
    array = tree.expression.this.unnest()
    if kind not in _EQUAL or not _is_value(array):
        return None
    unnested = exp.Select(expressions=[exp.Anonymous(this="UNNEST", expressions=[array.copy()])])
    return exp.In(this=tree.this.copy(), query=exp.Subquery(this=unnested))


def _kind(node: object, kinds: Mapping[str, PostgresType]) -> str | None:
    node = node.unnest() if isinstance(node, exp.Expr) else node
    found = kinds.get(node.name) if isinstance(node, exp.Column) else None
    return None if found is None else found.name


def _is_value(node: exp.Expr) -> bool:
    """A bound value in a type of its own."""
    return isinstance(node, exp.Cast) and isinstance(node.this, exp.Parameter)


def moved_measure(use: MeasureUse, dialect: str) -> MeasureUse | None:
    """A measure over a rollup's columns, its formula a PostgreSQL expression; None for none."""
    if use.portable:
        return use
    if dialect != "postgres":
        return None
    formula, condition = use.formula, use.filter
    if condition is not None:
        formula = rebuild(formula, lambda node: filtered(node, condition))
    return replace(use, formula=formula, filter=None, portable=True)


def moves(condition: exp.Expr | None) -> bool:
    """Whether a condition of the model compares columns and does nothing else."""
    return all(
        isinstance(item, exp.EQ)
        and isinstance(item.this.unnest(), exp.Column)
        and isinstance(item.expression.unnest(), exp.Column)
        for item in conjuncts(condition)
    )
