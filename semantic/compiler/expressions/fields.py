"""Names of the fields of dates and times (manual, 9.9.1), with PostgreSQL's shorter ones."""

from __future__ import annotations

_FIELDS = {
    "microseconds": "microsecond microseconds microsecon us usec usecond useconds usecs",
    "milliseconds": "millisecond milliseconds millisecon ms msec msecond mseconds msecs",
    "second": "second seconds s sec secs",
    "minute": "minute minutes m min mins",
    "hour": "hour hours h hr hrs",
    "day": "day days d",
    "week": "week weeks w",
    "month": "month months mon mons",
    "quarter": "quarter qtr",
    "year": "year years y yr yrs",
    "decade": "decade decades dec decs",
    "century": "century centuries c cent",
    "millennium": "millennium millennia mil mils",
    "dow": "dow",
    "doy": "doy",
    "isodow": "isodow",
    "isoyear": "isoyear",
    "epoch": "epoch",
    "julian": "julian j jd",
    "timezone": "timezone",
    "timezone_hour": "timezone_h timezone_hour",
    "timezone_minute": "timezone_m timezone_minute",
}
_FIELD_OF = {name: field for field, names in _FIELDS.items() for name in names.split()}


def find_field(text: str) -> str | None:
    """A field's full name; None where there is no such field."""
    return _FIELD_OF.get(text.lower())
