"""What expressions ask of a time: the periods within which they have one value."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlglot import exp

from semantic.compiler.expressions.fields import find_field
from semantic.compiler.expressions.moments import IntervalParts, parse_interval
from semantic.compiler.expressions.periods import MICROSECOND, Period, read_period
from semantic.compiler.rollups.coverage import EVERYTHING, Span
from semantic.compiler.rollups.grain import (
    GRAINS,
    grain_of_field,
    is_aligned,
    is_made_of,
    serves_every_zone,
)
from semantic.compiler.rollups.trees import bare
from semantic.compiler.trees import copied
from semantic.errors import SemanticError
from semantic.model.types import PostgresType

Operator = Literal[">=", "<", ">", "<="]
_UTC_NAMES = frozenset({"UTC", "ETC/UTC", "UCT", "ETC/UCT", "ZULU", "ETC/ZULU", "GMT", "ETC/GMT"})
_COMPARISONS: dict[type[exp.Expr], Operator] = {
    exp.GTE: ">=",
    exp.LT: "<",
    exp.GT: ">",
    exp.LTE: "<=",
}
_FLIPPED: dict[Operator, Operator] = {">=": "<=", "<": ">", ">": "<", "<=": ">="}
_WRITTEN = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d(:\d\d)?)?", re.ASCII
)
# Names, not rules such as FOO5:37.
_ZONE_NAME = re.compile(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*", re.ASCII)
_FIXED_CALLS = frozenset({"date_trunc", "now", "make_date", "make_timestamp", "to_timestamp"})
# No local clock is further from that of UTC.
WIDEST_OFFSET = timedelta(hours=16)


def is_utc(zone: str) -> bool:
    """Whether a time zone's clock is always that of UTC."""
    return zone.upper() in _UTC_NAMES


def can_tell(grain: Period, needed: Period, kind: PostgresType, zone: str) -> bool:
    """Whether truncated times still tell one needed period from another.

    Args:
        grain: of the times, by the clock of UTC.
        needed: by the clock of ``zone`` where the times are moments (timestamptz).
        kind: of the times.
        zone: the time zone whose clock is read.
    """
    is_known = is_utc(zone) or (serves_every_zone(grain) and _ZONE_NAME.fullmatch(zone))
    if kind.name == "timestamptz" and not is_known:
        return False
    return is_made_of(needed, grain)


@dataclass(frozen=True, slots=True)
class TimeFunction:
    """An expression that has one value within a period of its only argument.

    Attributes:
        argument: the time.
        needed: the periods.
        zone: the zone whose clock is read; None for the session's.
        node: the expression.
    """

    argument: exp.Column
    needed: Period
    zone: str | None
    node: exp.Expr

    def over(self, time: exp.Expr) -> exp.Expr:
        """The expression over another time."""
        return in_place(self.node, self.argument, time)


def in_place(node: exp.Expr, old: exp.Expr, new: exp.Expr) -> exp.Expr:
    """A tree with another node in the place of one of its own."""
    if node is old:
        return new
    arguments: dict[str, object] = {}
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            arguments[key] = in_place(value, old, new)
        elif isinstance(value, list):
            arguments[key] = [
                in_place(item, old, new) if isinstance(item, exp.Expr) else item for item in value
            ]
        else:
            arguments[key] = value
    return node.__class__(**arguments)


def read_time_function(node: exp.Expr) -> TimeFunction | None:
    """A function of a column that has one value within periods; None for any other node."""
    needed: Period | None = None
    argument: exp.Expr | None = None
    zone: str | None = None
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc):
        needed, argument = _grain(_unit(node)), node.this
        given = node.args.get("zone")
        if given is not None:
            zone = given.name if isinstance(given, exp.Literal) else None
            needed = needed if zone is not None else None
    elif isinstance(node, exp.Anonymous) and len(node.expressions) == 2:
        field, argument = node.expressions
        name = field.name if _is_text(field) else ""
        if node.name.lower() == "date_trunc":
            needed = read_period(name) or _grain(name)
        elif node.name.lower() == "date_part":
            needed = grain_of_field(_field(name))
    elif isinstance(node, exp.Extract):
        needed, argument = grain_of_field(_field(node.this.name)), node.expression
    elif isinstance(node, exp.Cast) and _cast_name(node) == "DATE":
        needed, argument = GRAINS["day"], node.this
    if needed is None or argument is None:
        return None
    argument = bare(argument)
    if isinstance(argument, exp.AtTimeZone) and zone is None:
        zone = argument.args["zone"].name if _is_text(argument.args["zone"]) else None
        argument = bare(argument.this) if zone is not None else argument
    return TimeFunction(argument, needed, zone, node) if isinstance(argument, exp.Column) else None


