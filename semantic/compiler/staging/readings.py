"""Measures in a warehouse's own SQL that means the same in PostgreSQL.

A dialect's exact templates say how it spells what PostgreSQL means. A formula that they spell just
as the model does therefore means there what it means in PostgreSQL, and the stage may compute it:
``MAX(day)``, ``SUM(a) - COUNT(b)``, ``COUNT(a) > 0``. What a dialect rounds, wraps or compares in a
way of its own is spelled otherwise, and stays where it is.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.errors import SqlglotError

from semantic.compiler.aggregate_trees import filtered
from semantic.compiler.api import SessionSettings
from semantic.compiler.dialect import cast_to, dialect_of
from semantic.compiler.expressions import infer, tables_of, translate
from semantic.compiler.plan import AliasedRelation, MeasureUse, PlanNode, Query, Select
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.staging.closure import data_sources
from semantic.compiler.staging.warehouses import Warehouses
from semantic.compiler.trees import copied, rebuild
from semantic.errors import SemanticError
from semantic.model.types import UNKNOWN


def read_measures(plan: Query, types: PlanTypes, warehouses: Warehouses) -> Query:
    """A plan, as many of its measures PostgreSQL expressions as mean the same that way.

    Args:
        plan: whose measures may be in the SQL of warehouses.
        types: of the plan.
        warehouses: whose dialects these are.
    """

    def read(use: MeasureUse) -> MeasureUse:
        relation = types.find_relation(use.alias)
        if use.portable or not isinstance(relation, AliasedRelation):
            return use
        dialects = {warehouses.dialect_of(name) for name in data_sources(relation)}
        if len(dialects) != 1:
            return use
        return _read(use, dialects.pop(), types, warehouses.settings) or use

    def changed(node: PlanNode) -> PlanNode:
        if not isinstance(node, Select) or not node.measures:
            return node
        return replace(node, measures=tuple(read(use) for use in node.measures))

    return bottom_up(plan, changed)


def _read(
    use: MeasureUse, dialect: str, types: PlanTypes, settings: SessionSettings
) -> MeasureUse | None:
    """A measure as a PostgreSQL expression; None where its SQL may mean something else there."""
    formula = rebuild(use.formula, _strict)
    if not _is_same(formula, use, dialect, types, settings):
        return None
    condition = use.filter
    if condition is not None:
        formula = rebuild(formula, lambda node: filtered(node, condition))
    return replace(use, formula=formula, filter=None, portable=True)


def _strict(node: exp.Expr) -> exp.Expr | None:
    """A cast that is an error where it fails, as any is in the connectors' sessions."""
    if not isinstance(node, exp.TryCast):
        return None
    arguments = {key: value for key, value in node.args.items() if key != "this"}
    return exp.Cast(this=rebuild(node.this, _strict), **arguments)


def _is_same(
    formula: exp.Expr, use: MeasureUse, dialect: str, types: PlanTypes, settings: SessionSettings
) -> bool:
    if tables_of(dialect) is None or use.type is None:
        return False
    if any(types.column(item) == UNKNOWN for item in formula.find_all(exp.Column)):
        return False
    try:
        if infer(formula, types).name != use.type.name:
            return False
        spelled = translate(formula, dialect, types, settings)
        sides = (cast_to(each, use.type, dialect) for each in (spelled, use.formula))
        one, two = (_plain(side, dialect) for side in sides)
    except (SemanticError, SqlglotError):
        return False
    return one is not None and one == two


def _plain(tree: exp.Expr, dialect: str) -> exp.Expr | None:
    """What a warehouse reads, without what changes nothing there."""
    parser = dialect_of(dialect)
    (found,) = parser.parse(f"SELECT {parser.generate(copied(tree))}")
    return None if found is None else rebuild(found, _simpler)


def _simpler(node: exp.Expr) -> exp.Expr | None:
    """No parentheses, no cast a second time, and no casts of numbers that are only compared."""
    if isinstance(node, exp.Paren):
        return rebuild(node.this, _simpler)
    if isinstance(node, exp.Cast):
        inner = rebuild(node.this, _simpler)
        again = isinstance(inner, exp.Cast) and inner.args["to"] == node.args["to"]
        return inner if again else None
    if isinstance(node, _COMPARISONS):
        sides = [_uncast(rebuild(side, _simpler)) for side in (node.this, node.expression)]
        return type(node)(this=sides[0], expression=sides[1])
    return None


_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def _uncast(node: exp.Expr) -> exp.Expr:
    """A whole number as such: beside a number it is compared as what it is in any type."""
    if not isinstance(node, exp.Cast) or not node.is_type(*_INTEGERS):
        return node
    inner: exp.Expr = node.this
    is_number = isinstance(inner, exp.Literal) and not inner.is_string and inner.name.isdigit()
    return inner if is_number else node


_INTEGERS = (exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT)
