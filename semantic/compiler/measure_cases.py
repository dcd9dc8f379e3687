"""``case`` of a measure: over conditions on measures, or over the values of a dimension."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.stages import Choice, children_of, spec_of, stage
from semantic.errors import UnsupportedError
from semantic.model.members import Case
from semantic.model.template import SqlTemplate
from semantic.model.types import PostgresType


def case_tree(case: Case, substituted: Callable[[SqlTemplate], exp.Expr]) -> exp.Expr:
    """A ``case`` over conditions as SQL."""
    branches: list[exp.Expr] = []
    for branch in case.when:
        if branch.condition is None:
            raise UnsupportedError("a case without conditions")
        value = _result(branch.label, branch.sql, substituted)
        branches.append(exp.If(this=substituted(branch.condition), true=value))
    last = case.otherwise
    default = None if last is None else _result(last.label, last.sql, substituted)
    return exp.Case(ifs=branches, default=default)


def choice_tree(
    case: Case,
    kind: PostgresType,
    dimension: exp.Expr,
    substituted: Callable[[SqlTemplate], exp.Expr],
) -> exp.Expr:
    """A ``case`` over the values of a dimension as a stage."""
    values = tuple(str(branch.value) for branch in case.when)
    children = [_result(branch.label, branch.sql, substituted) for branch in case.when]
    last = case.otherwise
    default = exp.Null() if last is None else _result(last.label, last.sql, substituted)
    switch = case.switch
    name = switch.text.strip("{} ") if switch is not None else ""
    return stage(Choice(name, values, kind), dimension, *children, default)


def choice_row(node: exp.Expr, value: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """What a choice is for one row."""
    spec, (dimension, *children, default) = spec_of(node), children_of(node)
    if not isinstance(spec, Choice):
        raise TypeError(type(spec).__name__)
    branches = [
        exp.If(this=exp.EQ(this=dimension, expression=exp.Literal.string(name)), true=value(child))
        for name, child in zip(spec.values, children, strict=True)
    ]
    return exp.Case(ifs=branches, default=value(default))


def _result(
    label: str | None, sql: SqlTemplate | None, substituted: Callable[[SqlTemplate], exp.Expr]
) -> exp.Expr:
    return substituted(sql) if sql is not None else exp.Literal.string(label or "")
