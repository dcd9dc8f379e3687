"""PostgreSQL as the warehouse: expressions mean what they say already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp

from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions.configured import configured_function, warehouse_call
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import Types
from semantic.compiler.expressions.periods import read_period, start_of_period
from semantic.compiler.expressions.syntax import (
    QUANTIFIERS,
    SESSION_NODES,
    call_of,
    session_value,
)
from semantic.compiler.expressions.types import numeric_scale
from semantic.compiler.trees import rebuild
from semantic.model.types import PostgresType


def translate(node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings) -> exp.Expr:
    """A copy of the tree, its parameters cast to their types, after the functions were checked."""
    types = Types(environment)

    def replaced(item: exp.Expr) -> exp.Expr | None:
        if isinstance(item, exp.Parameter):
            return _casted(item.copy(), types.of(item))
        if isinstance(item, exp.ByteString):
            # The generator has escapes of its own, which PostgreSQL does not know.
            return exp.Literal.string(item.this)
        if type(item) in SESSION_NODES:
            text = exp.Literal.string(session_value(item, settings))
            return _casted(text, types.of(item))
        return None

    tree = exp.Paren(this=rebuild(node, replaced))
    for item in node.walk():
        call = call_of(item)
        if call is None or isinstance(item.parent, exp.WithinGroup) or call.name in QUANTIFIERS:
            continue
        types.call(call)
    for item in list(tree.find_all(exp.Anonymous)):
        start = _period_start(item, types)
        if start is not None:
            item.replace(start)
    for item in list(tree.find_all(exp.Anonymous)):
        if configured_function(item) is not None:
            item.replace(_configured(item, types))
    found = tree.this.pop()
    assert isinstance(found, exp.Expr)
    return found


def _configured(node: exp.Anonymous, types: Types) -> exp.Expr:
    """A configured function by its own name, its arguments in the types it is declared with."""
    call = call_of(node)
    assert call is not None
    resolved = types.call(call)
    typed = zip(node.expressions, resolved.arguments, strict=True)
    arguments = [_casted(argument.copy(), kind) for argument, kind in typed]
    return _casted(warehouse_call(node, arguments), PostgresType(resolved.result.name))


def _period_start(node: exp.Anonymous, types: Types) -> exp.Expr | None:
    """The start of a model's period, where a call of date_trunc asks for one."""
    if node.name != "date_trunc" or len(node.expressions) != 2:
        return None
    field, moment = node.expressions
    period = read_period(field.this) if isinstance(field, exp.Literal) else None
    if period is None:
        return None
    kind = types.of(node)
    return exp.Paren(this=start_of_period(period, _casted(moment.copy(), kind), kind))


def _casted(node: exp.Expr, kind: PostgresType) -> exp.Expr:
    return exp.Cast(this=node, to=_data_type(spelled(kind)).copy())


@lru_cache(maxsize=256)
def _data_type(text: str) -> exp.DataType:
    return exp.DataType.build(text, dialect="postgres")


_SPELLED = {
    "bool": "boolean",
    "int2": "smallint",
    "int4": "int",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "unknown": "text",
    "bpchar": "bpchar",
}


def spelled(kind: PostgresType) -> str:
    """A type as a cast spells it."""
    name = kind.element.name
    text = _SPELLED.get(name, name)
    size = numeric_scale(kind.element)
    if size is not None:
        text += f"({size[0]}, {size[1]})"
    elif name in ("varchar", "bpchar") and kind.modifier >= 4:
        text += f"({kind.modifier - 4})"
    return text + ("[]" if kind.is_array else "")


def translate_column(
    node: exp.Expr,
    environment: TypeEnvironment,
    settings: SessionSettings,
    _kind: PostgresType,
) -> exp.Expr:
    """As ``translate``: PostgreSQL's columns hold its values."""
    return translate(node, environment, settings)


def is_text_form(_kind: PostgresType) -> bool:
    """No type needs another form."""
    return False


def translate_result(
    node: exp.Expr,
    environment: TypeEnvironment,
    settings: SessionSettings,
    target: PostgresType,
) -> exp.Expr:
    """A tree in the announced type."""
    tree = translate(node, environment, settings)
    return tree if Types(environment).of(node) == target else _casted(tree, target)


def set_lists(
    _function: str,
    _arguments: Sequence[exp.Expr],
    _environment: TypeEnvironment,
    _settings: SessionSettings,
) -> None:
    """Functions in FROM are PostgreSQL's own."""
    return
