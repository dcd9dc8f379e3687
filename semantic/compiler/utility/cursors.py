"""Cursors and prepared statements of SQL."""

from __future__ import annotations

from semantic.compiler.utility.lexer import Kind
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.types import (
    CloseCursor,
    Deallocate,
    Declare,
    Direction,
    Execute,
    Fetch,
    Other,
    Prepare,
    Statement,
)
from semantic.errors import SemanticError


def declare(reader: Reader) -> Statement:
    """DECLARE name options CURSOR [WITH | WITHOUT HOLD] FOR query."""
    reader.take()
    name = reader.name()
    said: set[str] = set()
    while not reader.at_word("cursor"):
        if reader.word("no"):
            reader.need_word("scroll")
            said.add("no scroll")
        else:
            said.add(reader.need_word("scroll", "binary", "asensitive", "insensitive"))
    reader.take()
    hold = False
    if reader.at_word("with", "without"):
        hold = reader.take().value == "with"
        reader.need_word("hold")
    reader.need_word("for")
    query, offset = reader.query()
    if {"scroll", "no scroll"} <= said:
        raise SemanticError("42P11", "cannot specify both SCROLL and NO SCROLL")
    if {"asensitive", "insensitive"} <= said:
        raise SemanticError("42P11", "cannot specify both ASENSITIVE and INSENSITIVE")
    scroll = True if "scroll" in said else False if "no scroll" in said else None
    return Declare(name, "binary" in said, scroll, hold, query, offset)


def fetch(reader: Reader) -> Statement:
    """FETCH or MOVE, all directions."""
    move = reader.take().value == "move"
    direction, count = _direction(reader)
    name = reader.name()
    reader.need_end()
    return Fetch(name, direction, count, move)


def _direction(reader: Reader) -> tuple[Direction, int | None]:
    """The direction, with FROM or IN taken; any of its words may itself be the cursor's name."""
    default: tuple[Direction, int | None] = ("FORWARD", 1)
    if reader.word("from", "in"):
        return default
    if reader.at_number():
        result: tuple[Direction, int | None] = ("FORWARD", reader.integer())
    elif reader.word("all"):
        result = ("FORWARD", None)
    elif reader.after().kind is Kind.END:
        return default
    elif reader.at_word("absolute", "relative"):
        absolute = reader.take().value == "absolute"
        result = ("ABSOLUTE" if absolute else "RELATIVE", reader.integer())
    elif reader.at_word("forward", "backward"):
        forward = reader.take().value == "forward"
        result = ("FORWARD" if forward else "BACKWARD", _count(reader))
    elif reader.at_word(*_SINGLE):
        result = _SINGLE[reader.take().value]
    else:
        return default
    reader.word("from", "in")
    return result


def _count(reader: Reader) -> int | None:
    if reader.word("all"):
        return None
    return reader.integer() if reader.at_number() else 1


_SINGLE: dict[str, tuple[Direction, int | None]] = {
    "next": ("FORWARD", 1),
    "prior": ("BACKWARD", 1),
    "first": ("ABSOLUTE", 1),
    "last": ("ABSOLUTE", -1),
}


def close(reader: Reader) -> Statement:
    """CLOSE name or ALL."""
    reader.take()
    name = None if reader.word("all") else reader.name()
    reader.need_end()
    return CloseCursor(name)


def prepare(reader: Reader) -> Statement:
    """PREPARE name [(types)] AS statement, and PREPARE TRANSACTION."""
    reader.take()
    if reader.at_word("transaction") and reader.after().kind is Kind.STRING:
        return Other("PREPARE TRANSACTION", reader.text)
    name = reader.name()
    types = reader.items() if reader.at_mark("(") else ()
    reader.need_word("as")
    query, offset = reader.query()
    return Prepare(name, types, query, offset)


def execute(reader: Reader) -> Statement:
    """EXECUTE name [(arguments)]."""
    reader.take()
    name = reader.name()
    arguments = reader.items() if reader.at_mark("(") else ()
    reader.need_end()
    return Execute(name, arguments)


def deallocate(reader: Reader) -> Statement:
    """DEALLOCATE [PREPARE] name or ALL."""
    reader.take()
    if reader.at_word("prepare") and reader.after().kind is not Kind.END:
        reader.take()
    name = None if reader.word("all") else reader.name()
    reader.need_end()
    return Deallocate(name)
