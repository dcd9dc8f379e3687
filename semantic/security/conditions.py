"""Row rules as trees of typed conditions: what a policy says of rows, its values filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.template import Reference
from semantic.model.types import UNKNOWN, PostgresType

Comparison = Literal[
    "=", "<>", "<", "<=", ">", ">=", "ilike", "not ilike", "in", "not in", "is null", "is not null"
]


@dataclass(frozen=True, slots=True)
class RowComparison:
    """A comparison of one member with a value, which is bound and never part of a text.

    Attributes:
        member: as the policy names it, seen from the policy's cube or view.
        operator: as in SQL, NULL and all: a comparison with a member that is NULL is unknown.
            Patterns are escaped by backslashes.
        value: in the forms that ``connectors.base.Parameter`` lists; of ``in``, a tuple of them.
        type: of the value, of each one for ``in``.
    """

    member: Reference
    operator: Comparison
    value: object = None
    type: PostgresType = UNKNOWN


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions that all hold, or of which one holds; without any, always or never true."""

    operator: Literal["and", "or"]
    conditions: tuple[RowCondition, ...] = ()


RowCondition = RowComparison | Combination

ALL_ROWS = Combination("and")
NO_ROWS = Combination("or")


def all_hold(*conditions: RowCondition) -> RowCondition:
    """The conjunction, in its shortest form."""
    if NO_ROWS in conditions:
        return NO_ROWS
    rest = tuple(item for item in dict.fromkeys(conditions) if item != ALL_ROWS)
    return rest[0] if len(rest) == 1 else Combination("and", rest)


def one_holds(*conditions: RowCondition) -> RowCondition:
    """The disjunction, in its shortest form."""
    if ALL_ROWS in conditions:
        return ALL_ROWS
    rest = tuple(item for item in dict.fromkeys(conditions) if item != NO_ROWS)
    return rest[0] if len(rest) == 1 else Combination("or", rest)
