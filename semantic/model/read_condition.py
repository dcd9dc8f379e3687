"""The parser of a policy's conditions: the part of SQL that can be told without a database.

OR, AND, NOT, comparisons, [NOT] IN, [NOT] LIKE and ILIKE, [NOT] BETWEEN, ANY and ALL, IS [NOT]
NULL, TRUE, FALSE, UNKNOWN and DISTINCT FROM, over literals and ``{ user.attr }``, with SQL's
precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from semantic.model.condition import (
    COMPARISONS,
    Attribute,
    Comparison,
    ComparisonOperator,
    ConditionNode,
    Constant,
    Distinct,
    Is,
    Junction,
    Like,
    Not,
    Quantified,
)
from semantic.model.template import SecurityContextReference, SqlTemplate

MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | (?P<reference>\$?\{[^{}]*\})
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign><=|>=|<>|!=|==|[=<>(),\[\]-])
    )""",
    re.VERBOSE,
)
_SUPPORTED = (
    "a condition is made of literals and { user.attr } with AND, OR, NOT, =, <>, <, <=, >, >=, "
    "IN, LIKE, BETWEEN, ANY, ALL and IS"
)
_SPELLINGS = {"!=": "<>"}


class ConditionError(ValueError):
    """A condition that cannot be read. ``position`` is a 0-based offset in its text."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, sign, literal or reference, and its 0-based offset."""

    kind: str
    text: str
    position: int


def parse_condition(template: SqlTemplate) -> ConditionNode:
    """The tree of a condition.

    References that are no attributes of the caller are read as NULL: they are reported by whoever
    knows the model's names.

    Raises:
        ConditionError: the text is not of this part of SQL.
    """
    return _Parser(template).whole()


def _tokens(template: SqlTemplate) -> Iterator[_Token]:
    text, position = template.text, 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise ConditionError(f"{text[start]!r} is not understood; {_SUPPORTED}", start)
        kind = found.lastgroup or ""
        position = found.end()
        token = _Token(kind, found[kind], found.start(kind))
        if kind == "text":
            for part in template.parts:
                inside = not isinstance(part, str) and token.position < part.position < position
                if inside and not isinstance(part, str):
                    raise ConditionError(
                        "an attribute stands without quotes: it is a value", part.position
                    )
        yield token


