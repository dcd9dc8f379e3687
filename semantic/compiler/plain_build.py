"""Plan expressions of what stands outside a SELECT's clauses: VALUES, arguments in FROM, LIMIT."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.plan import SUBQUERY_TABLE, Subquery
from semantic.compiler.resolve import Resolver
from semantic.compiler.statement import Statement, unsupported
from semantic.compiler.trees import column, rebuild


def outer_value(resolver: Resolver, node: exp.Expr) -> exp.Expr | None:
    """The value of a measure over a group of a SELECT around; None for any other node."""
    owner = resolver.outer.get(id(node))
    if owner is None or owner.groups.value is None:
        return None
    return owner.groups.value(node)


class PlainBuilder:
    """Makes plan expressions in which a measure is a row's value.

    Attributes:
        subqueries: those inside the expressions made so far.
    """

    def __init__(self, statement: Statement, resolver: Resolver) -> None:
        self._statement = statement
        self._resolver = resolver
        self.subqueries: list[Subquery] = []

    def expression(self, node: exp.Expr) -> exp.Expr:
        """A plan expression of an expression of the client's text."""
        return rebuild(node, self._replace)

    def _replace(self, node: exp.Expr) -> exp.Expr | None:
        outer = outer_value(self._resolver, node)
        if outer is not None:
            return outer
        if isinstance(node, exp.Query):
            return self._subquery(node)
        if not isinstance(node, exp.Column):
            return None
        visible = self._resolver.columns.get(id(node))
        if visible is None:
            raise self._statement.deferred or unsupported("this column reference", node)
        return visible.source.value(visible)

    def _subquery(self, node: exp.Query) -> exp.Expr:
        bound = self._resolver.subqueries.get(id(node))
        if bound is None:
            raise unsupported("a subquery at this place", node)
        for index in range(len(bound.names)):
            bound.demand(index)
        key = self._statement.next_key()
        self.subqueries.append(Subquery(key, bound.build()))
        marker = exp.Select(expressions=[column(SUBQUERY_TABLE, key)])
        return exp.Subquery(this=marker) if isinstance(node, exp.Subquery) else marker
