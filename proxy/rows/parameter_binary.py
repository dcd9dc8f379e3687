"""Binary of parameters: each type's ``recv`` function (protocol manual, 55.2.2, format 1)."""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal

from proxy.rows.calendar import DAY, EPOCH, EPOCH_DAYS
from proxy.rows.errors import ParameterError
from proxy.rows.intervals import postgres_style
from proxy.rows.moments import DATE_INFINITY, INFINITY
from proxy.rows.parameter_text import checked_text, json_text, jsonb_text
from proxy.rows.values import date_value, time_value, timestamp_value, zone_value

_NUMERIC_SIGNS = {0x0000: "", 0x4000: "-"}
_NUMERIC_SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_NUMERIC_SCALE = 0x3FFF
_DISPLACEMENT = 15 * 3600 + 59 * 60 + 59


class Reader:
    """A value's bytes, taken from the front."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next bytes. Raises ParameterError 08P01 if there are not so many."""
        if size < 0 or self.left < size:
            raise ParameterError("08P01", "insufficient data left in message")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.left)

    def unpack(self, code: str) -> tuple[int, ...]:
        """Numbers in network byte order, ``code`` as struct has it."""
        return struct.unpack("!" + code, self.take(struct.calcsize("!" + code)))


BinaryDecoder = Callable[[Reader], object]


def _number(code: str) -> BinaryDecoder:
    return lambda reader: reader.unpack(code)[0]


def _text(reader: Reader) -> str:
    return checked_text(reader.rest())


def _name(reader: Reader) -> str:
    text = _text(reader)
    if len(text.encode()) > 63:
        detail = "Identifier must be less than 64 characters."
        raise ParameterError("42622", "identifier too long", detail=detail)
    return text


def _json(reader: Reader) -> str:
    return json_text(_text(reader))


def _jsonb(reader: Reader) -> str:
    (version,) = reader.unpack("B")
    if version != 1:
        raise ParameterError("XX000", f"unsupported jsonb version number {version}")
    return jsonb_text(_text(reader))


def _numeric(reader: Reader) -> Decimal:
    # Part by part: what is wrong first is what is reported.
    (count,) = reader.unpack("H")
    (weight,) = reader.unpack("h")
    (sign,) = reader.unpack("H")
    if sign not in _NUMERIC_SIGNS and sign not in _NUMERIC_SPECIAL:
        raise ParameterError("22P03", 'invalid sign in external "numeric" value')
    (scale,) = reader.unpack("H")
    if scale > _NUMERIC_SCALE:
        raise ParameterError("22P03", 'invalid scale in external "numeric" value')
    digits = []
    for _ in range(count):
        (digit,) = reader.unpack("h")
        if not 0 <= digit < 10_000:
            raise ParameterError("22P03", 'invalid digit in external "numeric" value')
        digits.append(digit)
    if sign in _NUMERIC_SPECIAL:
        return Decimal(_NUMERIC_SPECIAL[sign])
    # Digits beyond the scale are cut off, as numeric_recv does.
    text = "".join(f"{digit:04d}" for digit in digits)
    point = 4 * (weight + 1)
    whole = text[:point].ljust(point, "0") if point > 0 else "0"
    fraction = text[point:] if point >= 0 else "0" * -point + text
    shown = whole + "." + fraction[:scale].ljust(scale, "0") if scale else whole
    return Decimal(_NUMERIC_SIGNS[sign] + (shown or "0"))


def _date(reader: Reader) -> datetime.date:
    (days,) = reader.unpack("i")
    endless = days in (DATE_INFINITY, -DATE_INFINITY - 1)
    return date_value(days if endless else days + EPOCH_DAYS)


def _time(reader: Reader) -> datetime.time:
    (micros,) = reader.unpack("q")
    if not 0 <= micros <= DAY:
        raise ParameterError("22008", "time out of range")
    return time_value(micros)


def _timetz(reader: Reader) -> datetime.time:
    (micros,) = reader.unpack("q")
    if not 0 <= micros <= DAY:
        raise ParameterError("22008", "time out of range")
    (west,) = reader.unpack("i")
    if abs(west) > _DISPLACEMENT:
        raise ParameterError("22009", "time zone displacement out of range")
    return time_value(micros).replace(tzinfo=zone_value(-west))


def _timestamp(aware: bool) -> BinaryDecoder:
    def read(reader: Reader) -> datetime.datetime:
        (micros,) = reader.unpack("q")
        endless = micros in (INFINITY, -INFINITY - 1)
        return timestamp_value(micros if endless else micros + EPOCH, aware)

    return read


def _interval(reader: Reader) -> str:
    micros, days, months = reader.unpack("qii")
    return postgres_style(months, days, micros)


DECODERS: dict[str, BinaryDecoder] = {
    "bool": lambda reader: reader.take(1) != b"\0",
    "int2": _number("h"),
    "int4": _number("i"),
    "int8": _number("q"),
    "oid": _number("I"),
    "float4": _number("f"),
    "float8": _number("d"),
    "numeric": _numeric,
    **dict.fromkeys(("text", "varchar", "bpchar", "unknown"), _text),
    "name": _name,
    "uuid": lambda reader: uuid.UUID(bytes=reader.take(16)),
    "bytea": lambda reader: reader.rest(),
    "json": _json,
    "jsonb": _jsonb,
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp(aware=False),
    "timestamptz": _timestamp(aware=True),
    "interval": _interval,
}
