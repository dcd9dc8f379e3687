"""PostgreSQL as the warehouse: expressions mean what they say already."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import SessionSettings
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
from semantic.model.types import PostgresType


def translate(node: exp.Expr, environment: TypeEnvironment, settings: SessionSettings) -> exp.Expr:
    """A copy of the tree, its parameters cast to their types, after the functions were checked."""
    types = Types(environment)
    tree = exp.Paren(this=node.copy())
    for item in list(tree.walk()):
        if isinstance(item, exp.Parameter):
            item.replace(_casted(item.copy(), types.of(item)))
        elif type(item) in SESSION_NODES:
            text = exp.Literal.string(session_value(item, settings))
            item.replace(_casted(text, types.of(item)))
    for item in node.walk():
        call = call_of(item)
        if call is None or isinstance(item.parent, exp.WithinGroup) or call.name in QUANTIFIERS:
            continue
        types.call(call)
    for item in list(tree.find_all(exp.Anonymous)):
        start = _period_start(item, types)
        if start is not None:
            item.replace(start)
    found = tree.this.pop()
    assert isinstance(found, exp.Expr)
    return found


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
    return exp.Cast(this=node, to=exp.DataType.build(spelled(kind), dialect="postgres"))


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


def cast_result(
    node: exp.Expr, source: PostgresType, target: PostgresType, _grouped: bool | None
) -> exp.Expr:
    """A tree in the announced type."""
    if source == target:
        return node
    return _casted(node, target)


def common_form(node: exp.Expr, _kind: PostgresType) -> exp.Expr:
    """PostgreSQL finds the common type of a set operation by itself."""
    return node


def common_kind(kind: PostgresType) -> PostgresType:
    """It is the one that it would find."""
    return kind


def set_lists(
    _function: str,
    _arguments: Sequence[exp.Expr],
    _environment: TypeEnvironment,
    _settings: SessionSettings,
) -> None:
    """Functions in FROM are PostgreSQL's own."""
    return
