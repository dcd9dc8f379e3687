"""Values of policies as values of a member's type, to be bound to parameters.

A value comes from the model's files or from an attribute of the caller. One that is no value of the
type is never compared as something else: the caller finds out that there is none (``NotAValue``),
and the condition is false.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from semantic.model.types import FLOAT8, INT8, NUMERIC, TEXT, PostgresType
from semantic.model.values import FrozenValue

_INTEGER = re.compile(r"[+-]?\d{1,19}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?\Z", re.ASCII
)
_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?\Z", re.ASCII)
_BOOLEANS = {"true": True, "false": False}

TEXTS = frozenset({"text", "varchar", "bpchar", "name"})
MOMENTS = frozenset({"timestamp", "timestamptz"})


class NotAValueError(ValueError):
    """Something that is no value of the type that is wanted."""


def bound_type(kind: PostgresType) -> PostgresType | None:
    """The type that values are bound as, to be compared with a member; None: nothing can be."""
    if kind.name in TEXTS:
        return TEXT
    if kind.name in ("int2", "int4", "int8"):
        return INT8
    if kind.name in _READERS:
        return PostgresType(kind.name)
    return None


def typed(value: FrozenValue, kind: PostgresType, zone: str) -> object:
    """A value in the form that it is bound in.

    Args:
        value: a literal, or the caller's.
        kind: one that ``bound_type`` gives.
        zone: that moments without an offset are in, where the type has one.

    Raises:
        NotAValueError: it is none.
    """
    read = _READERS.get(kind.name)
    if read is None or value is None or isinstance(value, tuple):
        raise NotAValueError
    try:
        return read(value, zone)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise NotAValueError from error


def is_day(value: FrozenValue) -> bool:
    """Whether a value of a date's or moment's type is written as a whole day."""
    return isinstance(value, str) and _DATE.match(value.strip()) is not None


def _text(value: FrozenValue, zone: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotAValueError
    text = str(value)
    if "\0" in text:
        raise NotAValueError
    text.encode()
    return text


def _integer(value: FrozenValue, zone: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _INTEGER.match(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise NotAValueError
    return value


def _decimal(value: FrozenValue, zone: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise NotAValueError
    text = repr(value) if isinstance(value, float) else str(value).strip()
    if not _NUMBER.match(text):
        raise NotAValueError
    return Decimal(text)


def _double(value: FrozenValue, zone: str) -> float:
    found = float(_decimal(value, zone))
    if not math.isfinite(found):
        raise NotAValueError
    return found


def _boolean(value: FrozenValue, zone: str) -> bool:
    if isinstance(value, str):
        return _BOOLEANS[value.strip().lower()]
    if not isinstance(value, bool):
        raise NotAValueError
    return value


def _date(value: FrozenValue, zone: str) -> dt.date:
    if not isinstance(value, str) or not is_day(value):
        raise NotAValueError
    return dt.date.fromisoformat(value.strip())


def _moment(value: FrozenValue) -> dt.datetime:
    text = value.strip() if isinstance(value, str) else ""
    if _DATE.match(text):
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time())
    if not _MOMENT.match(text):
        raise NotAValueError
    return dt.datetime.fromisoformat(text)


def _timestamp(value: FrozenValue, zone: str) -> dt.datetime:
    found = _moment(value)
    if found.tzinfo is not None:
        # What the moment is in the zone that the column's values are in.
        found = found.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return found


def _timestamptz(value: FrozenValue, zone: str) -> dt.datetime:
    found = _moment(value)
    if found.tzinfo is None:
        found = found.replace(tzinfo=ZoneInfo(zone))
    return found.astimezone(dt.UTC)


def _time(value: FrozenValue, zone: str) -> dt.time:
    if not isinstance(value, str) or not _TIME.match(value.strip()):
        raise NotAValueError
    return dt.time.fromisoformat(value.strip())


def _uuid(value: FrozenValue, zone: str) -> UUID:
    if not isinstance(value, str):
        raise NotAValueError
    return UUID(value.strip())


_READERS: dict[str, Callable[[FrozenValue, str], object]] = {
    TEXT.name: _text,
    INT8.name: _integer,
    NUMERIC.name: _decimal,
    FLOAT8.name: _double,
    "float4": _double,
    "bool": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "time": _time,
    "uuid": _uuid,
}
