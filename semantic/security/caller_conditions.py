"""Whether a policy's condition holds for a caller: SQL's three-valued logic over attributes.

A missing attribute is NULL. Text that stands for a number or a truth value is read as one where it
meets one, as PostgreSQL reads a literal. What PostgreSQL would raise an error for (a list or a
nested value where one value is wanted, a number where a truth value is) makes the whole condition
one that does not hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation

from semantic.model.condition import (
    Attribute,
    Comparison,
    ComparisonOperator,
    Condition,
    ConditionNode,
    Constant,
    Distinct,
    Is,
    Junction,
    Like,
    Not,
    Quantified,
)
from semantic.model.values import FrozenMap, FrozenValue
from semantic.security.context import SecurityContext

Truth = bool | None
"""TRUE, FALSE, or None for NULL."""

_Single = str | Decimal | bool

_OPERATORS: Mapping[ComparisonOperator, Callable[[_Single, _Single], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUE = frozenset(("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"))
_FALSE = frozenset(("f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"))
"""What PostgreSQL reads as a boolean."""


class _IllTypedError(Exception):
    """PostgreSQL would raise an error here."""


def holds(condition: Condition, context: SecurityContext) -> bool:
    """Whether a condition is TRUE for a caller: neither FALSE, NULL nor an error."""
    try:
        return _truth(condition.test, context) is True
    except _IllTypedError:
        return False


def _truth(node: ConditionNode, context: SecurityContext) -> Truth:
    match node:
        case Not(test):
            truth = _truth(test, context)
            return None if truth is None else not truth
        case Junction(kind, tests):
            return _junction([_truth(test, context) for test in tests], decisive=kind == "or")
        case Comparison(sign, left, right):
            return _compare(sign, _single(left, context), _single(right, context))
        case Quantified(sign, quantifier, left, items):
            value = _single(left, context)
            found = [_compare(sign, value, item) for item in _elements(items, context)]
            return _junction(found, decisive=quantifier == "any")
        case Like(value, pattern, folded):
            return _like(_single(value, context), _single(pattern, context), folded=folded)
        case Is(value, "null"):
            return _value(value, context) is None
        case Is(value, what):
            return _truth(value, context) is (what == "true")
        case Distinct(left, right):
            return _distinct(_single(left, context), _single(right, context))
        case Attribute() | Constant():
            return _as_truth(_single(node, context))


def _junction(truths: list[Truth], *, decisive: bool) -> Truth:
    """OR (``decisive`` is TRUE) or AND of all; of none it is the other one."""
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def _value(node: ConditionNode, context: SecurityContext) -> FrozenValue:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Attribute):
        try:
            return context.attribute(node.path)
        except KeyError:
            return None
    return _truth(node, context)


def _single(node: ConditionNode, context: SecurityContext) -> _Single | None:
    return _simple(_value(node, context))


def _simple(value: FrozenValue) -> _Single | None:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, tuple | FrozenMap):
        raise _IllTypedError
    number = Decimal(repr(value))
    if not number.is_finite():
        raise _IllTypedError
    return number


def _elements(
    items: tuple[ConditionNode, ...], context: SecurityContext
) -> Iterator[_Single | None]:
    for item in items:
        value = _value(item, context)
        if isinstance(value, tuple):
            yield from (_simple(element) for element in value)
        else:
            yield _simple(value)


def _compare(sign: ComparisonOperator, left: _Single | None, right: _Single | None) -> Truth:
    if left is None or right is None:
        return None
    return _OPERATORS[sign](*_alike(left, right))


def _distinct(left: _Single | None, right: _Single | None) -> bool:
    if left is None or right is None:
        return left is not right
    one, other = _alike(left, right)
    return one != other


def _alike(left: _Single, right: _Single) -> tuple[_Single, _Single]:
    """Two values in one type: text gives way to what it stands for."""
    if type(left) is type(right):
        return left, right
    if isinstance(left, str):
        return _read(left, right), right
    if isinstance(right, str):
        return left, _read(right, left)
    raise _IllTypedError


def _read(text: str, like: _Single) -> _Single:
    if isinstance(like, bool):
        return _boolean(text)
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise _IllTypedError from None
    if not number.is_finite():
        raise _IllTypedError
    return number


def _as_truth(value: _Single | None) -> Truth:
    if isinstance(value, str):
        return _boolean(value)
    if isinstance(value, Decimal):
        raise _IllTypedError
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise _IllTypedError


def _like(value: _Single | None, pattern: _Single | None, *, folded: bool) -> Truth:
    if value is None or pattern is None:
        return None
    if not isinstance(value, str) or not isinstance(pattern, str):
        raise _IllTypedError
    flags = re.DOTALL | (re.IGNORECASE if folded else re.NOFLAG)
    return re.fullmatch(_expression(pattern), value, flags) is not None


def _expression(pattern: str) -> str:
    """A LIKE pattern as a regular expression. Raises where it ends in its escape character."""
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise _IllTypedError
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return "".join(parts)
