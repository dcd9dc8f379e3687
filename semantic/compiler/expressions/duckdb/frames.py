"""What stands around an aggregate (FILTER, OVER) and inside it (DISTINCT, ORDER BY)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.duckdb import numeric
from semantic.compiler.expressions.duckdb.build import call as build_call
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.inference import plain_arguments
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around an aggregate: FILTER's condition and the parts of OVER."""

    condition: exp.Expr | None = None
    window: exp.Window | None = None

    def around(self, node: exp.Expr) -> exp.Expr:
        """Put FILTER and OVER around a call."""
        if self.condition is not None:
            node = exp.Filter(this=node, expression=exp.Where(this=self.condition.copy()))
        if self.window is not None:
            window = self.window.copy()
            window.set("this", node)
            return window
        return node


Rule = Callable[[Translator, Call, Resolved, Frame], Value]


@dataclass(frozen=True, slots=True)
class Arguments:
    """An aggregate's arguments, whether they are DISTINCT, and its ORDER BY."""

    values: list[Value]
    distinct: bool
    order: exp.Order | None

    def call(self, function: str, *items: exp.Expr, ordered: bool = False) -> exp.Expr:
        """A call of a DuckDB aggregate with the same DISTINCT and, if it matters, ORDER BY."""
        arguments = list(items)
        first = arguments[0]
        if self.distinct:
            arguments[0] = exp.Distinct(expressions=[first])
        if ordered and self.order is None and self.distinct and _is_sortable(first):
            # PostgreSQL finds what is distinct by sorting, so that it is in order.
            key = exp.Ordered(this=first.copy(), nulls_first=False)
            arguments[-1] = exp.Order(this=arguments[-1], expressions=[key])
        if ordered and self.order is not None:
            keys = [item.copy() for item in self.order.expressions]
            arguments[-1] = exp.Order(this=arguments[-1], expressions=keys)
        return build_call(function, *arguments)


def _is_sortable(node: exp.Expr) -> bool:
    """Whether DuckDB takes an expression as the key of a DISTINCT aggregate: if it can find it."""
    return node.find(exp.Column) is not None


def read_arguments(translator: Translator, call: Call, resolved: Resolved) -> Arguments:
    """An aggregate's arguments in the types that its signature asks for."""
    order: exp.Order | None = None
    distinct = False
    for argument in call.arguments:
        if isinstance(argument, exp.Order):
            order = ordering(translator, argument)
            argument = argument.this
        distinct = distinct or isinstance(argument, exp.Distinct)
    nodes = plain_arguments(call)
    values = [
        translator.coerced(node, kind) for node, kind in zip(nodes, resolved.arguments, strict=True)
    ]
    return Arguments(values, distinct, order)


def ordering(translator: Translator, node: exp.Expr) -> exp.Order:
    """ORDER BY inside an aggregate or a window."""
    keys = []
    for item in node.expressions:
        if not isinstance(item, exp.Ordered):
            raise UnsupportedError("this ORDER BY is not supported")
        keys.append(
            exp.Ordered(
                this=numeric.sort_key(translator.settled(item.this)),
                desc=item.args.get("desc"),
                nulls_first=bool(item.args.get("nulls_first")),
            )
        )
    return exp.Order(expressions=keys)


def unsupported_dynamic(what: str) -> UnsupportedError:
    """The refusal of numbers whose decimals differ by row."""
    return UnsupportedError(
        f"{what} of numbers whose decimals differ by row is not supported on DuckDB",
        hint="Round them to a fixed number of decimals, or cast them to double precision.",
    )
