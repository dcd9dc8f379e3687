"""PostgreSQL's input of dates, times and intervals, for literals (manual, 8.5.1 and 8.5.4).

Only forms that do not depend on DateStyle or on the clock are read; the others are refused.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from semantic.errors import UnsupportedError

_DATE = (
    r"(?P<year>\d{4})(?:(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})|(?P<md>\d{4}))"
)
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d*))?)?"
    r"(?:\s*(?P<half>[aApP][mM]))?"
)
_ZONE = r"(?P<zone>[zZ]|UTC|utc|GMT|gmt|[+-]\d{1,2}(?::?\d{2})?(?::?\d{2})?)"
_MOMENT = re.compile(
    rf"\s*{_DATE}(?:(?:\s+|[tT]){_TIME}(?:\s*{_ZONE})?|\s+{_ZONE.replace('zone', 'bare')})?\s*\Z"
)
_TIME_ONLY = re.compile(rf"\s*{_TIME}(?:\s*{_ZONE})?\s*\Z")
_NAMED = re.compile(
    r"\s*(?:(?P<d1>\d{1,2})[ -](?P<n1>[A-Za-z]{3,9})[ -]"
    r"|(?P<n2>[A-Za-z]{3,9})\s+(?P<d2>\d{1,2}),?\s+)"
    r"(?P<year>\d{4})\s*\Z"
)
_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_INFINITE = {"infinity": "infinity", "+infinity": "infinity", "-infinity": "-infinity"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A literal's date and time of day; ``offset`` in seconds east of UTC, None without a zone."""

    date: datetime.date
    microseconds: int
    offset: int | None

    def text(self) -> str:
        """``YYYY-MM-DD hh:mm:ss.ffffff`` as a local time."""
        day = self.date + datetime.timedelta(days=self.microseconds // _DAY)
        return f"{day.isoformat()} {clock_text(self.microseconds % _DAY)}"

    def utc_text(self) -> str:
        """As ``text``, in UTC."""
        shifted = self.microseconds - (self.offset or 0) * _SECOND
        return Moment(self.date, shifted, None).text()


_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


def clock_text(microseconds: int) -> str:
    """A time of day as text; 24:00:00 stays that."""
    seconds, fraction = divmod(microseconds, _SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}".rstrip("0") if fraction else text


def _refused(kind: str, text: str) -> UnsupportedError:
    return UnsupportedError(
        f'this form of {kind} is not supported in a query over cubes: "{text}"',
        hint="Write it in ISO 8601 form, like 2024-12-31 23:59:59.",
    )


def infinite(text: str) -> str | None:
    """``infinity`` or ``-infinity`` where the text is one of them."""
    return _INFINITE.get(text.strip().lower())


def parse_moment(text: str, kind: str) -> Moment:
    """A date with or without a time of day.

    Raises:
        UnsupportedError: PostgreSQL may know the form, we do not.
    """
    if text.strip().lower() == "epoch":
        return Moment(datetime.date(1970, 1, 1), 0, 0)
    match = _MOMENT.match(text)
    if match is None:
        return Moment(_named_date(text, kind), 0, None)
    month, day = match["month"] or match["md"][:2], match["day"] or match["md"][2:]
    try:
        date = datetime.date(int(match["year"]), int(month), int(day))
    except ValueError:
        raise _refused(kind, text) from None
    if match["hour"] is None:
        return Moment(date, 0, _offset(match["bare"]))
    return Moment(date, _clock(match, kind, text), _offset(match["zone"]))


def _named_date(text: str, kind: str) -> datetime.date:
    match = _NAMED.match(text)
    name = (match["n1"] or match["n2"]).lower() if match else ""
    found = [
        number
        for number, month in enumerate(_MONTHS, 1)
        if name in (month, month[:3]) or (name == "sept" and number == 9)
    ]
    if match is None or not found:
        raise _refused(kind, text)
    try:
        return datetime.date(int(match["year"]), found[0], int(match["d1"] or match["d2"]))
    except ValueError:
        raise _refused(kind, text) from None


def parse_time(text: str) -> int:
    """A time of day in microseconds."""
    match = _TIME_ONLY.match(text)
    if match is None or match["zone"] is not None:
        raise _refused("time", text)
    return _clock(match, "time", text)


def _clock(match: re.Match[str], kind: str, text: str) -> int:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise _refused(kind, text)
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    fraction = Decimal(f"0.{match['fraction'] or 0}") * _SECOND
    micros = int(fraction.to_integral_value(ROUND_HALF_EVEN))
    total = ((hour * 60 + minute) * 60 + second) * _SECOND + micros
    if minute > 59 or second > 60 or total > _DAY:
        raise _refused(kind, text)
    return total


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    digits = digits.zfill(2) if len(digits) < 3 else digits.zfill(4)
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    total = hours * 3600 + minutes * 60 + seconds
    return -total if zone[0] == "-" else total


@dataclass(frozen=True, slots=True)
class IntervalParts:
    """An interval's three parts, which do not add up to each other."""

    months: int = 0
    days: int = 0
    microseconds: int = 0

    def __add__(self, other: IntervalParts) -> IntervalParts:
        return IntervalParts(
            self.months + other.months,
            self.days + other.days,
            self.microseconds + other.microseconds,
        )

    def __neg__(self) -> IntervalParts:
        return IntervalParts(-self.months, -self.days, -self.microseconds)


_UNIT_NAMES = {
    "microsecond": "us usec usecs usecond useconds microsecond microseconds microsecon",
    "millisecond": "ms msec msecs msecond mseconds millisecond milliseconds millisecon",
    "second": "s sec secs second seconds",
    "minute": "m min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days",
    "week": "w week weeks",
    "month": "mon mons month months",
    "year": "y yr yrs year years",
    "decade": "dec decs decade decades",
    "century": "c cent century centuries",
    "millennium": "mil mils millennium millennia",
}
UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
_MICROSECONDS = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3600 * _SECOND,
}
_YEARS = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
_PIECE = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?:(?P<years>\d+)-(?P<months>\d+)(?=\s|\Z)|(?P<clock>\d+:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)"
    r"|(?P<value>\d+(?:\.\d*)?|\.\d+)(?!-)\s*(?P<unit>[A-Za-z]+)?)\s*"
)
_CLOCK_AHEAD = re.compile(r"[+-]?\d+:")
_ISO = re.compile(
    r"\s*P(?:(?P<Y>[+-]?\d+)Y)?(?:(?P<M>[+-]?\d+)M)?(?:(?P<W>[+-]?\d+)W)?(?:(?P<D>[+-]?\d+)D)?"
    r"(?:T(?:(?P<h>[+-]?\d+)H)?(?:(?P<m>[+-]?\d+)M)?(?:(?P<s>[+-]?\d+(?:\.\d+)?)S)?)?\s*\Z"
)


