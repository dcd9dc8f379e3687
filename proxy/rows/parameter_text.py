"""Text of parameters: numbers, booleans, strings, uuid, bytea and json (manual, chapter 8)."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from proxy.rows.errors import NeedsServer, ParameterError
from proxy.rows.jsonb import normal_text
from proxy.rows.settings import TextSettings

Decoder = Callable[[str, TextSettings], object]

# C's isspace, which surrounds numbers and booleans.
SPACE = " \t\n\r\v\f"
_INTEGERS = {
    "int2": ("smallint", -(2**15), 2**15 - 1),
    "int4": ("integer", -(2**31), 2**31 - 1),
    "int8": ("bigint", -(2**63), 2**63 - 1),
    "oid": ("oid", -(2**31), 2**32 - 1),
}
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<x>(?:_?[0-9a-fA-F])+)|0[oO](?P<o>(?:_?[0-7])+)"
    r"|0[bB](?P<b>(?:_?[01])+)|(?P<decimal>\d+(?:_\d+)*))",
    re.ASCII,
)
_BASES = (("decimal", 10), ("x", 16), ("o", 8), ("b", 2))
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NUMERIC = re.compile(
    r"[+-]?(\d+(_\d+)*(\.(\d+(_\d+)*)?)?|\.\d+(_\d+)*)([eE][+-]?\d+(_\d+)*)?", re.ASCII
)
_SPECIAL = re.compile(r"([+-]?)(nan|inf|infinity)", re.IGNORECASE)
_PLAIN_OID = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_TRUE = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_FALSE = frozenset({"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"})
_UUID = re.compile(r"(\{)?([0-9a-f]{4}-?){7}[0-9a-f]{4}(?(1)\})", re.ASCII | re.IGNORECASE)
_OCTAL = re.compile(rb"\\(?:(\\)|([0-3][0-7]{2}))|(\\)")
_NUMERIC_DIGITS, _NUMERIC_SCALE = 131_072, 16_383
_NAME_BYTES = 63


def syntax_error(type_name: str, text: str) -> ParameterError:
    """22P02: not a value of the type at all."""
    return ParameterError("22P02", f'invalid input syntax for type {type_name}: "{text}"')


def checked_text(data: bytes) -> str:
    """Text of UTF-8 bytes. Raises ParameterError 22021 where PostgreSQL does."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        first = data[error.start]
        width = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
        raise _bad_bytes(data[error.start : error.start + width]) from None
    if "\0" in text:
        raise _bad_bytes(b"\0")
    return text


def _bad_bytes(data: bytes) -> ParameterError:
    shown = " ".join(f"0x{byte:02x}" for byte in data)
    return ParameterError("22021", f'invalid byte sequence for encoding "UTF8": {shown}')


def _bool(text: str, _: TextSettings) -> bool:
    word = text.strip(SPACE).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise syntax_error("boolean", text)


def integer(type_name: str) -> Decoder:
    """Reads integers of one size."""
    shown, least, most = _INTEGERS[type_name]

    def read(text: str, _: TextSettings) -> int:
        word = text.strip(SPACE)
        match = _INTEGER.match(word)
        if match is None:
            raise syntax_error(shown, text)
        if type_name == "oid" and not _PLAIN_OID.fullmatch(word):
            # Its parser is C's strtoul, which has rules of its own for what begins with a zero.
            raise NeedsServer("oid", text)
        digits, base = next((match[name], base) for name, base in _BASES if match[name])
        digits = digits.replace("_", "").lstrip("0") or "0"
        value = most + 1 if len(digits) > 70 else int(digits, base)
        if match["sign"] == "-":
            value = -value
        if not least <= value <= most:
            raise ParameterError("22003", f'value "{text}" is out of range for type {shown}')
        if match.end() != len(word):
            raise syntax_error(shown, text)
        return value % 2**32 if type_name == "oid" else value

    return read


def _special(text: str) -> float | None:
    match = _SPECIAL.fullmatch(text)
    if match is None:
        return None
    if match[2].lower() == "nan":
        return math.nan
    return -math.inf if match[1] == "-" else math.inf


def _float(type_name: str, nearest: Callable[[str], float]) -> Decoder:
    """Reads floating point numbers; what follows the number is looked at after its range."""

    def read(text: str, _: TextSettings) -> float:
        word = text.strip(SPACE)
        special = _special(word)
        if special is not None:
            return special
        match = _FLOAT.match(word)
        if match is None or word[match.end() :][:1] in ("x", "X"):
            raise NeedsServer(type_name, text) if match else syntax_error(type_name, text)
        number = match[0]
        value = nearest(number)
        if math.isinf(value) or (value == 0 and _has_digits(number)):
            raise ParameterError("22003", f'"{number}" is out of range for type {type_name}')
        if match.end() != len(word):
            raise syntax_error(type_name, text)
        return value

    return read


