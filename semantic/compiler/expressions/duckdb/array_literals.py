"""Array literals, ``'{1,2}'``, read as PostgreSQL's ``array_in`` reads them (manual, 8.15.2)."""

from __future__ import annotations

import re

from semantic.compiler.expressions.duckdb import literals, numeric
from semantic.compiler.expressions.duckdb.build import call, cast
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.duckdb.value import Value
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import PostgresType

_SPACE = " \t\n\r\v\f"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'(?:[^",{}\\]|\\.)+', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def array_literal(
    raw: str, kind: PostgresType, *, folds: bool = True, compared: bool = False
) -> Value:
    """A string literal as an array.

    Args:
        raw: the text of the literal.
        kind: the array's type.
        folds: whether the session's time zone has hours that come twice.
        compared: its elements are compared only, so that zeros at their end do not matter.

    Raises:
        SemanticError: 22P02, it or one of its elements is none.
        UnsupportedError: it has several dimensions or bounds of its own.
    """
    element = kind.element
    values = [
        literals.null(element) if item is None else literals.literal(item, element, folds=folds)
        for item in read_array(raw)
    ]
    if element.name == "numeric":
        unified = numeric.alike(values)
        scales = {numeric.known_scale(value) for value in values}
        if unified is None or not (compared or len(scales) < 2):
            raise UnsupportedError(
                "an array of numbers with different scales is not supported on DuckDB",
                hint="Write all of them with the same number of decimals.",
            )
        return Value(call("list_value", *(value.node for value in unified)), kind)
    made = call("list_value", *(value.node for value in values))
    return Value(cast(made, duckdb_type(kind)), PostgresType(kind.name))


def read_array(raw: str) -> list[str | None]:
    """The elements of an array's text, None for NULL.

    Raises:
        SemanticError: 22P02, it is malformed.
        UnsupportedError: it has several dimensions or bounds of its own.
    """
    text = raw.strip(_SPACE)
    if text.startswith("["):
        raise UnsupportedError("an array literal with bounds is not supported over cubes")
    if not text.startswith("{"):
        detail = 'Array value must start with "{" or dimension information.'
        raise _malformed(raw, detail)
    items: list[str | None] = []
    at = _skip(text, 1)
    if text[at : at + 1] == "}":
        return _ended(raw, text, at, items)
    while True:
        item, at = _item(raw, text, at)
        items.append(item)
        at = _skip(text, at)
        mark = text[at : at + 1]
        if mark == "}":
            return _ended(raw, text, at, items)
        if mark != ",":
            raise _malformed(raw, "Unexpected array element." if mark else None)
        at = _skip(text, at + 1)


def _ended(raw: str, text: str, at: int, items: list[str | None]) -> list[str | None]:
    if at + 1 != len(text):
        raise _malformed(raw, "Junk after closing right brace.")
    return items


def _item(raw: str, text: str, at: int) -> tuple[str | None, int]:
    if text[at : at + 1] == "{":
        raise UnsupportedError(
            "an array literal of more than one dimension is not supported over cubes"
        )
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    bare = _BARE.match(text, at)
    if bare is None:
        raise _malformed(raw, f'Unexpected "{text[at]}" character.' if text[at:] else None)
    word = bare[0].rstrip(_SPACE)
    if word.upper() == "NULL":
        return None, bare.end()
    return _ESCAPE.sub(r"\1", word), bare.end()


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _malformed(raw: str, detail: str | None) -> SemanticError:
    return SemanticError("22P02", f'malformed array literal: "{raw}"', detail=detail)
