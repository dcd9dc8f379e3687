"""What a result depends on, as one hash.

Two statements share a result exactly when everything that the warehouse is told is equal. Every
part is written with its length, so that no two lists of parts read alike.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from decimal import Decimal

from connectors.base import Parameter
from proxy.rows.settings import TextSettings

VERSION = b"2"
"""Of the key's and of all stored forms: entries of another version are not found."""

_EXACT = (bool, int, float, Decimal, str, bytes, dt.date, dt.time, dt.datetime, uuid.UUID)
"""Types whose ``repr`` tells any two values apart that a warehouse could tell apart."""

_FLOATS = ("float4", "float8")
_MOMENTS = ("date", "timestamp", "timestamptz")

# Names that a warehouse answers anew each time it is asked, and the words that stand for a moment.
_VOLATILE_CALL = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday"
    r"|get_current_timestamp|get_current_time|today|random|random_normal|setseed|rand|uuid\w*"
    r"|gen_random_\w+|uuid_generate_\w+|nextval|currval|lastval|txid_\w+|pg_\w+|current_setting"
    r"|inet_\w+|version|age|getvariable)\s*\(",
    re.IGNORECASE,
)
_VOLATILE_WORD = re.compile(
    r"(?<![.\w])(?:current_(?:date|time|timestamp|user|role|catalog|schema|database)"
    r"|localtime|localtimestamp|session_user|user|tablesample|using\s+sample)\b",
    re.IGNORECASE,
)
_VOLATILE_TEXT = re.compile(r"'\s*(?:now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


class UncacheableValueError(Exception):
    """A bound value whose exact form is not known."""


def is_volatile(sql: str) -> bool:
    r"""Whether a statement of a warehouse may answer otherwise over the same data.

    Of a doubtful text the answer is yes: ``age(x)`` counts from today, ``age(x, y)`` does not.

    >>> is_volatile("SELECT now()"), is_volatile("SELECT 'random()' AS \"now()\"")
    (True, False)
    >>> is_volatile("SELECT CAST('today' AS DATE)")
    True
    """
    if _VOLATILE_TEXT.search(sql):
        return True
    bare = _QUOTED.sub("''", sql)
    return _VOLATILE_CALL.search(bare) is not None or _VOLATILE_WORD.search(bare) is not None


def digest(parts: Iterable[bytes]) -> bytes:
    """A hash of a list of texts, 32 bytes."""
    found = hashlib.blake2b(VERSION, digest_size=32)
    _add(found, parts)
    return found.digest()


def checksum(secret: bytes, parts: Iterable[bytes]) -> bytes:
    """A hash of a list of texts that only who has the secret can make, 32 bytes."""
    found = hashlib.blake2b(key=secret, digest_size=32)
    _add(found, parts)
    return found.digest()


def _add(found: hashlib.blake2b, parts: Iterable[bytes]) -> None:
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)


def statement_key(
    data_source: str,
    sql: str,
    parameters: Sequence[Parameter],
    time_zone: str,
    identity: str,
    versions: bytes,
) -> bytes:
    """Of what a warehouse is asked, and of which state of its data.

    Args:
        time_zone: of the session, in which the warehouse reads and writes moments.
        identity: as whom the warehouse is reached, where that is the end user; else empty.
        versions: of the data that is read.

    Raises:
        UncacheableValueError: a value's type is not known here.
    """
    parts = [data_source.encode(), sql.encode(), time_zone.encode(), identity.encode(), versions]
    for parameter in parameters:
        parts.append(parameter.type_name.encode())
        parts.append(_value(parameter.value))
    return digest(parts)


def form_of(types: Sequence[str], formats: Sequence[int], settings: TextSettings) -> bytes:
    """How rows are written: the formats, and of the settings those that change this text."""
    parts = [bytes(formats)]
    texts = {name.removeprefix("_") for name, code in zip(types, formats, strict=True) if code == 0}
    if not texts.isdisjoint(_MOMENTS):
        parts.append(f"date {settings.date_style}".encode())
    if "interval" in texts:
        parts.append(f"interval {settings.interval_style}".encode())
    if not texts.isdisjoint(_FLOATS):
        parts.append(f"float {min(settings.extra_float_digits, 1)}".encode())
    if "bytea" in texts:
        parts.append(f"bytea {settings.bytea_output}".encode())
    return digest(parts)


def _value(value: object) -> bytes:
    if isinstance(value, list | tuple):
        return digest([b"list", *map(_value, value)])
    if value is not None and type(value) not in _EXACT:
        raise UncacheableValueError(type(value).__name__)
    return f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
