"""Rows that templates are tried on: NULL, the ends of types, odd texts, and random values."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Mapping
from decimal import Decimal

COPIES = 3
"""Columns of each type: ``int4_1``, ``int4_2``, ``int4_3``."""

SIZES = {"numeric_1": (12, 3), "numeric_2": (10, 2), "numeric_3": (12, 3)}

_TEXTS = [
    "", " ", "a", "A", "b", "aa", "Ab ", " ab", "abc", "ABC", "a%b", "a_b", "a!b", "a\\b", "\\",
    "%", "_", "it's", '"', "é", "É", "e", "ß", "ss", "ı", "I", "İ", "日本", "\U0001f6eb", "a\nb",
    "\t", "0", "00", "1", "10", "9", "-1", "null", "NULL", "[a]", "*", "?", "a" * 300, "ﬁ",
    "e\u0301", "Ω", "ω", "Straße",
]  # fmt: skip


def _choose(special: list[object], make: Callable[[random.Random], object]):  # type: ignore[no-untyped-def]
    def value(chance: random.Random) -> object:
        roll = chance.random()
        if roll < 0.12:
            return None
        return chance.choice(special) if roll < 0.55 else make(chance)

    return value


def _integers(bits: int):  # type: ignore[no-untyped-def]
    last = 2 ** (bits - 1) - 1
    special: list[object] = [0, 1, -1, 2, 3, 7, -7, 10, last, -last - 1, last - 1]
    return _choose(special, lambda chance: chance.randint(-last - 1, last))


def _date(chance: random.Random) -> datetime.date:
    return datetime.date(1, 1, 1) + datetime.timedelta(days=chance.randrange(3_652_059))


def _near(chance: random.Random) -> datetime.date:
    return datetime.date(1990, 1, 1) + datetime.timedelta(days=chance.randrange(20_000))


def _timestamp(chance: random.Random) -> datetime.datetime:
    clock = datetime.timedelta(microseconds=chance.randrange(86_400_000_000))
    return datetime.datetime.combine(_near(chance), datetime.time()) + clock


_DATES: list[object] = [
    datetime.date(2024, 2, 29), datetime.date(2023, 2, 28), datetime.date(2024, 12, 31),
    datetime.date(2024, 1, 1), datetime.date(1999, 12, 31), datetime.date(1970, 1, 1),
    datetime.date(2026, 1, 4), datetime.date(2021, 1, 3), datetime.date(1900, 3, 1),
]  # fmt: skip
_TIMESTAMPS: list[object] = [
    datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), datetime.datetime(2024, 1, 1),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 500000), datetime.datetime(2024, 3, 31, 2, 30),
    datetime.datetime(2023, 12, 31, 0, 0, 1), datetime.datetime(2021, 1, 3, 12),
    datetime.datetime(2024, 2, 29, 12, 30, 15, 250000), datetime.datetime(1900, 1, 1),
]  # fmt: skip


def _decimal(size: tuple[int, int]):  # type: ignore[no-untyped-def]
    last = 10 ** size[0] - 1
    units: list[object] = [0, 1, -1, 5, 10, 100, 12345, last, -last]

    def value(chance: random.Random) -> object:
        found = _choose(units, lambda c: c.randint(-last, last))(chance)
        return None if found is None else Decimal(found).scaleb(-size[1])

    return value


_MAKERS: Mapping[str, Callable[[random.Random], object]] = {
    "bool": _choose([True, False], lambda chance: chance.random() < 0.5),
    "int2": _integers(16),
    "int4": _integers(32),
    "int8": _integers(64),
    "float8": _choose(
        [0.0, -0.0, 1.0, -1.0, 0.1, 1e300, -1e300, 1e-300, 123456789.125, 2.5, 1e15, 2**53 + 2.0],
        lambda chance: chance.uniform(-1e6, 1e6),
    ),
    "text": _choose(
        list(_TEXTS), lambda chance: "".join(chance.choices("abAB %_\\é日'", k=chance.randrange(8)))
    ),
    "date": _choose(_DATES, lambda chance: (_near if chance.random() < 0.7 else _date)(chance)),
    "timestamp": _choose(_TIMESTAMPS, _timestamp),
    "timestamptz": _choose(
        [value.replace(tzinfo=datetime.UTC) for value in _TIMESTAMPS],  # type: ignore[attr-defined]
        lambda chance: _timestamp(chance).replace(tzinfo=datetime.UTC),
    ),
}


def value_of(kind: str, column: str, chance: random.Random) -> object:
    """A value for a column."""
    if kind == "numeric":
        return _decimal(SIZES[column])(chance)
    return _MAKERS[kind](chance)