class _Parser:
    """Recursive descent; ``_peek`` is the next word in lower case, or the sign."""

    def __init__(self, template: SqlTemplate) -> None:
        self._tokens = list(_tokens(template))
        self._references = {
            part.position: part for part in template.parts if not isinstance(part, str)
        }
        self._end = len(template.text)
        self._next = 0
        self._depth = 0

    def whole(self) -> ConditionNode:
        """The condition, to its end."""
        found = self._either()
        if self._next < len(self._tokens):
            raise self._error("unexpected")
        return found

    # ------------------------------------------------------------------------- tokens

    def _peek(self) -> str:
        if self._next >= len(self._tokens):
            return ""
        token = self._tokens[self._next]
        return token.text.lower() if token.kind in ("word", "sign") else ""

    def _accept(self, *words: str) -> bool:
        """Take these words, if they are next."""
        ahead = self._tokens[self._next : self._next + len(words)]
        found = [token.text.lower() for token in ahead if token.kind in ("word", "sign")]
        if found != list(words):
            return False
        self._next += len(words)
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._error(f'"{word.upper()}" is expected instead of')

    def _error(self, what: str) -> ConditionError:
        if self._next >= len(self._tokens):
            return ConditionError(f"the condition ends too early; {_SUPPORTED}", self._end)
        token = self._tokens[self._next]
        return ConditionError(f"{what} {token.text}; {_SUPPORTED}", token.position)

    # ------------------------------------------------------------------------- grammar

    def _either(self) -> ConditionNode:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError("the condition is nested too deep", 0)
        tests = [self._both()]
        while self._accept("or"):
            tests.append(self._both())
        self._depth -= 1
        return tests[0] if len(tests) == 1 else Junction("or", tuple(tests))

    def _both(self) -> ConditionNode:
        tests = [self._negated()]
        while self._accept("and"):
            tests.append(self._negated())
        return tests[0] if len(tests) == 1 else Junction("and", tuple(tests))

    def _negated(self) -> ConditionNode:
        count = 0
        while self._accept("not"):
            count += 1
        test = self._is(self._predicate())
        return Not(test) if count % 2 else test if not count else Not(Not(test))

    def _is(self, value: ConditionNode) -> ConditionNode:
        while self._accept("is"):
            negated = self._accept("not")
            value = self._is_what(value)
            value = Not(value) if negated else value
        return value

    def _is_what(self, value: ConditionNode) -> ConditionNode:
        if self._accept("distinct", "from"):
            return Distinct(value, self._operand())
        if self._accept("null") or self._accept("unknown"):
            return Is(value, "null")
        if self._accept("true"):
            return Is(value, "true")
        if self._accept("false"):
            return Is(value, "false")
        raise self._error('"NULL", "TRUE", "FALSE" or "DISTINCT FROM" is expected instead of')

    def _predicate(self) -> ConditionNode:
        left = self._operand()
        sign = self._peek()
        if sign == "==":
            raise self._error('write "=" instead of')
        sign = _SPELLINGS.get(sign, sign)
        if sign in COMPARISONS:
            self._next += 1
            return self._comparison(sign, left)
        negated = self._accept("not")
        found = self._worded(left)
        if found is None:
            if negated:
                raise self._error('"IN", "LIKE" or "BETWEEN" is expected instead of')
            return left
        return Not(found) if negated else found

    def _comparison(self, sign: ComparisonOperator, left: ConditionNode) -> ConditionNode:
        for word, quantifier in (("any", "any"), ("some", "any"), ("all", "all")):
            if self._accept(word):
                self._expect("(")
                items = self._elements()
                self._expect(")")
                kind = cast("Literal['any', 'all']", quantifier)
                return Quantified(sign, kind, left, items)
        return Comparison(sign, left, self._operand())

    def _worded(self, left: ConditionNode) -> ConditionNode | None:
        if self._accept("in"):
            items = self._items(")") if self._accept("(") else (self._reference(),)
            return Quantified("=", "any", left, items)
        for word in ("like", "ilike"):
            if self._accept(word):
                return Like(left, self._operand(), folded=word == "ilike")
        if self._accept("between"):
            low = self._operand()
            self._expect("and")
            high = self._operand()
            return Junction("and", (Comparison(">=", left, low), Comparison("<=", left, high)))
        return None

    def _elements(self) -> tuple[ConditionNode, ...]:
        """What stands inside ANY (...): an attribute, or ARRAY[...]."""
        if self._accept("array"):
            self._expect("[")
            return self._items("]")
        return (self._reference(),)

    def _items(self, end: str) -> tuple[ConditionNode, ...]:
        items = [self._operand()]
        while self._accept(","):
            items.append(self._operand())
        self._expect(end)
        return tuple(items)

    def _reference(self) -> ConditionNode:
        if self._next < len(self._tokens) and self._tokens[self._next].kind == "reference":
            return self._operand()
        raise self._error('a list such as "{ user.groups }" is expected instead of')

    def _operand(self) -> ConditionNode:
        if self._accept("("):
            inner = self._either()
            self._expect(")")
            return inner
        negative = self._accept("-")
        if self._next >= len(self._tokens):
            raise self._error("unexpected")
        token = self._tokens[self._next]
        if token.kind == "number":
            self._next += 1
            number = _number(token.text)
            return Constant(-number if negative else number)
        if negative:
            raise self._error("a number is expected instead of")
        if token.kind == "text":
            self._next += 1
            text = token.text[1:-1].replace("''", "'")
            return Constant(text.replace("\\{", "{").replace("\\}", "}"))
        if token.kind == "reference":
            self._next += 1
            return self._attribute(token)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self._accept(word):
                return Constant(value)
        raise self._error("unexpected")

    def _attribute(self, token: _Token) -> ConditionNode:
        part = self._references.get(token.position)
        if isinstance(part, SecurityContextReference):
            if part.column is not None:
                raise ConditionError(
                    "filter() is for rows; a condition names an attribute", token.position
                )
            return Attribute(part.path)
        return Constant(None)


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
