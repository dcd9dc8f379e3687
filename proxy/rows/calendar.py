"""Days, seconds and years as arrays of digits, in the proleptic Gregorian calendar."""

from __future__ import annotations

import functools

import numpy as np

from proxy.rows.cells import Array

# Days and microseconds are counted from 1970 in Arrow, from 2000 in PostgreSQL's binary format.
EPOCH_DAYS = 10957
DAY = 86_400_000_000
EPOCH = EPOCH_DAYS * DAY
# Ranges of PostgreSQL's types (manual, table 8.9), in days since 1970: 4714-11-24 BC, then the
# first day beyond date's and timestamp's last years.
FIRST_DAY = -2_440_588
DATE_END = 2_145_042_906
TIMESTAMP_END_DAY = 106_762_940
# Days of years that fit four digits: 0001-01-01 and 9999-12-31.
PLAIN_FIRST, PLAIN_LAST = -719_162, 2_932_896
_TABLE_FIRST, _TABLE_END = -25_567, 47_847  # 1900 to 2100, kept as a table

_TWO = np.array([b"%02d" % n for n in range(100)], "S2")
_MONTH = np.array([b"-%02d-" % n for n in range(13)], "S4").view(np.uint32)
_MONTH_DAY = _TWO.view(np.uint16)


@functools.cache
def _year_table() -> Array:
    return np.array([b"%04d" % n for n in range(10_000)], "S4").view(np.uint32)


@functools.cache
def clock_table() -> Array:
    """``HH:MM:SS`` of each second of a day, 24:00:00 included, as 8 bytes in a uint64."""
    second = np.arange(86_401)
    out = np.full((86_401, 8), ord(":"), np.uint8)
    two = _TWO.view(np.uint8).reshape(-1, 2)
    out[:, 0:2] = two[second // 3600]
    out[:, 3:5] = two[second // 60 % 60]
    out[:, 6:8] = two[second % 60]
    return out.view(np.uint64).ravel()


def civil(days: Array) -> tuple[Array, Array, Array]:
    """Year (0 is 1 BC), month and day of days since 1970.

    Counts in eras of 400 years from 1 March of year 0: the leap day is the last day of a year.
    """
    shifted = days.astype(np.int64, copy=False) + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = np.where(month < 10, month + 3, month - 9)
    return year + era * 400 + (month <= 2), month, day


def civil_one(days: int) -> tuple[int, int, int]:
    """``civil`` of one day."""
    shifted = days + 719_468
    era, of_era = divmod(shifted, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, day


def days_of(year: int, month: int, day: int) -> int:
    """Days since 1970 of a date; year 0 is 1 BC."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _digits(days: Array) -> tuple[Array, Array]:
    year, month, day = civil(days)
    head = np.empty((len(days), 2), np.uint32)
    head[:, 0] = _year_table()[year]
    head[:, 1] = _MONTH[month]
    return head.view(np.uint64).ravel(), _MONTH_DAY[day]


@functools.cache
def _date_table() -> tuple[Array, Array]:
    return _digits(np.arange(_TABLE_FIRST, _TABLE_END))


def date_digits(days: Array) -> tuple[Array, Array]:
    """``YYYY-MM-`` as 8 bytes and ``DD`` as two, of days within years 1 to 9999."""
    if not len(days):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint16)
    if days.min() < _TABLE_FIRST or days.max() >= _TABLE_END:
        return _digits(days)
    heads, tails = _date_table()
    index = days - _TABLE_FIRST
    return heads.take(index), tails.take(index)


@functools.cache
def _thousandths() -> tuple[Array, Array]:
    """Of 0 to 999: point and three digits as 4 bytes; how many digits the last zeros leave."""
    texts = [b".%03d" % n for n in range(1000)]
    lengths = np.array([len(text.rstrip(b"0")) - 1 for text in texts], np.int64)
    return np.array(texts, "S4").view(np.uint32), lengths


_UPTO_SEVEN = np.arange(8) < np.arange(9)[:, None]


def fractions(micros: Array) -> tuple[Array, Array]:
    """``.ffffff`` without trailing zeros, nothing for zero: all bytes, and the bytes per row."""
    table, significant = _thousandths()
    high = micros // 1000
    low = micros - high * 1000
    text = np.empty((len(micros), 2), np.uint32)
    text[:, 0] = table.take(high)
    text[:, 1] = table.take(low) >> np.uint32(8)  # drops the point
    lengths = np.where(low > 0, 4 + significant.take(low), 0)
    lengths = np.where((low == 0) & (high > 0), 1 + significant.take(high), lengths)
    return text.view(np.uint8)[_UPTO_SEVEN.take(lengths, axis=0)], lengths
