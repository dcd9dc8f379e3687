r"""Filters of policies and views as typed conditions: what each operator means.

A value that is missing, NULL, nested or of another type than the member, and a list without values,
make their filter false, whatever the operator: nothing can be compared with what is not there.

=================================  ================================================================
operator                           rows that pass (``m`` is the member)
=================================  ================================================================
``equals``, ``in``                 ``m`` is one of the values
``notEquals``, ``notIn``           ``m`` is none of the values; rows where ``m`` is NULL pass
``contains``, ``startsWith``,      ``m`` is text and one value is a part, the start or the end of
``endsWith``                       it, in whatever case; ``%``, ``_`` and ``\\`` are no wildcards
``notContains``,                   ``m`` is text and none is; rows where ``m`` is NULL pass
``notStartsWith``,
``notEndsWith``
``gt``, ``gte``, ``lt``, ``lte``   the comparison with exactly one value; never where ``m`` is NULL
``set``, ``notSet``                ``m`` is not NULL, or is
``inDateRange``                    ``m`` is from the first value to the second, both days whole;
                                   one value is a range of its own
``notInDateRange``                 ``m`` is outside; never where ``m`` is NULL
``beforeDate``, ``afterDate``      ``m`` is before the day starts, or after it has ended
``beforeOrOnDate``,                ``m`` is before the day ends, or not before it starts
``afterOrOnDate``
=================================  ================================================================

A literal ``null`` among the values of ``equals`` and ``in`` lets rows pass where ``m`` is NULL; of
``notEquals`` and ``notIn``, it keeps them out. A value with a time of day is that moment rather
than a day. Days are those of the dimension's ``time_zone``, else of UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from semantic.model.members import Dimension, Segment
from semantic.model.model import MemberTarget, Model
from semantic.model.policy import FilterCombination, FilterNode, MemberFilter
from semantic.model.template import SecurityContextReference
from semantic.model.types import BOOL, TEXT, UNKNOWN, PostgresType
from semantic.model.values import FrozenValue
from semantic.security.conditions import (
    NO_ROWS,
    Comparison,
    RowComparison,
    RowCondition,
    all_hold,
    one_holds,
)
from semantic.security.context import SecurityContext
from semantic.security.typed import NotAValueError, bound_type, is_day, typed

MemberTypes = Mapping[tuple[str, str], PostgresType]
"""Types of all members, hidden ones too, by relation and name (``PublishedModel.types``)."""

_UTC = "UTC"
_DAY = dt.timedelta(days=1)
_DATES = frozenset({"date", "timestamp", "timestamptz"})


@dataclass(frozen=True, slots=True)
class RowFilters:
    """Makes conditions of filters.

    Attributes:
        model: whose members they are on.
        types: of those members.
        context: whose attributes the values may be; None where nobody asks.
    """

    model: Model
    types: MemberTypes
    context: SecurityContext | None

    def all_of(self, home: str, nodes: Sequence[FilterNode]) -> RowCondition:
        """The condition that all filters of the cube or view ``home`` make."""
        return all_hold(*(self.condition(home, node) for node in nodes))

    def condition(self, home: str, node: FilterNode) -> RowCondition:
        """The condition that a filter makes."""
        if isinstance(node, FilterCombination):
            inner = (self.condition(home, item) for item in node.filters)
            return all_hold(*inner) if node.operator == "and" else one_holds(*inner)
        try:
            return self._member(home, node)
        except (NotAValueError, OverflowError):
            return NO_ROWS

    def _member(self, home: str, node: MemberFilter) -> RowCondition:
        if node.operator == "set":
            return RowComparison(node.member, "is not null")
        if node.operator == "notSet":
            return RowComparison(node.member, "is null")
        kind, zone = self._type(home, node)
        return _OPERATORS[node.operator](_Operand(node, kind, zone), self._values(node))

    def _type(self, home: str, node: MemberFilter) -> tuple[PostgresType, str]:
        target = self.model.resolve(home, node.member)
        if not isinstance(target, MemberTarget):
            raise NotAValueError
        member = target.member
        zone = (member.time_zone if isinstance(member, Dimension) else None) or _UTC
        if isinstance(member, Segment):
            return BOOL, zone
        kind = bound_type(self.types.get((target.cube, member.name), UNKNOWN))
        if kind is None:
            raise NotAValueError
        return kind, zone

    def _values(self, node: MemberFilter) -> list[FrozenValue]:
        """The values, those of a list among them."""
        found: list[FrozenValue] = []
        for value in node.values:
            if not isinstance(value, SecurityContextReference):
                found.append(value)
                continue
            of_caller = self._attribute(value)
            listed = of_caller if isinstance(of_caller, tuple) else (of_caller,)
            if not listed or None in listed:
                raise NotAValueError
            found += listed
        if not found:
            raise NotAValueError
        return found

    def _attribute(self, reference: SecurityContextReference) -> FrozenValue:
        if self.context is None:
            raise NotAValueError
        try:
            return self.context.attribute(reference.path)
        except KeyError as error:
            raise NotAValueError from error


@dataclass(frozen=True, slots=True)
class _Operand:
    """The member of a filter with the type that values are bound as."""

    node: MemberFilter
    type: PostgresType
    zone: str

    def compare(self, operator: Comparison, value: object) -> RowCondition:
        return RowComparison(self.node.member, operator, value, self.type)

    def is_null(self, *, negated: bool = False) -> RowCondition:
        return RowComparison(self.node.member, "is not null" if negated else "is null")

    def typed(self, value: FrozenValue) -> object:
        return typed(value, self.type, self.zone)

    def listed(self, values: Sequence[FrozenValue], *, negated: bool) -> RowCondition:
        found = tuple(dict.fromkeys(self.typed(value) for value in values))
        if len(found) == 1:
            return self.compare("<>" if negated else "=", found[0])
        return self.compare("not in" if negated else "in", found)

    def start(self, value: FrozenValue) -> object:
        """The first moment of a day, or the moment that is meant."""
        if self.type.name not in _DATES:
            raise NotAValueError
        return self.typed(value)

    def end(self, value: FrozenValue, inside: Comparison, behind: Comparison) -> RowCondition:
        """A comparison with the end of a day, which is where the next one starts.

        Args:
            value: a day, or a moment.
            inside: how the member compares with the moment, or the day as a date.
            behind: how it compares with the start of the next day.
        """
        found = self.start(value)
        if self.type.name == "date" or not is_day(value):
            return self.compare(inside, found)
        # The day after is a matter of the calendar, not of 24 hours.
        text = str(value).strip()
        following = (dt.date.fromisoformat(text) + _DAY).isoformat()
        return self.compare(behind, self.typed(following))


_Made = Callable[[_Operand, Sequence[FrozenValue]], RowCondition]


def _equals(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    some = [value for value in values if value is not None]
    conditions = [operand.listed(some, negated=False)] if some else []
    if len(some) < len(values):
        conditions.append(operand.is_null())
    return one_holds(*conditions)


def _not_equals(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    some = [value for value in values if value is not None]
    if len(some) < len(values):
        rest = [operand.listed(some, negated=True)] if some else []
        return all_hold(*rest, operand.is_null(negated=True))
    return one_holds(operand.listed(some, negated=True), operand.is_null())


def _pattern(before: str, after: str, *, negated: bool) -> _Made:
    def made(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
        if operand.type != TEXT:
            raise NotAValueError
        patterns = [f"{before}{_escaped(str(operand.typed(value)))}{after}" for value in values]
        if negated:
            none = all_hold(*(operand.compare("not ilike", item) for item in patterns))
            return one_holds(none, operand.is_null())
        return one_holds(*(operand.compare("ilike", item) for item in patterns))

    return made


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _than(operator: Comparison) -> _Made:
    def made(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
        return operand.compare(operator, operand.typed(_only(values)))

    return made


def _only(values: Sequence[FrozenValue]) -> FrozenValue:
    if len(values) != 1:
        raise NotAValueError
    return values[0]


def _ends(values: Sequence[FrozenValue]) -> tuple[FrozenValue, FrozenValue]:
    if not 1 <= len(values) <= 2:
        raise NotAValueError
    return values[0], values[-1]


def _in_range(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    first, last = _ends(values)
    return all_hold(operand.compare(">=", operand.start(first)), operand.end(last, "<=", "<"))


def _not_in_range(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    first, last = _ends(values)
    return one_holds(operand.compare("<", operand.start(first)), operand.end(last, ">", ">="))


def _before(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    return operand.compare("<", operand.start(_only(values)))


def _before_or_on(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    return operand.end(_only(values), "<=", "<")


def _after(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    return operand.end(_only(values), ">", ">=")


def _after_or_on(operand: _Operand, values: Sequence[FrozenValue]) -> RowCondition:
    return operand.compare(">=", operand.start(_only(values)))


_OPERATORS: Mapping[str, _Made] = {
    "equals": _equals,
    "in": _equals,
    "notEquals": _not_equals,
    "notIn": _not_equals,
    "contains": _pattern("%", "%", negated=False),
    "notContains": _pattern("%", "%", negated=True),
    "startsWith": _pattern("", "%", negated=False),
    "notStartsWith": _pattern("", "%", negated=True),
    "endsWith": _pattern("%", "", negated=False),
    "notEndsWith": _pattern("%", "", negated=True),
    "gt": _than(">"),
    "gte": _than(">="),
    "lt": _than("<"),
    "lte": _than("<="),
    "inDateRange": _in_range,
    "notInDateRange": _not_in_range,
    "beforeDate": _before,
    "beforeOrOnDate": _before_or_on,
    "afterDate": _after,
    "afterOrOnDate": _after_or_on,
}
