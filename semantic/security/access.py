"""What a caller may see of a model: which members, which of them masked, which rows.

The decision for one model and one security context, made once and then a value: it is part of the
key of every compiled statement, so that nothing outlives the context that it was made for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from semantic.model.model import Model
from semantic.model.types import PostgresType
from semantic.model.values import FrozenValue
from semantic.security.conditions import ALL_ROWS, RowCondition
from semantic.security.context import SecurityContext

Default = Literal["allow", "deny"]
"""``security.default``: of cubes and views that have no access policy."""

MemberTypes = Mapping[tuple[str, str], PostgresType]
"""Types of all members, hidden ones too, by relation and name (``PublishedModel.types``)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one access policy that applies gives: some members of some rows.

    Attributes:
        name: of the policy, for people: ``flights.access_policy[1] (group: analysts)``.
        full: members whose values are seen.
        masked: members that exist and whose values are masked.
        rows: the rows; ``ALL_ROWS`` where the policy has no row rule.
    """

    name: str
    full: frozenset[str]
    masked: frozenset[str] = frozenset()
    rows: RowCondition = ALL_ROWS

    @property
    def members(self) -> frozenset[str]:
        """All members that exist under the policy."""
        return self.full | self.masked


@dataclass(frozen=True, slots=True)
class RelationAccess:
    """What a caller may see of one cube or view.

    Attributes:
        relation: its name.
        grants: of the policies that apply. Without any, neither a column nor a row exists.
        reasons: why there is no grant, for people; empty where there are some.
    """

    relation: str
    grants: tuple[Grant, ...]
    reasons: tuple[str, ...] = ()

    @property
    def members(self) -> frozenset[str]:
        """The members that exist for the caller, masked ones included."""
        return frozenset().union(*(grant.members for grant in self.grants))


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see of a model. Equal where it makes statements equal.

    Attributes:
        fingerprint: of everything below; empty for an open model.
        relations: the cubes and views that are governed, by name; all others are open.
        policies: names of the policies that apply, in the order of the model.
        attributes: the caller's attributes that the model's own SQL speaks of, by path; an
            attribute that the caller does not have is absent.
    """

    fingerprint: str
    relations: Mapping[str, RelationAccess] = field(default_factory=dict, compare=False)
    policies: tuple[str, ...] = field(default=(), compare=False)
    attributes: Mapping[tuple[str, ...], FrozenValue] = field(default_factory=dict, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether nothing is governed."""
        return not self.fingerprint

    def of(self, relation: str) -> RelationAccess | None:
        """What is governed of a relation; None where all of it may be seen."""
        return self.relations.get(relation)


OPEN = Access("")
"""An open model's: everything may be seen by everybody."""


@dataclass(frozen=True, slots=True)
class RowTenancy:
    """Tenants as a row rule that every cube has, besides its policies.

    Attributes:
        dimension: the member that holds the tenant, in cubes that have it.
        members: what it is called in other cubes, by cube: a member, be it over joins.
        shared: cubes whose rows are everybody's. Any other cube without the dimension is closed.
    """

    dimension: str
    members: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()


def decide(
    model: Model,
    types: MemberTypes,
    context: SecurityContext,
    *,
    default: Default = "allow",
    tenancy: RowTenancy | None = None,
) -> Access:
    """What ``context`` may see of ``model``. Pure; equal arguments give an equal decision.

    Args:
        model: the model.
        types: of its members, to which the values of row rules are converted.
        context: who asks.
        default: whether a relation without policies is open.
        tenancy: the row rule of tenants, if there is one.
    """
    if not _is_governed(model, default, tenancy):
        return OPEN
    raise NotImplementedError


def _is_governed(model: Model, default: Default, tenancy: RowTenancy | None) -> bool:
    policies = any(item.access_policies for item in model.cubes)
    policies = policies or any(item.access_policies for item in model.views)
    return policies or default == "deny" or tenancy is not None


def fingerprint_of(value: object) -> str:
    """A content hash of frozen values: 32 hexadecimal digits."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:32]
