"""The type of a measure fits its SQL and its other keys."""

from __future__ import annotations

import re

from semantic.model.check_dimensions import units_known
from semantic.model.checking import Checker, owned_members
from semantic.model.members import Dimension, Measure
from semantic.model.model import MemberTarget, RowTarget
from semantic.model.relations import Cube, View
from semantic.model.report import nearest
from semantic.model.template import Reference, SqlTemplate
from semantic.model.values import STANDARD_UNITS, Interval

# An aggregate around the whole text, which the type would put a second one around.
_WHOLE_AGGREGATE = re.compile(r"\s*(sum|count|avg|min|max)\s*\([^()]*\)\s*", re.IGNORECASE)
_CALL = re.compile(r"[A-Za-z_]\w*\s*\(")
_ADDING = frozenset({"sum", "avg", "median", "percentile"})


def check_measures(checker: Checker) -> None:
    """Measures of cubes and of views."""
    relations: tuple[Cube | View, ...] = (*checker.model.cubes, *checker.model.views)
    for relation in relations:
        for member in owned_members(relation):
            if isinstance(member, Measure) and not checker.is_broken(member.location):
                _keys(checker, member)
                _time(checker, relation.name, member)
                if member.sql is not None:
                    _sql(checker, relation, member, member.sql)


def _keys(checker: Checker, measure: Measure) -> None:
    place, kind, name = measure.location, measure.type, measure.name
    elsewhere = measure.case or measure.conversion or measure.python
    if measure.sql is None and kind not in {"count", "rank"} and not elsewhere:
        checker.problem(place, "missing-key", f'measure "{name}" of type {kind} has no "sql"')
    if measure.sql is not None and measure.case is not None:
        checker.problem(place, "measure", f'measure "{name}" has both sql and case')
    if kind == "percentile" and measure.percentile is None:
        checker.problem(place, "missing-key", f'measure "{name}" has no "percentile"')
    if kind != "percentile" and measure.percentile is not None:
        checker.problem(place, "measure", f"percentile is for type percentile, not {kind}")
    if kind not in {"percentile", "median"} and (measure.discrete or measure.approximate):
        message = f"discrete and approximate are for percentiles, not {kind}"
        checker.problem(place, "measure", message)
    if measure.is_calculated and measure.non_additive is not None:
        message = f"non_additive is for rows: put it on the measures that {name} is made of"
        checker.problem(place, "measure", message)
    if kind == "rank" and not (measure.order_by or measure.sql):
        message = f'measure "{name}" of type rank has no "order_by"'
        checker.problem(place, "missing-key", message)
    if measure.group_by is not None and measure.reduce_by is not None:
        checker.problem(place, "measure", 'a measure has "group_by" or "reduce_by", not both')
    if measure.period_agg is not None and measure.rolling_window is None:
        checker.problem(place, "measure", "period_agg goes with rolling_window")


def _time(checker: Checker, home: str, measure: Measure) -> None:
    """Units of windows and shifts are standard or custom granularities of their dimension."""
    window = measure.rolling_window
    if window is not None:
        custom = _custom(checker, home, measure, window.time_dimension)
        for bound in (window.trailing, window.leading):
            if isinstance(bound, Interval):
                units_known(checker, measure.location, bound, custom)
        _granularity(checker, measure, window.granularity, custom)
    for shift in measure.time_shift:
        custom = _custom(checker, home, measure, shift.time_dimension)
        if shift.interval is not None:
            units_known(checker, measure.location, shift.interval, custom)
        _granularity(checker, measure, shift.granularity, custom)
    if measure.conversion is not None and measure.conversion.window is not None:
        units_known(checker, measure.location, measure.conversion.window, ())


def _granularity(
    checker: Checker, measure: Measure, name: str | None, custom: tuple[str, ...]
) -> None:
    known = (*STANDARD_UNITS, *custom)
    if name is not None and name not in known:
        message = f'unknown granularity "{name}"'
        checker.problem(measure.location, "granularity", message, nearest(name, known))


def _custom(
    checker: Checker, home: str, measure: Measure, time_dimension: Reference | None
) -> tuple[str, ...]:
    """Custom granularities of the time dimension; of all that may be meant where none is named."""
    reference = time_dimension or measure.default_time_dimension
    cube = checker.model.cubes_by_name.get(home)
    if reference is None and cube is not None:
        reference = cube.default_time_dimension
    if reference is not None:
        found = checker.dimension(home, reference, "time_dimension", time=True)
        return tuple(item.name for item in found.granularities) if found is not None else ()
    dimensions = [item for other in checker.model.cubes for item in other.time_dimensions]
    return tuple(item.name for dimension in dimensions for item in dimension.granularities)


def _sql(checker: Checker, relation: Cube | View, measure: Measure, sql: SqlTemplate) -> None:
    targets = [checker.resolve(relation.name, item) for item in sql.references]
    measures = [
        item for item in targets if isinstance(item, MemberTarget) and item.member.kind == "measure"
    ]
    if measure.is_calculated:
        rows = any(
            isinstance(item, RowTarget) or (item is not None and item not in measures)
            for item in targets
        )
        if rows and not measures and not measure.multi_stage and not _CALL.search(sql.text):
            message = (
                f'measure "{measure.name}" of type {measure.type} is over a single row: its sql '
                "has neither a measure nor an aggregate"
            )
            checker.problem(sql.location, "measure-type", message)
        return
    if _WHOLE_AGGREGATE.fullmatch(sql.text) and not measure.multi_stage:
        message = (
            f'measure "{measure.name}" of type {measure.type} would aggregate an aggregate '
            "(type number takes one)"
        )
        checker.problem(sql.location, "measure-type", message)
    alone = targets[0] if len(sql.parts) == 1 and len(targets) == 1 else None
    if measure.type in _ADDING and not measure.discrete and isinstance(alone, MemberTarget):
        member = alone.member
        if isinstance(member, Dimension) and member.type != "number" and not member.case:
            message = (
                f'measure "{measure.name}" of type {measure.type} takes numbers, and '
                f"{sql.references[0]} is of type {member.type}"
            )
            checker.problem(sql.location, "measure-type", message)
