"""Texts that are known when a statement is compiled."""

from __future__ import annotations

from sqlglot import exp

_NAME_BYTES = 64
_TEXT_TYPES = (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR)


def constant_text(node: exp.Expr) -> str | None:
    """The value of a string literal, cast to text or joined with others or not; None: no such text.

    >>> from sqlglot import parse_one
    >>> constant_text(parse_one("'(' || CAST('a+' AS text) || ')'", read="postgres"))
    '(a+)'
    """
    if isinstance(node, exp.Paren):
        return constant_text(node.this)
    if isinstance(node, exp.ByteString) or (isinstance(node, exp.Literal) and node.is_string):
        return str(node.this)
    if isinstance(node, exp.DPipe):
        left, right = constant_text(node.this), constant_text(node.expression)
        return None if left is None or right is None else left + right
    return _cast_text(node) if isinstance(node, exp.Cast) else None


def _cast_text(node: exp.Cast) -> str | None:
    """A text cast to a type of texts, which may be a shorter one."""
    kind, sizes = node.to.this, node.to.expressions
    text = constant_text(node.this)
    if text is None:
        return None
    if kind in _TEXT_TYPES and not sizes:
        return text
    if kind is exp.DataType.Type.NAME:
        return text if len(text.encode()) < _NAME_BYTES else None
    if len(sizes) != 1 or not sizes[0].name.isdigit():
        return None
    shorter = text[: int(sizes[0].name)]
    if kind is exp.DataType.Type.VARCHAR:
        return shorter
    # As a text, a character(n) has no blanks at its end.
    return shorter.rstrip(" ") if kind is exp.DataType.Type.CHAR else None


def is_null_text(node: exp.Expr) -> bool:
    """Whether it is NULL as a text."""
    if isinstance(node, exp.Paren):
        return is_null_text(node.this)
    return (
        isinstance(node, exp.Cast)
        and node.to.this in _TEXT_TYPES
        and isinstance(node.this, exp.Null)
    )