def _field(name: str) -> str:
    return find_field(name) or name.lower()


def _grain(name: str) -> Period | None:
    return GRAINS.get(_field(name))


def _unit(node: exp.Expr) -> str:
    return str(node.args["unit"].name).lower()


def _is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _cast_name(node: exp.Cast) -> str:
    kind = node.args["to"].this
    return kind.name if isinstance(kind, exp.DType) else ""


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison of a column with a value that is the same for all rows.

    ``>`` and ``<=`` with a written moment are given as ``>=`` and ``<`` with the next one.
    """

    column: exp.Column
    operator: Operator
    value: exp.Expr

    def over(self, time: exp.Expr) -> exp.Expr:
        """The comparison of another time."""
        kinds = {name: kind for kind, name in _COMPARISONS.items()}
        return kinds[self.operator](this=time, expression=copied(self.value))


def read_bounds(node: exp.Expr) -> tuple[Bound, ...]:
    """The comparisons that a condition consists of; none for any other condition."""
    node = bare(node)
    if isinstance(node, exp.Between):
        column = bare(node.this)
        low, high = node.args["low"], node.args["high"]
        if not isinstance(column, exp.Column) or node.args.get("symmetric"):
            return ()
        if not (_is_fixed(low) and _is_fixed(high)):
            return ()
        return Bound(column, ">=", low), Bound(column, "<=", high)
    operator = _COMPARISONS.get(type(node))
    if operator is None:
        return ()
    left, right = bare(node.this), bare(node.expression)
    if isinstance(right, exp.Column) and _is_fixed(left):
        return (Bound(right, _FLIPPED[operator], left),)
    if isinstance(left, exp.Column) and _is_fixed(right):
        return (Bound(left, operator, right),)
    return ()


def _is_fixed(node: exp.Expr) -> bool:
    """Whether a value is the same for all rows of a statement."""
    varying = (exp.Column, exp.Query, exp.Rand, exp.Uuid, exp.Subquery, exp.AggFunc, exp.Window)
    return not any(
        isinstance(item, varying)
        or (isinstance(item, exp.Anonymous) and item.name.lower() not in _FIXED_CALLS)
        for item in node.walk()
    )


def stepped(bound: Bound, kind: PostgresType) -> Bound:
    """A bound as ``>=`` or ``<`` where its value is written out, else as it is."""
    if bound.operator not in (">", "<="):
        return bound
    local = written(bound.value, kind)
    if local is None or local.tzinfo is not None:
        return bound
    step = timedelta(days=1) if kind.name == "date" else MICROSECOND
    if kind.name == "date" and local != local.replace(hour=0, minute=0, second=0, microsecond=0):
        return bound
    try:
        text = (local + step).isoformat(" ")
    except OverflowError:
        return bound
    value = exp.Literal.string(text[:10] if kind.name == "date" else text)
    node: exp.Expr = value
    if isinstance(bare(bound.value), exp.Cast):
        to = exp.DataType.build(kind.name, dialect="postgres")
        node = exp.Cast(this=value, to=to)
    return Bound(bound.column, ">=" if bound.operator == ">" else "<", node)


def written(value: exp.Expr, kind: PostgresType) -> datetime | None:
    """The moment that a constant spells for a column of a type; None where that is not plain.

    It has a zone only where one is written for a column of moments.
    """
    value = bare(value)
    if isinstance(value, exp.Add | exp.Sub):
        return _shifted(value, kind)
    if isinstance(value, exp.Cast):
        name = _cast_name(value)
        inner = bare(value.this)
        if name not in {"DATE", "TIMESTAMP", "TIMESTAMPTZ"} or not _is_text(inner):
            return None
        # Casts that round, or that read the clock of the session's zone for another type.
        is_other = (name == "TIMESTAMPTZ") != (kind.name == "timestamptz")
        if name != "DATE" and (is_other or value.args["to"].expressions):
            return None
        value = inner
        if name == "DATE" and len(value.name) != len("2024-01-01"):
            return None
    if not _is_text(value):
        return None
    if not _WRITTEN.fullmatch(value.name):
        return None
    try:
        found = datetime.fromisoformat(value.name)
    except ValueError:
        return None
    if found.tzinfo is not None and kind.name != "timestamptz":
        return None
    if kind.name == "date" and len(value.name) != len("2024-01-01"):
        return None
    return found


def _shifted(value: exp.Add | exp.Sub, kind: PostgresType) -> datetime | None:
    """The moment that a written date or timestamp and a written interval make."""
    start, span = bare(value.this), bare(value.expression)
    # A text and an interval are two intervals; what days are to a moment depends on its zone.
    if not isinstance(start, exp.Cast) or kind.name == "timestamptz":
        return None
    if not isinstance(span, exp.Cast):
        return None
    if _cast_name(span) != "INTERVAL" or span.args["to"].expressions or not _is_text(span.this):
        return None
    found = written(start, kind)
    if found is None:
        return None
    try:
        parts = parse_interval(span.this.name)
        return _moved(found, parts if isinstance(value, exp.Add) else -parts)
    except (SemanticError, OverflowError, ValueError):
        return None


def _moved(moment: datetime, by: IntervalParts) -> datetime:
    """By months first, to the last day of a shorter one, as PostgreSQL does."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + by.months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    moved = moment.replace(year=year, month=month + 1, day=day)
    return moved + timedelta(days=by.days, microseconds=by.microseconds)


