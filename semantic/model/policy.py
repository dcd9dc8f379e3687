"""Access policies and the filters they (and views) are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from semantic.model.condition import Condition
from semantic.model.template import Reference, SecurityContextReference
from semantic.model.values import NOWHERE, Location, Scalar

FilterOperator = Literal[
    "equals",
    "notEquals",
    "contains",
    "notContains",
    "startsWith",
    "notStartsWith",
    "endsWith",
    "notEndsWith",
    "in",
    "notIn",
    "gt",
    "gte",
    "lt",
    "lte",
    "set",
    "notSet",
    "inDateRange",
    "notInDateRange",
    "beforeDate",
    "beforeOrOnDate",
    "afterDate",
    "afterOrOnDate",
]

# A value of a filter: a literal, or an attribute of the caller (scalar or list), always bound.
FilterValue = Scalar | SecurityContextReference


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """A condition on one member.

    ``unless`` (in a view's default filters): dropped when the query filters one of these itself.
    """

    member: Reference
    operator: FilterOperator
    values: tuple[FilterValue, ...] = ()
    unless: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterCombination:
    """Filters joined by AND or OR."""

    operator: Literal["and", "or"]
    filters: tuple[FilterNode, ...]


FilterNode = MemberFilter | FilterCombination


@dataclass(frozen=True, slots=True)
class MemberRule:
    """A set of members: all (``includes`` None) or the named ones, without ``excludes``."""

    includes: tuple[str, ...] | None = None
    excludes: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether a member is in the set."""
        return (self.includes is None or name in self.includes) and name not in self.excludes


@dataclass(frozen=True, slots=True)
class RowRule:
    """Which rows: those that pass all ``filters``, or every row."""

    filters: tuple[FilterNode, ...] = ()
    allow_all: bool = False


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What callers of some groups may see of a cube or view (rules G1, G2).

    Attributes:
        groups: whom it is for; ``*`` is everybody. A ``role`` of the files is kept in ``roles``.
        roles: likewise, by role.
        conditions: SQL over the security context; all must hold for the policy to apply.
        member_level: members that exist for the caller; None: all of them.
        member_masking: members whose values the caller sees masked. None: nothing is masked.
        row_level: rows that exist for the caller; None: all of them.
    """

    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    member_level: MemberRule | None = None
    member_masking: MemberRule | None = None
    row_level: RowRule | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)
