"""Text of parameters: dates, times, timestamps and intervals (manual, 8.5.1 and 8.5.4).

Reads what programs write: ISO 8601 with its usual variations, and intervals as PostgreSQL and ISO
8601 print them. Everything else (names of months, words, ambiguous orders) raises NeedsServer.
"""

from __future__ import annotations

import datetime
import re

from proxy.rows.calendar import DATE_END, DAY, FIRST_DAY, days_of
from proxy.rows.errors import NeedsServer, ParameterError, UnsupportedSetting
from proxy.rows.intervals import HOUR, MINUTE, SECOND, postgres_style
from proxy.rows.parameter_text import SPACE, Decoder
from proxy.rows.settings import TextSettings
from proxy.rows.values import date_value, time_value, timestamp_value, zone_value
from proxy.rows.zones import load_zone

_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2})([.,](?P<fraction>\d*))?)?"
    r"(\s*(?P<half>[ap]m))?"
)
_COMPACT_CLOCK = r"(?P<chour>\d{2})(?P<cminute>\d{2})(?P<csecond>\d{2})(\.(?P<cfraction>\d*))?"
_ZONE = (
    r"(\s*(?P<zone>z|utc|gmt)"
    r"|\s*(?P<sign>[+-])(?:(?P<zhour>\d{1,2})(:(?P<zminute>\d{2})(:(?P<zsecond>\d{2}))?)?"
    r"|(?P<zcompact>\d{4}))"
    r"|\s+(?P<region>[a-z_]+/[a-z_/+-]+))"
)
_DATE = (
    r"((?P<year>\d{4,7})(?P<dash>[-/.])(?P<month>\d{1,2})(?P=dash)(?P<day>\d{1,2})"
    r"|(?P<compact>\d{8}))"
)
_FLAGS = re.ASCII | re.IGNORECASE
_MOMENT = re.compile(
    rf"{_DATE}((T|\s+)({_CLOCK}|{_COMPACT_CLOCK}){_ZONE}?)?(?P<zdate>\s*z)?(\s*(?P<era>bc|ad))?",
    _FLAGS,
)
_TIME = re.compile(rf"T?({_CLOCK}|{_COMPACT_CLOCK}){_ZONE}?", _FLAGS)
_DISPLACEMENT = 15 * 3600 + 59 * 60 + 59
_LAST_YEAR = 5_874_897

