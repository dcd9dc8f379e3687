"""Calls of functions that the configuration adds.

Such a call is marked with its function while it is bound, so that everything behind knows it by the
node alone: its types, that it is allowed, and what the warehouse calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.signatures.registry import Signature
from semantic.errors import ForbiddenError, UnsupportedError
from semantic.model.functions import ConfiguredFunction

_FUNCTION = "function"
_TARGET = "target"


def mark_configured(
    tree: exp.Expr, functions: Mapping[str, ConfiguredFunction], data_sources: Sequence[str]
) -> bool:
    """Mark the calls of configured functions in a statement.

    Args:
        tree: changed in place.
        functions: by name.
        data_sources: those that the statement reads.

    Returns:
        Whether one of them may give another value each time.

    Raises:
        ForbiddenError: 42501, the data source has no such function.
        UnsupportedError: 0A000, of several data sources any could be meant.
    """
    if not functions:
        return False
    volatile = False
    for node in tree.find_all(exp.Anonymous):
        function = functions.get(node.this.lower()) if isinstance(node.this, str) else None
        if function is None or isinstance(node.parent, exp.Table | exp.Lateral | exp.Dot):
            continue
        if len(data_sources) > 1:
            raise UnsupportedError(
                f"function {function.name} over several data sources is not supported",
                hint="It is a function of a data source: call it over the cubes of one.",
                position=position(node),
            )
        (data_source,) = data_sources or ("default",)
        target = function.name_at(data_source)
        if target is None:
            raise ForbiddenError(
                f"permission denied for function {function.name}",
                hint=f"The data source {data_source} has no such function.",
                position=position(node),
                certain=True,
            )
        node.set(_FUNCTION, function)
        node.set(_TARGET, target)
        volatile |= function.volatile
    return volatile


def configured_function(node: exp.Expr) -> ConfiguredFunction | None:
    """The function that a marked call is of; None for every other node."""
    found = node.args.get(_FUNCTION) if isinstance(node, exp.Anonymous) else None
    return found if isinstance(found, ConfiguredFunction) else None


def signature_of(function: ConfiguredFunction) -> Signature:
    """Its only overload."""
    return Signature(function.name, function.arguments, function.result, False, "scalar")


def warehouse_call(node: exp.Expr, arguments: list[exp.Expr]) -> exp.Expr:
    """The call by the warehouse's own name, every part of it quoted."""
    *schema, name = (exp.to_identifier(part, quoted=True) for part in node.args[_TARGET])
    called: exp.Expr = exp.Anonymous(this=name, expressions=arguments)
    for part in reversed(schema):
        called = exp.Dot(this=part, expression=called)
    return called
