"""Filters of policies and views fit their members: operators, numbers of values, literals.

At run time a value that does not fit lets no row pass; what can be told of it from the files is
told at load, rather than found out by whoever sees nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from semantic.model.checking import Checker
from semantic.model.members import Dimension, Segment
from semantic.model.model import MemberTarget
from semantic.model.policy import MemberFilter
from semantic.model.relations import Cube, View
from semantic.model.template import SecurityContextReference
from semantic.model.values import Scalar

_TEXT = frozenset(
    {"contains", "notContains", "startsWith", "notStartsWith", "endsWith", "notEndsWith"}
)
_RANGES = frozenset({"inDateRange", "notInDateRange"})
_DAYS = frozenset({"beforeDate", "beforeOrOnDate", "afterDate", "afterOrOnDate"})
_SINGLE = frozenset({"gt", "gte", "lt", "lte"}) | _DAYS
_NULLABLE = frozenset({"equals", "notEquals", "in", "notIn"})


def check_filter(
    checker: Checker, relation: Cube | View, node: MemberFilter, target: MemberTarget
) -> None:
    """Report what cannot be meant by a filter on a dimension or segment."""
    found = _operator(relation, node, target) or _values(node, target)
    if found is not None:
        checker.problem(node.member.location, "filter-value", found)


def _operator(relation: Cube | View, node: MemberFilter, target: MemberTarget) -> str | None:
    member, operator = target.member, node.operator
    if isinstance(relation, Cube) and isinstance(member, Dimension) and member.sub_query:
        return f"a row filter cannot use the sub_query dimension {node.member}"
    kind = "boolean" if isinstance(member, Segment) else getattr(member, "type", "")
    if operator in _TEXT and kind not in ("string", "switch"):
        return f"operator {operator} needs a string, and {node.member} is a {kind}"
    if operator in _RANGES | _DAYS and kind != "time":
        return f"operator {operator} needs a time, and {node.member} is a {kind}"
    most = 1 if operator in _SINGLE else 2 if operator in _RANGES else None
    if most is not None and len(node.values) > most:
        return f"operator {operator} takes {'one value' if most == 1 else 'one or two values'}"
    return None


def _values(node: MemberFilter, target: MemberTarget) -> str | None:
    member = target.member
    reads = _READERS.get(member.type) if isinstance(member, Dimension) else _boolean
    declared = isinstance(member, Dimension) and member.data_type is not None
    for value in node.values:
        if isinstance(value, SecurityContextReference):
            continue
        if value is None:
            if node.operator not in _NULLABLE:
                return f"operator {node.operator} compares nothing with null"
        elif reads is not None and not declared and not reads(value):
            return f"{value!r} is no value of {node.member}"
    return None


def _number(value: Scalar) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return value is not None and abs(float(value)) < float("inf")
    except ValueError:
        return False


def _boolean(value: Scalar) -> bool:
    return isinstance(value, bool) or str(value).strip().lower() in ("true", "false")


def _time(value: Scalar) -> bool:
    try:
        dt.datetime.fromisoformat(str(value).strip())
    except ValueError:
        return False
    return True


def _string(value: Scalar) -> bool:
    return not isinstance(value, bool | float)


_READERS: dict[str, Callable[[Scalar], bool]] = {
    "number": _number,
    "boolean": _boolean,
    "time": _time,
    "string": _string,
    "switch": _string,
}
