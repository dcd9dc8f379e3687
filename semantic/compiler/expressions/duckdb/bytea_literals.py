r"""bytea literals, ``'\x00ff'`` or ``'a\\b\001'``, as PostgreSQL's input function reads them."""

from __future__ import annotations

import re

from semantic.errors import SemanticError

_HEX_SPACE = " \n\t\r"
_PIECE = re.compile(rb"\\(?:(\\)|([0-3][0-7]{2}))|([^\\])", re.DOTALL)


def bytea_text(raw: str) -> str:
    r"""A literal's bytes as the text that DuckDB casts to BLOB: ``\xHH`` for each of them.

    Raises:
        SemanticError: 22023 or 22P02, it is none.
    """
    return "".join(f"\\x{byte:02X}" for byte in read_bytea(raw))


def read_bytea(raw: str) -> bytes:
    r"""The bytes of a literal.

    >>> read_bytea(r"\x00 fF"), read_bytea(r"a\\\001")
    (b'\x00\xff', b'a\\\x01')

    Raises:
        SemanticError: 22023 or 22P02, it is none.
    """
    return _hexadecimal(raw[2:]) if raw.startswith("\\x") else _escaped(raw.encode())


def _hexadecimal(raw: str) -> bytes:
    pieces = bytearray()
    rest = raw
    while rest := rest.lstrip(_HEX_SPACE):
        digit = next((each for each in rest[:2] if each not in "0123456789abcdefABCDEF"), None)
        if digit is not None:
            raise SemanticError("22023", f'invalid hexadecimal digit: "{digit}"')
        if len(rest) < 2:
            raise SemanticError("22023", "invalid hexadecimal data: odd number of digits")
        pieces += bytes.fromhex(rest[:2])
        rest = rest[2:]
    return bytes(pieces)


def _escaped(raw: bytes) -> bytes:
    pieces = bytearray()
    place = 0
    while place < len(raw):
        found = _PIECE.match(raw, place)
        if found is None:
            raise SemanticError("22P02", "invalid input syntax for type bytea")
        backslash, octal, plain = found.groups()
        pieces += bytes([int(octal, 8)]) if octal else backslash or plain
        place = found.end()
    return bytes(pieces)
