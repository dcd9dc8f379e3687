"""Array parameters, one-dimensional (manual, 8.15.2; ``array_recv``)."""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.rows.errors import NeedsServer, ParameterError
from proxy.rows.parameter_binary import BinaryDecoder, Reader
from proxy.rows.parameter_text import SPACE
from proxy.wire.oids import BY_OID, TYPES

_TOKEN = re.compile(
    r'[ \t\n\r\v\f]*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^{},"\\]|\\.)+))', re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MOST_DIMENSIONS = 6


def _malformed(text: str, detail: str) -> ParameterError:
    return ParameterError("22P02", f'malformed array literal: "{text}"', detail=detail)


def _multidimensional() -> ParameterError:
    return ParameterError("0A000", "multidimensional array parameters are not supported")


def _bare(word: str) -> str | None:
    """An element without quotes: NULL, or text whose escapes are removed and end is trimmed."""
    if "\\" not in word:
        word = word.strip(SPACE)
        return None if word.upper() == "NULL" else word
    # A blank after a backslash belongs to the value.
    kept = re.sub(r"(?<!\\)((?:\\\\)*)[ \t\n\r\v\f]+$", r"\1", word)
    return _ESCAPE.sub(r"\1", kept)


def from_text(text: str, read: Callable[[str], object]) -> list[object]:
    """Values of ``{1,NULL,"a b"}``. Raises ParameterError 22P02."""
    body = text.strip(SPACE)
    if body.startswith("["):
        raise NeedsServer("array", text)
    if not body.startswith("{"):
        raise _malformed(text, 'Array value must start with "{" or dimension information.')
    values: list[object] = []
    at, element_before = 1, False
    while True:
        match = _TOKEN.match(body, at)
        if match is None:
            raise _malformed(text, "Unexpected end of input.")
        at = match.end()
        mark, inside, bare = match.groups()
        if mark is None:
            if element_before or (bare is not None and not bare.strip(SPACE)):
                raise _malformed(text, "Unexpected array element.")
            word = _ESCAPE.sub(r"\1", inside) if inside is not None else _bare(bare)
            values.append(None if word is None else read(word))
            element_before = True
        elif mark == "{":
            raise _multidimensional()
        elif not element_before and (mark == "," or values):
            raise _malformed(text, f'Unexpected "{mark}" character.')
        elif mark == ",":
            element_before = False
        else:
            break
    if at != len(body):
        raise _malformed(text, "Junk after closing right brace.")
    return values


def from_binary(reader: Reader, element: str, read: BinaryDecoder) -> list[object]:
    """Values of an array as ``array_recv`` takes it."""
    (dimensions,) = reader.unpack("i")
    if dimensions < 0:
        raise ParameterError("22P03", f"invalid number of dimensions: {dimensions}")
    if dimensions > _MOST_DIMENSIONS:
        raise ParameterError(
            "54000",
            f"number of array dimensions ({dimensions}) exceeds the maximum allowed (6)",
        )
    (flags,) = reader.unpack("i")
    if flags not in (0, 1):
        raise ParameterError("22P03", "invalid array flags")
    (oid,) = reader.unpack("I")
    expected = TYPES[element].oid
    if oid != expected:
        raise _other_element(oid, expected)
    if dimensions == 0:
        return []
    if dimensions > 1:
        raise _multidimensional()
    count, _ = reader.unpack("ii")
    if count < 0:
        raise ParameterError("22P03", "invalid array dimension")
    values: list[object] = []
    for _ in range(count):
        (size,) = reader.unpack("i")
        if size == -1:
            values.append(None)
            continue
        item = Reader(reader.take(size))
        values.append(read(item))
        if item.left:
            raise ParameterError("22P03", f"improper binary format in array element {len(values)}")
    return values


def _other_element(oid: int, expected: int) -> ParameterError:
    found = BY_OID[oid].name if oid in BY_OID else "-"
    return ParameterError(
        "42804",
        f"binary data has array element type {oid} ({found})"
        f" instead of expected {expected} ({BY_OID[expected].name})",
    )
