"""Row rules as trees of typed conditions: what a policy says of rows, its values filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.policy import FilterOperator
from semantic.model.template import Reference
from semantic.model.types import UNKNOWN, PostgresType


@dataclass(frozen=True, slots=True)
class MemberCondition:
    """A condition on one member, whose values are those that will be bound.

    Attributes:
        member: as the policy names it, seen from the policy's cube or view.
        operator: of the policy; what it means stands in ``semantic.compiler.row_rules``.
        values: in the forms that ``connectors.base.Parameter`` lists, all of ``type``; None is
            NULL. For ranges of dates, the bounds.
        type: that the values are bound as.
    """

    member: Reference
    operator: FilterOperator
    values: tuple[object, ...] = ()
    type: PostgresType = UNKNOWN


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions that all hold, or of which one holds; without any, always or never true."""

    operator: Literal["and", "or"]
    conditions: tuple[RowCondition, ...] = ()


RowCondition = MemberCondition | Combination

ALL_ROWS = Combination("and")
NO_ROWS = Combination("or")


def all_hold(conditions: tuple[RowCondition, ...]) -> RowCondition:
    """The conjunction, in its shortest form."""
    if NO_ROWS in conditions:
        return NO_ROWS
    rest = tuple(item for item in conditions if item != ALL_ROWS)
    return rest[0] if len(rest) == 1 else Combination("and", rest)


def one_holds(conditions: tuple[RowCondition, ...]) -> RowCondition:
    """The disjunction, in its shortest form."""
    if ALL_ROWS in conditions:
        return ALL_ROWS
    rest = tuple(item for item in conditions if item != NO_ROWS)
    return rest[0] if len(rest) == 1 else Combination("or", rest)
