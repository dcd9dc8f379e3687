"""Arithmetic: of integers and doubles by the tables, of numerics with their digits counted."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.interval_constants import constant_interval
from semantic.compiler.expressions.portable.build import number, sql
from semantic.compiler.expressions.portable.constants import numeric_spelling, written_number
from semantic.compiler.expressions.portable.translator import NodeRule, Translator
from semantic.compiler.expressions.portable.value import Value, common_size
from semantic.compiler.expressions.types import is_quotient
from semantic.model.types import INTERVAL, NUMERIC, TIMESTAMP, PostgresType

SIGNS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
}


def operation(translator: Translator, node: exp.Expr) -> Value:
    """A binary operator."""
    sign = SIGNS.get(type(node))
    if sign is None:
        raise translator.unsupported(f"{type(node).__name__.upper()}")
    left, right = translator.types.of(node.this), translator.types.of(node.expression)
    found = operators.binary(type(node), left, right, node)
    if INTERVAL in (found.left, found.right):
        return _shifted(translator, node, found)
    if is_quotient(found.result):
        raise translator.unsupported(f"{sign} of numerics whose decimals differ by row")
    one = translator.typed(node.this, found.left)
    two = translator.typed(node.expression, found.right)
    if found.result.name == "numeric":
        return _exact(translator, sign, one, two)
    template = translator.find(f"{sign}({found.left.name}, {found.right.name})")
    if template is None:
        raise translator.unsupported(f"{sign} of {found.left.name} and {found.right.name}")
    return Value(translator.filled(template, [one.node, two.node]), found.result)


def _exact(translator: Translator, sign: str, left: Value, right: Value) -> Value:
    """``+``, ``-`` and ``*`` of numerics, whose operands are cast to the type of the result."""
    template = translator.find(f"{sign}(numeric, numeric)")
    if template is None or left.size is None or right.size is None:
        raise translator.unsupported(f"{sign} of these numerics")
    if sign == "*":
        precision, scale = left.size[0] + right.size[0], left.size[1] + right.size[1]
    else:
        precision, scale = common_size(left.size, right.size)
        precision += 1
    spelled = numeric_spelling(translator.tables, precision, scale)
    node = sql(template, left.node, right.node, spelled=spelled)
    return Value(node, NUMERIC, (precision, scale))


def negative(translator: Translator, node: exp.Expr) -> Value:
    """The sign."""
    kind = translator.types.of(node)
    if written_number(node) is not None and not is_quotient(kind):
        return translator.typed(node, kind)
    value = translator.typed(node.this, PostgresType(kind.name))
    template = translator.find(f"-({kind.name})")
    if template is None:
        raise translator.unsupported(f"- of {kind.name}")
    return Value(
        translator.filled(template, [value.node]),
        PostgresType(kind.name),
        value.size,
    )


def _shifted(translator: Translator, node: exp.Expr, found: operators.Operator) -> Value:
    """A date or timestamp and a constant interval: its months, days and microseconds in turn."""
    swapped = found.left == INTERVAL
    moment, span = (node.expression, node.this) if swapped else (node.this, node.expression)
    kind = found.right if swapped else found.left
    parts = constant_interval(span)
    if parts is None or kind.name not in ("date", "timestamp", "timestamptz"):
        raise translator.unsupported("an interval that is no constant")
    if isinstance(node, exp.Sub):
        parts = -parts
    value = translator.typed(moment, kind)
    for name in ("months", "days", "microseconds"):
        amount = getattr(parts, name)
        if amount:
            value = _stepped(translator, value, name, amount)
    if value.type.name == "date":
        value = translator.converted(value, TIMESTAMP)
    return value


def _stepped(translator: Translator, value: Value, part: str, amount: int) -> Value:
    template = translator.find(f"+({value.type.name}, {part})")
    if template is None and value.type.name == "date":
        return _stepped(translator, translator.converted(value, TIMESTAMP), part, amount)
    if template is None:
        raise translator.unsupported(f"an interval of {part} beside {value.type.name}")
    node = translator.filled(template, [value.node, number(str(amount))])
    # A date and an interval make a timestamp.
    return Value(node, TIMESTAMP if value.type.name == "date" else value.type)


NUMBERS: dict[type[exp.Expr], NodeRule] = {
    **dict.fromkeys(operators.ARITHMETIC, operation),
    exp.Neg: negative,
}
