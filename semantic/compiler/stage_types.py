"""A staged formula as one of the same type without stages: what a warehouse is asked to type."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from semantic.compiler.stages import (
    Choice,
    Conversion,
    Grain,
    Inner,
    Rank,
    children_of,
    spec_of,
)
from semantic.compiler.trees import column, enclose, identifier, rebuild

MakeRows = Callable[[list[exp.Expr]], exp.Select]


def without_stages(tree: exp.Expr, rows: MakeRows) -> exp.Expr:
    """A formula whose value says nothing, but has the type of a staged one.

    Args:
        tree: in the warehouse's dialect.
        rows: a SELECT of expressions over the measure's rows.
    """

    def replaced(node: exp.Expr) -> exp.Expr | None:
        spec = spec_of(node)
        if spec is None:
            return None
        children = children_of(node)
        if isinstance(spec, Rank):
            return exp.cast(exp.Literal.number(0), "bigint")
        if isinstance(spec, Conversion):
            return exp.cast(exp.Literal.number(0), "double" if spec.rate else "bigint")
        if isinstance(spec, Choice):
            branches = [exp.If(this=exp.true(), true=child) for child in children[1:-1]]
            return rebuild(exp.Case(ifs=branches, default=children[-1]), replaced)
        if isinstance(spec, Grain) and spec.aggregates:
            return _aggregated(children[0], rows, replaced)
        return enclose(rebuild(children[0], replaced))

    return rebuild(tree, replaced)


def _aggregated(
    tree: exp.Expr, rows: MakeRows, replaced: Callable[[exp.Expr], exp.Expr | None]
) -> exp.Expr:
    """An aggregate over inner values, which are aggregates themselves."""
    values: list[exp.Expr] = []

    def value(node: exp.Expr) -> exp.Expr | None:
        if not isinstance(spec_of(node), Inner):
            return None
        values.append(rebuild(children_of(node)[0], replaced))
        return column("inner", f"value_{len(values)}")

    outer = rebuild(tree, value)
    inner = rows(
        [
            exp.Alias(this=node, alias=identifier(f"value_{number}"))
            for number, node in enumerate(values, 1)
        ]
    )
    alias = exp.TableAlias(this=identifier("inner"))
    source = exp.From(this=exp.Subquery(this=inner, alias=alias))
    return exp.Subquery(this=exp.Select(expressions=[outer], from_=source))
