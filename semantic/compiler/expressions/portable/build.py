"""Makes trees of a warehouse's SQL out of text templates.

The text of a template reaches the warehouse as it stands. In it ``_1``, ``_2`` ... stand for
operands, ``_t`` for the spelling of a type, and ``_z`` for a time zone's name as a string. The
parser's library knows no node for text with holes, and its classes cannot be extended; so a
template is a chain of ``Introducer`` nodes, which are written one after the other.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sqlglot import exp

from semantic.errors import UnsupportedError

_HOLE = re.compile(r"(?<![\w'])_([1-9tz])(?![\w'])")
_CALL = re.compile(r"[A-Za-z_]\w*\(")
_ATOMS = (
    exp.Boolean,
    exp.Column,
    exp.Introducer,
    exp.Literal,
    exp.Null,
    exp.Parameter,
    exp.Paren,
    exp.Subquery,
    exp.Var,
)
_MOST_NODES = 5000
"""What an operand that a template repeats may hold: repeated again and again it doubles."""


@lru_cache(maxsize=2048)
def _pieces(template: str) -> tuple[tuple[str, ...], bool]:
    """Text and holes in turn, and whether nothing around the template could tear it apart."""
    return tuple(_HOLE.split(" ".join(template.split()))), _is_closed(template.strip())


def _is_closed(text: str) -> bool:
    """Whether a text is one call or one pair of parentheses, and holds no string."""
    start = _CALL.match(text)
    if "'" in text or not (text.startswith("(") or start):
        return False
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and place >= (start.end() if start else 1) and place < len(text) - 1:
            return False
    return depth == 0


def sql(template: str, *operands: exp.Expr, spelled: str = "", zone: str = "") -> exp.Expr:
    """A tree for a template with its holes filled. An operand used twice is copied.

    Raises:
        UnsupportedError: 54001 would be the warehouse's answer to a text this long.
    """
    pieces, closed = _pieces(template)
    used: set[int] = set()
    parts: list[exp.Expr] = []
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            if piece.strip():
                parts.append(exp.Var(this=piece.strip()))
        elif piece == "t":
            parts.append(exp.Var(this=spelled))
        elif piece == "z":
            parts.append(exp.Literal.string(zone))
        else:
            parts.append(_operand(operands[int(piece) - 1], int(piece), used))
    tree = parts[-1]
    for part in reversed(parts[:-1]):
        tree = exp.Introducer(this=part, expression=tree)
    return tree if closed or len(parts) == 1 else exp.Paren(this=tree)


def _operand(node: exp.Expr, place: int, used: set[int]) -> exp.Expr:
    if place in used:
        if sum(1 for _ in node.walk()) > _MOST_NODES:
            raise UnsupportedError("an expression of this size is not supported here")
        node = node.copy()
    used.add(place)
    return atom(node)


def atom(node: exp.Expr) -> exp.Expr:
    """A node in parentheses unless nothing around it could tear it apart."""
    return node if isinstance(node, _ATOMS) else exp.Paren(this=node)


def binary(operator: type[exp.Binary], left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """``(left operator right)``."""
    return exp.Paren(this=operator(this=atom(left), expression=atom(right)))


def case(condition: exp.Expr, result: exp.Expr, default: exp.Expr | None = None) -> exp.Expr:
    """``(CASE WHEN condition THEN result [ELSE default] END)``."""
    return exp.Paren(this=exp.Case(ifs=[exp.If(this=condition, true=result)], default=default))


def number(text: str) -> exp.Expr:
    """A number; a negative one in parentheses."""
    if text.startswith("-"):
        return exp.Paren(this=exp.Neg(this=exp.Literal.number(text[1:])))
    return exp.Literal.number(text)