_UNIT_NAMES = {
    "year": "year years y yr yrs",
    "month": "month months mon mons",
    "week": "week weeks w",
    "day": "day days d",
    "hour": "hour hours h hr hrs",
    "minute": "minute minutes m min mins",
    "second": "second seconds s sec secs",
    "milli": "millisecond milliseconds ms msec msecs",
    "micro": "microsecond microseconds us usec usecs",
}
_UNIT_SIZES = {
    "year": (12, 0, 0),
    "month": (1, 0, 0),
    "week": (0, 7, 0),
    "day": (0, 1, 0),
    "hour": (0, 0, HOUR),
    "minute": (0, 0, MINUTE),
    "second": (0, 0, SECOND),
    "milli": (0, 0, 1000),
    "micro": (0, 0, 1),
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
_PART = re.compile(
    r"\s*(?:(?P<csign>[+-]?)(?P<hour>\d+):(?P<minute>\d{2})(:(?P<second>\d{2})(\.(?P<cf>\d{1,6}))?)?"
    r"|(?P<number>[+-]?\d+)(\.(?P<fraction>\d{1,6}))?\s*(?P<unit>[a-z]+)(?![a-z]))",
    _FLAGS,
)
_ISO = re.compile(
    r"P(?:(?P<Y>[+-]?\d+)Y)?(?:(?P<M>[+-]?\d+)M)?(?:(?P<W>[+-]?\d+)W)?(?:(?P<D>[+-]?\d+)D)?"
    r"(?:T(?:(?P<H>[+-]?\d+)H)?(?:(?P<N>[+-]?\d+)M)?(?:(?P<S>[+-]?\d+)(?:\.(?P<F>\d{1,6}))?S)?)?",
    re.ASCII,
)


def _field_error(text: str, order: bool = False) -> ParameterError:
    hint = 'Perhaps you need a different "datestyle" setting.' if order else None
    return ParameterError("22008", f'date/time field value out of range: "{text}"', hint=hint)


def _fraction(digits: str | None) -> int:
    """Microseconds of a second's decimal places, rounded as PostgreSQL rounds them."""
    return round(float("0." + digits) * 1_000_000) if digits else 0


def _clock(match: re.Match[str], text: str) -> int:
    """Microseconds since midnight."""
    compact = match["chour"] is not None
    prefix = "c" if compact else ""
    hour, minute = int(match[prefix + "hour"]), int(match[prefix + "minute"])
    second = int(match[prefix + "second"] or 0)
    micros = _fraction(match[prefix + "fraction"])
    half = None if compact else match["half"]
    if half:
        if hour > 12 or match["zone"] or match["sign"]:
            raise NeedsServer("time", text)
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    value = hour * HOUR + minute * MINUTE + second * SECOND + micros
    if minute > 59 or second > 60 or value > DAY:
        raise NeedsServer("time", text) if compact else _field_error(text)
    return value


def _offset(match: re.Match[str], text: str) -> int | str | None:
    """Seconds east of Greenwich, a region's name, or None where no zone is written."""
    if match["region"]:
        return str(match["region"])
    if match["zone"]:
        return 0
    if not match["sign"]:
        return None
    if match["zcompact"]:
        parts = [int(match["zcompact"][:2]), int(match["zcompact"][2:]), 0]
    else:
        parts = [int(match[name] or 0) for name in ("zhour", "zminute", "zsecond")]
    seconds = parts[0] * 3600 + parts[1] * 60 + parts[2]
    if parts[0] > 15 or parts[1] > 59 or parts[2] > 59 or seconds > _DISPLACEMENT:
        raise ParameterError("22009", f'time zone displacement out of range: "{text}"')
    return -seconds if match["sign"] == "-" else seconds


def _days(match: re.Match[str], text: str) -> int:
    if match["compact"]:
        digits = match["compact"]
        year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    else:
        year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise NeedsServer("date", text) if match["compact"] else _field_error(text, order=True)
    if year == 0:
        raise _field_error(text)
    if (match["era"] or "").lower() == "bc":
        year = 1 - year
    if day > days_of(year + month // 12, month % 12 + 1, 1) - days_of(year, month, 1):
        raise _field_error(text)
    return days_of(year, month, day) if year <= _LAST_YEAR else DATE_END


def _parsed(text: str, type_name: str) -> tuple[int, int, int | str | None]:
    """Days, microseconds of the day and zone of a date or timestamp text."""
    word = text.strip(SPACE)
    if word.lower() in ("infinity", "+infinity", "-infinity"):
        raise ParameterError("0A000", f"parameter {word} of type {type_name} is not supported")
    if word.lower() == "epoch":
        return 0, 0, 0
    match = _MOMENT.fullmatch(word)
    if match is None:
        raise NeedsServer(type_name, text)
    if match["chour"] and match["sign"]:
        raise NeedsServer(type_name, text)  # the sign may be read as part of the date
    # In this order PostgreSQL finds fault with the parts.
    clock = _clock(match, text) if match["hour"] or match["chour"] else 0
    zone = 0 if match["zdate"] else _offset(match, text)
    return _days(match, text), clock, zone


def _date(text: str, _settings: TextSettings) -> datetime.date:
    days, _, _ = _parsed(text, "date")
    if not FIRST_DAY <= days < DATE_END:
        raise ParameterError("22008", f'date out of range: "{text}"')
    return date_value(days)


def _timestamp(text: str, _: TextSettings) -> datetime.datetime:
    days, clock, _zone = _parsed(text, "timestamp")
    return timestamp_value(days * DAY + clock, aware=False)


def _timestamptz(text: str, settings: TextSettings) -> datetime.datetime:
    days, clock, zone = _parsed(text, "timestamp with time zone")
    local = days * DAY + clock
    if zone is None or isinstance(zone, str):
        name = settings.time_zone if zone is None else zone
        try:
            offset = load_zone(name).of_local(local // SECOND)
        except UnsupportedSetting:
            raise NeedsServer("timestamp with time zone", text) from None
    else:
        offset = zone
    return timestamp_value(local - offset * SECOND, aware=True)


def _time_match(text: str, type_name: str) -> re.Match[str]:
    match = _TIME.fullmatch(text.strip(SPACE))
    if match is None or match["region"] or (match["chour"] and match["sign"]):
        raise NeedsServer(type_name, text)
    if match["sign"] and int(match["hour"]) > 23:
        raise NeedsServer(type_name, text)  # which part is at fault first differs
    return match


def _time(text: str, _: TextSettings) -> datetime.time:
    match = _time_match(text, "time")
    clock = _clock(match, text)
    _offset(match, text)
    return time_value(clock)


def _timetz(text: str, settings: TextSettings) -> datetime.time:
    match = _time_match(text, "time with time zone")
    clock = _clock(match, text)
    offset = _offset(match, text)
    if offset is None:
        # The session zone's offset of today: without a clock only that of a zone with one offset.
        zone = load_zone(settings.time_zone)
        if len(zone.offsets) != 1:
            raise NeedsServer("time with time zone", text)
        offset = int(zone.offsets[0])
    assert isinstance(offset, int)
    return time_value(clock).replace(tzinfo=zone_value(offset))


def _signed_fraction(sign: str, digits: str | None) -> int:
    value = int((digits or "0").ljust(6, "0"))
    return -value if sign.startswith("-") else value


def _interval(text: str, _: TextSettings) -> str:
    word = text.strip(SPACE)
    if word.startswith("P") and len(word) > 1 and word[-1] != "T":
        months, days, micros = _iso_interval(word, text)
    else:
        months, days, micros = _spoken_interval(word, text)
    if max(abs(months), abs(days)) >= 2**31 or abs(micros) >= 2**63:
        raise ParameterError("22015", f'interval field value out of range: "{text}"')
    return postgres_style(months, days, micros)


def _iso_interval(word: str, text: str) -> tuple[int, int, int]:
    match = _ISO.fullmatch(word)
    if match is None:
        raise NeedsServer("interval", text)
    part = {name: int(value or 0) for name, value in match.groupdict().items() if name != "F"}
    micros = part["H"] * HOUR + part["N"] * MINUTE + part["S"] * SECOND
    micros += _signed_fraction(match["S"] or "", match["F"])
    return part["Y"] * 12 + part["M"], part["W"] * 7 + part["D"], micros


def _spoken_interval(word: str, text: str) -> tuple[int, int, int]:
    """``1 year 2 mons -3 days +04:05:06.7``, and ``@ ... ago``."""
    body = word.removeprefix("@")
    ago = re.search(r"\s+ago$", body, re.IGNORECASE)
    if ago:
        body = body[: ago.start()]
    totals, at = [0, 0, 0], 0
    seen: list[str] = []
    while at < len(body):
        match = _PART.match(body, at)
        if match is None:
            raise NeedsServer("interval", text)
        at = match.end()
        if match["hour"] is not None:
            sign = -1 if match["csign"] == "-" else 1
            clock = int(match["hour"]) * HOUR + int(match["minute"]) * MINUTE
            clock += int(match["second"] or 0) * SECOND + _signed_fraction("", match["cf"])
            if int(match["minute"]) > 59 or int(match["second"] or 0) > 59:
                raise NeedsServer("interval", text)
            totals[2] += sign * clock
            seen += ["hour", "minute", "second"]
            continue
        unit = _UNITS.get(match["unit"].lower())
        if unit is None or (match["fraction"] and unit != "second"):
            raise NeedsServer("interval", text)
        seen.append(unit)
        for index, one in enumerate(_UNIT_SIZES[unit]):
            totals[index] += int(match["number"]) * one
        totals[2] += _signed_fraction(match["number"], match["fraction"])
    if not seen or len(set(seen)) < len(seen):
        raise NeedsServer("interval", text)
    sign = -1 if ago else 1
    return sign * totals[0], sign * totals[1], sign * totals[2]


DECODERS: dict[str, Decoder] = {
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "interval": _interval,
}