def parse_interval(text: str) -> IntervalParts:
    """An interval literal.

    Raises:
        UnsupportedError: a form that is not read here.
    """
    iso = _ISO.match(text)
    if iso and any(iso.groups()):
        return _iso(iso)
    body, ago = re.subn(r"\s+ago\s*\Z", "", text.strip().removeprefix("@").strip())
    total = IntervalParts()
    position = 0
    if not body:
        raise _refused_interval(text)
    while position < len(body):
        match = _PIECE.match(body, position)
        if match is None or match.end() == position:
            raise _refused_interval(text)
        total += _piece(match, text)
        position = match.end()
    return -total if ago else total


def _refused_interval(text: str) -> UnsupportedError:
    return UnsupportedError(
        f'this form of interval is not supported in a query over cubes: "{text}"',
        hint="Write it as numbers with units, like 1 day 02:30:00.",
    )


def _piece(match: re.Match[str], text: str) -> IntervalParts:
    sign = -1 if match["sign"] == "-" else 1
    if match["clock"]:
        parts = match["clock"].split(":")
        seconds = Decimal(parts[2]) if len(parts) > 2 else Decimal(0)
        total = (int(parts[0]) * 3600 + int(parts[1]) * 60 + seconds) * _SECOND
        return IntervalParts(microseconds=sign * _rounded(total))
    if match["years"]:
        return IntervalParts(sign * (int(match["years"]) * 12 + int(match["months"])))
    # A number before a time of day counts days.
    bare = "day" if _CLOCK_AHEAD.match(match.string, match.end()) else "second"
    unit = UNITS.get((match["unit"] or bare).lower())
    if unit is None:
        raise _refused_interval(text)
    return scaled(sign * Decimal(match["value"]), unit)


def scaled(value: Decimal, unit: str) -> IntervalParts:
    """So many units; a fraction spills into the smaller parts as in PostgreSQL."""
    if unit in _MICROSECONDS:
        return IntervalParts(microseconds=_rounded(value * _MICROSECONDS[unit]))
    if unit in _YEARS:
        return IntervalParts(months=_rounded(value * _YEARS[unit] * 12))
    if unit == "month":
        whole = int(value)
        days = (value - whole) * 30
        return IntervalParts(whole, 0, 0) + scaled(days, "day")
    days = value * 7 if unit == "week" else value
    whole = int(days)
    return IntervalParts(0, whole, _rounded((days - whole) * _DAY))


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))


def _iso(match: re.Match[str]) -> IntervalParts:
    total = IntervalParts()
    for group, unit in (
        ("Y", "year"),
        ("M", "month"),
        ("W", "week"),
        ("D", "day"),
        ("h", "hour"),
        ("m", "minute"),
        ("s", "second"),
    ):
        if match[group]:
            total += scaled(Decimal(match[group]), unit)
    return total
