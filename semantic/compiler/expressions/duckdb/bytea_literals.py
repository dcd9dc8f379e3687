r"""bytea literals, ``'\x00ff'`` or ``'a\\b\001'``, as PostgreSQL's input function reads them."""

from __future__ import annotations

import re

from semantic.errors import SemanticError

_PAIRS = re.compile(r"[ \n\t\r]*(?:[0-9a-fA-F]{2}[ \n\t\r]*)*")
_DIGITS = "0123456789abcdefABCDEF"
_ESCAPED = re.compile(rb"(?:[^\\]|\\\\|\\[0-3][0-7]{2})*")
_ESCAPE = re.compile(rb"\\(?:(\\)|([0-7]{3}))")


def bytea_text(raw: str) -> str:
    r"""A literal's bytes as the text that DuckDB casts to BLOB: ``\xHH`` for each of them.

    Raises:
        SemanticError: 22023 or 22P02, it is none.
    """
    data = read_bytea(raw)
    return "\\x" + data.hex("|").upper().replace("|", "\\x") if data else ""


def read_bytea(raw: str) -> bytes:
    r"""The bytes of a literal.

    >>> read_bytea(r"\x00 fF"), read_bytea(r"a\\\001")
    (b'\x00\xff', b'a\\\x01')

    Raises:
        SemanticError: 22023 or 22P02, it is none.
    """
    return _hexadecimal(raw[2:]) if raw.startswith("\\x") else _escaped(raw.encode())


def _hexadecimal(raw: str) -> bytes:
    read = _PAIRS.match(raw)
    end = read.end() if read else 0
    if end == len(raw):
        return bytes.fromhex(raw)
    wrong = next((each for each in raw[end : end + 2] if each not in _DIGITS), None)
    if wrong is None:
        raise SemanticError("22023", "invalid hexadecimal data: odd number of digits")
    raise SemanticError("22023", f'invalid hexadecimal digit: "{wrong}"')


def _escaped(raw: bytes) -> bytes:
    if _ESCAPED.fullmatch(raw) is None:
        raise SemanticError("22P02", "invalid input syntax for type bytea")
    return _ESCAPE.sub(lambda found: found[1] or bytes([int(found[2], 8)]), raw)