def is_on_start(value: exp.Expr, kind: PostgresType, grain: Period, zone: str) -> bool:
    """Whether a constant is certainly the start of one of the periods that times are stored at."""
    if not can_tell(grain, grain, kind, zone):
        return False
    found = written(value, kind)
    if found is not None:
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
        return is_aligned(found, grain)
    if kind.name != "timestamptz" and not is_utc(zone):
        # What the value is compared by is not plain.
        return False
    node = bare(value)
    if isinstance(node, exp.CurrentDate):
        return is_made_of(GRAINS["day"], grain)
    truncated: Period | None = None
    if isinstance(node, exp.TimestampTrunc) and node.args.get("zone") is None:
        truncated = _grain(_unit(node))
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "date_trunc":
        is_plain = len(node.expressions) == 2 and _is_text(node.expressions[0])
        truncated = _grain(node.expressions[0].name) if is_plain else None
    return truncated is not None and is_made_of(truncated, grain)


def as_utc(found: datetime, zone: str, kind: PostgresType) -> tuple[datetime, datetime]:
    """The earliest and the latest moment that a local time may be, in UTC."""
    if found.tzinfo is not None:
        found = found.astimezone(UTC)
        return found, found
    found = found.replace(tzinfo=UTC)
    if kind.name != "timestamptz" or is_utc(zone):
        return found, found
    try:
        return found - WIDEST_OFFSET, found + WIDEST_OFFSET
    except OverflowError:
        return found, found


def span_of(bound: Bound, kind: PostgresType, zone: str) -> Span:
    """The moments that a bound leaves, or more: all where it is not written out.

    Args:
        bound: of a time.
        kind: of the time.
        zone: the session's.
    """
    bound = stepped(bound, kind)
    found = written(bound.value, kind)
    if found is None:
        return EVERYTHING
    earliest, latest = as_utc(found, zone, kind)
    if bound.operator in (">=", ">"):
        return Span(earliest, None)
    return Span(None, latest) if bound.operator == "<" else EVERYTHING
