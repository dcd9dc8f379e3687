"""Dimensions, granularities and hierarchies make sense by themselves."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from semantic.model.checking import Checker
from semantic.model.members import Dimension, Granularity, Measure
from semantic.model.model import MemberTarget
from semantic.model.relations import Cube
from semantic.model.report import nearest
from semantic.model.template import Reference
from semantic.model.values import STANDARD_UNITS, Interval, Location

_ORIGIN = re.compile(r"\d{4}(-\d{2})?")
# How many of a unit make the next unit that every period has whole: only such counts have periods
# that start over with the year, month, week, day or hour, and so need no origin.
_DIVIDES = {"second": 60, "minute": 60, "hour": 24, "day": 1, "week": 1, "month": 12, "quarter": 4}
_FITTING_TYPES = {
    "boolean": frozenset({"bool"}),
    "time": frozenset({"date", "time", "timetz", "timestamp", "timestamptz"}),
    "number": frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "interval"}),
}


def check_dimensions(checker: Checker) -> None:
    """Dimensions and hierarchies of every cube."""
    for cube in checker.model.cubes:
        for dimension in cube.dimensions:
            if not checker.is_broken(dimension.location):
                _shape(checker, dimension)
                _types(checker, dimension)
                _granularities(checker, cube, dimension)
                _sub_query(checker, cube, dimension)
        for hierarchy in cube.hierarchies:
            for level in hierarchy.levels:
                _level(checker, cube, level)
        if cube.default_time_dimension is not None:
            reference = cube.default_time_dimension
            checker.dimension(cube.name, reference, "default_time_dimension", time=True)


def _shape(checker: Checker, dimension: Dimension) -> None:
    """A dimension has its value from exactly one place."""
    place, name = dimension.location, dimension.name
    if dimension.type == "geo":
        if dimension.latitude is None or dimension.longitude is None:
            message = f'geo dimension "{name}" needs latitude and longitude'
            checker.problem(place, "missing-key", message)
        if dimension.sql is not None or dimension.case is not None:
            message = f'geo dimension "{name}" has latitude and longitude instead of sql'
            checker.problem(place, "dimension", message)
        return
    if dimension.latitude is not None or dimension.longitude is not None:
        message = f"latitude and longitude are for type geo, not {dimension.type}"
        checker.problem(place, "dimension", message)
    if dimension.sql is not None and dimension.case is not None:
        checker.problem(place, "dimension", f'dimension "{name}" has both sql and case')
    if dimension.sql is None and dimension.case is None and dimension.type != "switch":
        checker.problem(place, "missing-key", f'dimension "{name}" has no "sql"')
    if dimension.type == "switch" and not dimension.values and dimension.case is None:
        checker.problem(place, "missing-key", f'switch dimension "{name}" has no "values"')
    if dimension.values and dimension.type != "switch":
        message = f"values are for type switch, not {dimension.type}"
        checker.problem(place, "dimension", message)


def _types(checker: Checker, dimension: Dimension) -> None:
    declared = dimension.data_type
    fitting = _FITTING_TYPES.get(dimension.type)
    if declared is not None and fitting is not None and declared.name not in fitting:
        message = f"data_type {declared.name} does not fit type {dimension.type}"
        checker.problem(dimension.location, "data-type", message)
    if dimension.time_zone is None:
        return
    if dimension.type != "time":
        message = f"time_zone is for type time, not {dimension.type}"
        checker.problem(dimension.location, "dimension", message)
    try:
        ZoneInfo(dimension.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f'unknown time zone "{dimension.time_zone}"'
        checker.problem(dimension.location, "time-zone", message)


def _granularities(checker: Checker, cube: Cube, dimension: Dimension) -> None:
    if dimension.granularities and dimension.type != "time":
        message = f"granularities are for type time, not {dimension.type}"
        checker.problem(dimension.location, "granularity", message)
    for item in dimension.granularities:
        if checker.is_broken(item.location):
            continue
        if item.name in STANDARD_UNITS and not cube.calendar:
            message = f'"{item.name}" is a standard granularity; only a calendar cube redefines it'
            checker.problem(item.location, "granularity", message)
        if (item.interval is None) == (item.sql is None):
            message = f'granularity "{item.name}" has either "interval" or "sql"'
            checker.problem(item.location, "granularity", message)
        elif item.interval is not None:
            _interval(checker, item, item.interval)
        elif item.origin is not None or item.offset is not None:
            message = "origin and offset go with an interval, not with sql"
            checker.problem(item.location, "granularity", message)


def _interval(checker: Checker, item: Granularity, interval: Interval) -> None:
    if not units_known(checker, item.location, interval, ()):
        return
    if item.offset is not None:
        units_known(checker, item.location, item.offset, ())
    if any(count <= 0 for count, _ in interval.parts):
        checker.problem(item.location, "granularity", "the interval must be positive")
        return
    if item.origin is not None and item.offset is not None:
        message = 'a granularity has "origin" or "offset", not both'
        checker.problem(item.location, "granularity", message)
    if item.origin is not None:
        _origin(checker, item.location, item.origin)
        return
    count, unit = interval.parts[0]
    whole = unit == "year" or _DIVIDES[unit] % count == 0
    if len(interval.parts) > 1 or not whole:
        message = f'periods of "{interval}" do not start over with the year; give an "origin"'
        checker.problem(item.location, "granularity", message)


def _origin(checker: Checker, place: Location, origin: str) -> None:
    if _ORIGIN.fullmatch(origin):
        origin = (origin + "-01-01")[:10]
    try:
        datetime.fromisoformat(origin)
    except ValueError:
        message = f'origin "{origin}" is not a date or time such as 2024-02-01'
        checker.problem(place, "granularity", message)


def units_known(
    checker: Checker, place: Location, interval: Interval, custom: tuple[str, ...]
) -> bool:
    """Whether an interval's units are standard, or custom granularities of the dimension."""
    known = (*STANDARD_UNITS, *custom)
    for _, unit in interval.parts:
        if unit not in known:
            message = f'unknown unit "{unit}" in interval "{interval}"'
            checker.problem(place, "interval", message, nearest(unit, known))
            return False
    return True


def _sub_query(checker: Checker, cube: Cube, dimension: Dimension) -> None:
    if not dimension.sub_query:
        if dimension.propagate_filters:
            message = "propagate_filters_to_sub_query goes with sub_query"
            checker.problem(dimension.location, "dimension", message)
        return
    measures = 0
    for reference in dimension.sql.references if dimension.sql is not None else ():
        target = checker.resolve(cube.name, reference)
        if target is None:
            return
        measures += isinstance(target, MemberTarget) and isinstance(target.member, Measure)
    if measures != 1:
        message = f'sub_query dimension "{dimension.name}" needs exactly one measure in its sql'
        checker.problem(dimension.location, "sub-query", message)
    if not cube.primary_key:
        message = f"cube {cube.name} needs a primary key for its sub_query dimensions"
        checker.problem(dimension.location, "primary-key", message)


def _level(checker: Checker, cube: Cube, level: Reference) -> None:
    target = checker.member(cube.name, level, "level")
    if target is None:
        return
    if not isinstance(target.member, Dimension):
        message = f"level {level} is a {target.member.kind}, not a dimension"
        checker.problem(level.location, "reference", message)
    join = checker.to_many(target)
    if join is not None:
        message = f"level {level} has many values for each row: the join {join} is one_to_many"
        checker.problem(level.location, "fan-out", message)
