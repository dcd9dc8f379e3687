"""One date, time or timestamp as PostgreSQL prints it, in every DateStyle.

For what the arrays of ``datetimes`` leave aside: years outside 1 to 9999, infinities, and styles
other than ISO.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from proxy.rows.calendar import (
    DATE_END,
    DAY,
    EPOCH,
    EPOCH_DAYS,
    FIRST_DAY,
    PLAIN_FIRST,
    PLAIN_LAST,
    civil_one,
)
from proxy.rows.errors import EncodeError
from proxy.rows.zones import Zone, offset_text

DATE_INFINITY = 2**31 - 1
INFINITY = 2**63 - 1
# Warehouses write minus infinity as the least number or as the negative of the greatest.
_INFINITIES = {INFINITY: b"infinity", -INFINITY: b"-infinity", -INFINITY - 1: b"-infinity"}
_DATE_INFINITIES = {
    DATE_INFINITY: b"infinity",
    -DATE_INFINITY: b"-infinity",
    -DATE_INFINITY - 1: b"-infinity",
}
_DAYS = (b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed")
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def binary_date(days: int) -> int:
    """PostgreSQL's number of a date: days since 2000, infinities at the ends of int32."""
    if days in _DATE_INFINITIES:
        return DATE_INFINITY if days > 0 else -DATE_INFINITY - 1
    if not FIRST_DAY <= days < DATE_END:
        raise EncodeError("22008", "date out of range")
    return days - EPOCH_DAYS


def binary_timestamp(micros: int) -> int:
    """PostgreSQL's number of a timestamp: microseconds since 2000."""
    if micros in _INFINITIES:
        return INFINITY if micros > 0 else -INFINITY - 1
    # The last timestamp lies beyond what 64 bits count from 1970.
    if micros < FIRST_DAY * DAY:
        raise EncodeError("22008", "timestamp out of range")
    return micros - EPOCH


def clock_text(micros: int) -> bytes:
    """``HH:MM:SS`` and a fraction without trailing zeros."""
    second, fraction = divmod(micros, 1_000_000)
    minute, second = divmod(second, 60)
    text = b"%02d:%02d:%02d" % (*divmod(minute, 60), second)
    return text + (b".%06d" % fraction).rstrip(b"0") if fraction else text


@functools.lru_cache(maxsize=4096)
def _iso_date(days: int) -> bytes:
    """A day of years 1 to 9999; those of one result are mostly few."""
    return b"%04d-%02d-%02d" % civil_one(days)


@dataclass(frozen=True, slots=True)
class MomentStyle:
    """``DateStyle``, split: ISO, SQL, German or Postgres; and MDY, DMY or YMD."""

    output: str = "ISO"
    order: str = "MDY"

    def date(self, days: int) -> bytes:
        """A date of days since 1970."""
        if self.output == "ISO" and PLAIN_FIRST <= days <= PLAIN_LAST:
            return _iso_date(days)
        infinity = _DATE_INFINITIES.get(days)
        if infinity is not None:
            return infinity
        binary_date(days)
        year, month, day = civil_one(days)
        era = b" BC" if year <= 0 else b""
        year = 1 - year if year <= 0 else year
        if self.output == "ISO":
            return b"%04d-%02d-%02d" % (year, month, day) + era
        if self.output == "German":
            return b"%02d.%02d.%04d" % (day, month, year) + era
        separator = b"/" if self.output == "SQL" else b"-"
        pair = (day, month) if self.order == "DMY" else (month, day)
        return separator.join((b"%02d" % pair[0], b"%02d" % pair[1], b"%04d" % year)) + era

    def timestamp(self, micros: int, zone: Zone | None = None) -> bytes:
        """A timestamp of microseconds since 1970; with a zone, an instant shown in it."""
        infinity = _INFINITIES.get(micros)
        if infinity is not None:
            return infinity
        binary_timestamp(micros)
        offset, name = 0, b""
        if zone is not None:
            entry = zone.entry(micros // 1_000_000)
            offset, name = int(zone.offsets[entry]), zone.names[entry].encode()
        days, clock = divmod(micros + offset * 1_000_000, DAY)
        suffix = b"" if zone is None else offset_text(offset)
        if self.output != "ISO" and zone is not None and name:
            suffix = b" " + name
        return self._laid_out(days, clock_text(clock), suffix)

    def _laid_out(self, days: int, clock: bytes, suffix: bytes) -> bytes:
        if self.output == "ISO" and PLAIN_FIRST <= days <= PLAIN_LAST:
            return b"%s %s%s" % (_iso_date(days), clock, suffix)
        year, month, day = civil_one(days)
        era = b" BC" if year <= 0 else b""
        shown = 1 - year if year <= 0 else year
        if self.output == "ISO":
            return b"%04d-%02d-%02d %s%s%s" % (shown, month, day, clock, suffix, era)
        if self.output == "German":
            return b"%02d.%02d.%04d %s%s%s" % (day, month, shown, clock, suffix, era)
        if self.output == "SQL":
            pair = (day, month) if self.order == "DMY" else (month, day)
            return b"%02d/%02d/%04d %s%s%s" % (*pair, shown, clock, suffix, era)
        named = _MONTHS[month - 1]
        middle = b"%02d %s" % (day, named) if self.order == "DMY" else b"%s %02d" % (named, day)
        if suffix and not suffix.startswith(b" "):
            suffix = b" " + suffix
        return b"%s %s %s %04d%s%s" % (_DAYS[days % 7], middle, clock, shown, suffix, era)
