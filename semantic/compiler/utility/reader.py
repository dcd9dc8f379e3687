"""Reads a statement token by token, with PostgreSQL's words for what does not fit."""

from __future__ import annotations

from semantic.compiler.utility.errors import StatementSyntaxError
from semantic.compiler.utility.keywords import NOT_A_COLUMN_NAME, RESERVED
from semantic.compiler.utility.lexer import Kind, Token, next_token

_INT4_MAX = 2147483647


class Reader:
    """A position in a statement's text with one token of look-ahead (more by ``after``)."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.token = next_token(text, position)

    def after(self) -> Token:
        """The token behind the current one."""
        return next_token(self.text, self.token.end)

    def take(self) -> Token:
        """The current token; moves on."""
        token = self.token
        self.token = next_token(self.text, token.end)
        return token

    def fault(self, token: Token | None = None) -> StatementSyntaxError:
        """The syntax error for the current (or the given) token."""
        token = token or self.token
        if token.kind is Kind.END:
            return StatementSyntaxError("syntax error at end of input", len(self.text))
        near = self.text[token.start : token.end]
        return StatementSyntaxError(f'syntax error at or near "{near}"', token.start)

    def at_word(self, *words: str) -> bool:
        """Whether the current token is one of the key words."""
        return self.token.kind is Kind.WORD and self.token.value in words

    def at_mark(self, mark: str) -> bool:
        """Whether the current token is this punctuation."""
        return self.token.kind is Kind.MARK and self.token.value == mark

    def word(self, *words: str) -> str | None:
        """Take the key word if it is one of these."""
        return self.take().value if self.at_word(*words) else None

    def words(self, first: str, second: str) -> bool:
        """Take two key words if both follow."""
        if not self.at_word(first):
            return False
        after = self.after()
        if after.kind is not Kind.WORD or after.value != second:
            return False
        self.take()
        self.take()
        return True

    def mark(self, mark: str) -> bool:
        """Take the punctuation if it is there."""
        if self.at_mark(mark):
            self.take()
            return True
        return False

    def operator(self, operator: str) -> bool:
        """Take the operator if it is there."""
        if self.token.kind is Kind.OPERATOR and self.token.value == operator:
            self.take()
            return True
        return False

    def need_word(self, *words: str) -> str:
        """Take one of these key words; anything else is a syntax error."""
        if not self.at_word(*words):
            raise self.fault()
        return self.take().value

    def need_mark(self, mark: str) -> None:
        """Take the punctuation; anything else is a syntax error."""
        if not self.mark(mark):
            raise self.fault()

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.token.kind is Kind.END

    def need_end(self) -> None:
        """Anything left is a syntax error."""
        if not self.at_end():
            raise self.fault()

    def name(self, *, reserved: frozenset[str] = NOT_A_COLUMN_NAME) -> str:
        """A name as of a cursor, a savepoint or a column."""
        token = self.token
        if token.kind is Kind.QUOTED_NAME or (
            token.kind is Kind.WORD and token.value not in reserved
        ):
            return self.take().value
        raise self.fault()

    def label(self) -> str:
        """A name where every key word will do."""
        return self.name(reserved=frozenset())

    def non_reserved(self) -> str:
        """A name where every key word but the reserved ones will do."""
        return self.name(reserved=RESERVED)

    def string(self) -> str:
        """A string literal's value."""
        if self.token.kind is not Kind.STRING:
            raise self.fault()
        return self.take().value

    def number(self) -> str:
        """A number with its sign."""
        sign = "-" if self.operator("-") else ""
        if not sign:
            self.operator("+")
        if self.token.kind is not Kind.NUMBER:
            raise self.fault()
        return sign + self.take().value

    def at_number(self) -> bool:
        """Whether a number, with or without sign, comes next."""
        token = self.token
        if token.kind is Kind.OPERATOR and token.value in ("+", "-"):
            return self.after().kind is Kind.NUMBER
        return token.kind is Kind.NUMBER

    def integer(self) -> int:
        """A signed integer constant that fits int4, as a cursor's count must."""
        token = self.token
        text = self.number().replace("_", "")
        try:
            value = (
                int(text, 0) if text.lstrip("-").lower()[:2] in ("0x", "0o", "0b") else int(text)
            )
        except ValueError:
            raise self.fault(token) from None
        if abs(value) > _INT4_MAX:
            raise self.fault(token)
        return value

    def query(self) -> tuple[str, int]:
        """All that is left as the text of another statement, and its offset."""
        if self.at_end():
            raise self.fault()
        return self.text[self.token.start :], self.token.start

    def enclosed(self) -> tuple[str, int]:
        """The text between the parentheses that begin here, and its offset."""
        self.need_mark("(")
        start = self.token.start
        depth = 1
        while True:
            if self.at_end():
                raise self.fault()
            token = self.take()
            if token.kind is Kind.MARK and token.value in "()":
                depth += 1 if token.value == "(" else -1
                if depth == 0:
                    return self.text[start : token.start].rstrip(), start

    def items(self) -> tuple[str, ...]:
        """The texts between the commas of a parenthesised list, which may not be empty."""
        self.need_mark("(")
        found: list[str] = []
        start = self.token.start
        depth = 0
        while True:
            if self.at_end():
                raise self.fault()
            token = self.take()
            if token.kind is not Kind.MARK:
                continue
            if token.value in "([":
                depth += 1
            elif depth and token.value in ")]":
                depth -= 1
            elif not depth and token.value in (",", ")"):
                item = self.text[start : token.start].strip()
                if not item:
                    raise self.fault(token)
                found.append(item)
                start = token.end
                if token.value == ")":
                    return tuple(found)