def _has_digits(word: str) -> bool:
    """Whether a number's text is other than zero."""
    return any(digit in "123456789" for digit in re.split("[eE]", word)[0])


def _nearest_single(word: str) -> float:
    """The float4 nearest to a decimal; by way of a float8, of which rounding may make a tie."""
    wide = float(word)
    with np.errstate(over="ignore", under="ignore"):
        value = np.float32(wide)
    if math.isinf(wide) or math.isinf(value):
        return float(value)
    exact, written = Decimal(wide), Decimal(word)
    if exact != written:
        nudged = np.nextafter(wide, math.inf if written > exact else -math.inf)
        low, high = sorted((wide, float(nudged)))
        # Only where the two float8 around the decimal round apart was there a tie.
        if np.float32(low) != np.float32(high):
            return float(np.float32(nudged))
    return float(value)


def _numeric(text: str, _: TextSettings) -> Decimal:
    word = text.strip(SPACE)
    special = _special(word)
    if special is not None:
        if math.isnan(special) and word[0] in "+-":
            raise syntax_error("numeric", text)
        return Decimal(special)
    if _NUMERIC.fullmatch(word) is None:
        match = _INTEGER.fullmatch(word)
        if match is None:
            raise syntax_error("numeric", text)
        digits, base = next((match[name], base) for name, base in _BASES if match[name])
        if len(digits) > 4000:
            raise NeedsServer("numeric", text)
        value = int(digits.replace("_", ""), base)
        return Decimal(-value if match["sign"] == "-" else value)
    word = word.replace("_", "")
    mantissa, _e, power = word.lower().partition("e")
    if len(power.lstrip("+-0")) > 6:
        raise _overflow()
    number = Decimal(f"{mantissa}e{power or 0}")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > _NUMERIC_SCALE or (number and number.adjusted() >= _NUMERIC_DIGITS):
        raise _overflow()
    if not number:
        number = number.copy_abs()
    # PostgreSQL keeps no positive exponent: 1e2 is 100.
    return number if exponent <= 0 else Decimal(format(number, "f"))


def _overflow() -> ParameterError:
    return ParameterError("22003", "value overflows numeric format")


def _text(text: str, _: TextSettings) -> str:
    return text


def _name(text: str, _: TextSettings) -> str:
    return text.encode()[:_NAME_BYTES].decode(errors="ignore")


def _uuid(text: str, _: TextSettings) -> uuid.UUID:
    if _UUID.fullmatch(text) is None:
        raise syntax_error("uuid", text)
    return uuid.UUID(text.strip("{}").replace("-", ""))


def _bytea(text: str, _: TextSettings) -> bytes:
    data = text.encode()
    if not data.startswith(b"\\x"):
        return _OCTAL.sub(_escaped, data) if b"\\" in data else data
    digits = data[2:]
    try:
        return bytes.fromhex(digits.decode())
    except ValueError:
        pass
    if bad := re.search(r"[^0-9a-fA-F \t\n\r]", text[2:]):
        raise ParameterError("22023", f'invalid hexadecimal digit: "{bad[0]}"')
    raise ParameterError("22023", "invalid hexadecimal data: odd number of digits")


def _escaped(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return b"\\"
    if match[2]:
        return bytes([int(match[2], 8)])
    raise ParameterError("22P02", "invalid input syntax for type bytea")


def json_text(text: str) -> str:
    """Checks the text of a json, which is kept as it is written."""
    try:
        json.loads(text, parse_constant=_refused_constant, parse_int=str, parse_float=str)
    except ValueError as error:
        raise ParameterError("22P02", "invalid input syntax for type json") from error
    except RecursionError as error:
        raise ParameterError("54001", "stack depth limit exceeded") from error
    return text


def _refused_constant(word: str) -> None:
    raise ValueError(word)


def jsonb_text(text: str) -> str:
    """The text of a jsonb as PostgreSQL would give it back; it cannot hold an escaped zero byte."""
    json_text(text)
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", text):
        raise ParameterError(
            "22P05",
            "unsupported Unicode escape sequence",
            detail="\\u0000 cannot be converted to text.",
        )
    try:
        return normal_text(text)
    except ValueError as error:
        raise ParameterError("22P02", "invalid input syntax for type json") from error
    except OverflowError as error:
        raise ParameterError("22003", "value overflows numeric format") from error
    except RecursionError as error:
        raise ParameterError("54001", "stack depth limit exceeded") from error


DECODERS: dict[str, Decoder] = {
    "bool": _bool,
    **{name: integer(name) for name in _INTEGERS},
    "float4": _float("real", _nearest_single),
    "float8": _float("double precision", float),
    "numeric": _numeric,
    **dict.fromkeys(("text", "varchar", "bpchar", "unknown"), _text),
    "name": _name,
    "uuid": _uuid,
    "bytea": _bytea,
    "json": lambda text, _: json_text(text),
    "jsonb": lambda text, _: jsonb_text(text),
}
