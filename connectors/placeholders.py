"""Parameters by place: ``$2 ... $1 ... $2`` as the drivers of DB-API take them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.base import Parameter
from connectors.errors import WarehouseError

# What may hold a ``$1`` that is none: texts and quoted names, and comments.
_PLAIN = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'"
_REST = r""" | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/ ) | \$(?P<number>[1-9]\d*)"""
_TOKENS = {
    escapes: re.compile(f"(?P<quoted> {text}{_REST}", re.DOTALL | re.VERBOSE)
    for escapes, text in ((False, _PLAIN), (True, _ESCAPED))
}


def by_place(
    sql: str, parameters: Sequence[Parameter], mark: str, *, backslashes: bool
) -> tuple[str, list[Parameter]]:
    """The statement with ``mark`` for every placeholder, and the parameters in that order.

    Args:
        sql: with ``$1``, ``$2`` ..., which may come more than once and in any order.
        parameters: their values.
        mark: what the driver takes, such as ``?``.
        backslashes: whether a backslash escapes what follows it in the dialect's texts.

    Raises:
        WarehouseError: 42P02, a parameter has no value.
    """
    order: list[Parameter] = []

    def placed(match: re.Match[str]) -> str:
        if match["number"] is None:
            return match[0]
        number = int(match["number"])
        if number > len(parameters):
            raise WarehouseError("42P02", f"there is no parameter ${number}", reached=False)
        order.append(parameters[number - 1])
        return mark

    return _TOKENS[backslashes].sub(placed, sql), order
