"""What a caller may see of a model: which members, which of them masked, which rows.

The decision for one model and one security context, made once and then a value: it is part of the
key of every compiled statement, so that nothing outlives the context that it was made for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from semantic.model.model import MemberTarget, Model, ResolutionError, content_hash
from semantic.model.policy import AccessPolicy, FilterCombination, FilterNode, MemberFilter
from semantic.model.relations import Cube, View
from semantic.model.template import (
    Reference,
    SecurityContextReference,
    TemplateError,
    parse_name,
)
from semantic.model.values import FrozenValue
from semantic.security.conditions import ALL_ROWS, RowCondition, all_hold
from semantic.security.context import SecurityContext
from semantic.security.matching import matching_policies
from semantic.security.row_filters import MemberTypes, RowFilters

Default = Literal["allow", "deny"]
"""``security.default``: of cubes and views that have no access policy."""


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
        return frozenset(name for grant in self.grants for name in grant.members)

    @property
    def content(self) -> tuple[object, ...]:
        """Everything, in an order that is always the same."""
        grants = tuple(
            (grant.name, sorted(grant.full), sorted(grant.masked), grant.rows)
            for grant in self.grants
        )
        return (self.relation, grants, self.reasons)


@dataclass(frozen=True, slots=True)
class DefaultFilter:
    """A default filter of a view, which holds unless the query filters certain columns itself."""

    condition: RowCondition
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see of a model. Equal where it makes statements equal.

    Attributes:
        fingerprint: of everything below; empty for an open model.
        relations: the cubes and views that are governed, by name; all others are open.
        policies: names of the policies that apply, in the order of the model.
        attributes: the caller's attributes that the model's own SQL speaks of, by path; one that
            the caller does not have is absent.
        filters: default filters of views, where any of them is over the caller.
    """

    fingerprint: str
    relations: Mapping[str, RelationAccess] = field(default_factory=dict, compare=False)
    policies: tuple[str, ...] = field(default=(), compare=False)
    attributes: Mapping[tuple[str, ...], FrozenValue] = field(default_factory=dict, compare=False)
    filters: Mapping[str, tuple[DefaultFilter, ...]] = field(default_factory=dict, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether nothing depends on who asks."""
        return not self.fingerprint

    def of(self, relation: str) -> RelationAccess | None:
        """What is governed of a relation; None where all of it may be seen."""
        return self.relations.get(relation)

    def governing(self, relation: Cube | View) -> RelationAccess | None:
        """The same of a relation whose rows are read: one with policies is never open."""
        found = self.relations.get(relation.name)
        if found is None and relation.access_policies and self != UNGOVERNED:
            reason = "it has access policies, and who asks is not known"
            return RelationAccess(relation.name, (), (reason,))
        return found


OPEN = Access("")
"""An open model's: everything may be seen by everybody. What has a policy is closed under it."""

UNGOVERNED = Access("ungoverned")
"""The server's own, which stands above the policies: what is built of all rows, for no caller."""


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

    def problems(self, model: Model) -> Iterator[str]:
        """What is said of cubes or members that the model does not have."""
        for name in sorted({*self.members, *self.shared} - set(model.cubes_by_name)):
            yield f"there is no cube {name}"
        for name, member in self.members.items():
            try:
                target = model.resolve(name, parse_name(member))
            except (KeyError, ResolutionError, TemplateError):
                target = None
            if not isinstance(target, MemberTarget):
                yield f"cube {name} has no member {member}"

    def member(self, cube: Cube) -> Reference | None:
        """The member that holds the tenant of a cube's rows."""
        name = self.members.get(cube.name)
        if name is None and self.dimension in cube.members:
            name = self.dimension
        return None if name is None else parse_name(name)


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
    decision = _Decision(RowFilters(model, types, context), context, default, tenancy)
    relations: dict[str, RelationAccess] = {}
    governed: list[Cube | View] = [*model.cubes, *model.views]
    for relation in governed:
        found = decision.relation(relation)
        if found is not None:
            relations[relation.name] = found
    filters = {
        view.name: default_filters(decision.filters, view)
        for view in model.views
        if any(map(_is_over_caller, view.default_filters))
    }
    attributes = _attributes(model, context)
    if not relations and not filters and attributes is None:
        return OPEN
    names = (grant.name for item in relations.values() for grant in item.grants)
    content = (
        [relations[name].content for name in sorted(relations)],
        [(name, filters[name]) for name in sorted(filters)],
        sorted((attributes or {}).items()),
    )
    return Access(
        content_hash(content), relations, tuple(dict.fromkeys(names)), attributes or {}, filters
    )


def default_filters(filters: RowFilters, view: View) -> tuple[DefaultFilter, ...]:
    """The default filters of a view; each at the top holds on its own."""
    return tuple(
        DefaultFilter(
            filters.condition(view.name, node),
            tuple(item.path[-1] for leaf in _members(node) for item in leaf.unless),
        )
        for node in view.default_filters
    )


@dataclass(frozen=True, slots=True)
class _Decision:
    filters: RowFilters
    context: SecurityContext
    default: Default
    tenancy: RowTenancy | None

    def relation(self, relation: Cube | View) -> RelationAccess | None:
        tenant = self._tenant(relation) if isinstance(relation, Cube) else ALL_ROWS
        if tenant is None:
            return RelationAccess(relation.name, (), ("it has no tenant, and is not shared",))
        if not relation.access_policies:
            if self.default == "deny":
                reason = "it has no access policy, and security.default is deny"
                return RelationAccess(relation.name, (), (reason,))
            if tenant == ALL_ROWS:
                return None
            grant = Grant(f"{relation.name}.tenancy", _names_of(relation), rows=tenant)
            return RelationAccess(relation.name, (grant,))
        grants = [
            self._grant(relation, number, policy)
            for number, policy in matching_policies(relation.access_policies, self.context)
        ]
        if not grants:
            return RelationAccess(relation.name, (), ("no access policy applies to the caller",))
        kept = (replace(grant, rows=all_hold(tenant, grant.rows)) for grant in _undominated(grants))
        return RelationAccess(relation.name, tuple(kept))

    def _tenant(self, cube: Cube) -> RowCondition | None:
        """The row rule of the caller's tenant; None where the cube is closed."""
        if self.tenancy is None or cube.name in self.tenancy.shared:
            return ALL_ROWS
        member = self.tenancy.member(cube)
        if member is None:
            return None
        tenant = SecurityContextReference(("tenant",))
        rule = MemberFilter(member, "equals", (tenant,))
        return replace(self.filters, context=_of_tenant(self.context)).condition(cube.name, rule)

    def _grant(self, relation: Cube | View, number: int, policy: AccessPolicy) -> Grant:
        full, masked = _members_under(policy, _names_of(relation))
        rule = policy.row_level
        rows: RowCondition = ALL_ROWS
        if rule is not None and not rule.allow_all:
            rows = self.filters.all_of(relation.name, rule.filters)
        return Grant(policy_name(relation.name, number, policy), full, masked, rows)


def policy_name(relation: str, number: int, policy: AccessPolicy) -> str:
    """What a policy is called where people read of it: never a value, only names of the model."""
    holders = [f"group: {name}" for name in policy.groups]
    holders += [f"role: {name}" for name in policy.roles]
    return f"{relation}.access_policy[{number + 1}] ({', '.join(holders)})"


def _names_of(relation: Cube | View) -> frozenset[str]:
    return frozenset(relation.members if isinstance(relation, Cube) else relation.columns)


def _members_under(
    policy: AccessPolicy, names: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The members that a policy gives in full, and those that it gives masked.

    A member that ``member_level`` names is not masked by a ``*``; in all other cases of doubt it
    is masked.
    """
    level, masking = policy.member_level, policy.member_masking
    masked: set[str] = set()
    if masking is not None:
        for name in filter(masking.covers, names):
            named = level is not None and name in (level.includes or ()) and level.covers(name)
            if not (named and masking.includes is None):
                masked.add(name)
    full = (name for name in names - masked if level is None or level.covers(name))
    return frozenset(full), frozenset(masked)


def _undominated(grants: list[Grant]) -> list[Grant]:
    """Without the grants that another one makes superfluous, which gives all of it and all rows."""
    kept: list[Grant] = []
    for grant in grants:
        if not any(_dominates(other, grant) for other in kept):
            kept = [other for other in kept if not _dominates(grant, other)]
            kept.append(grant)
    return kept


def _dominates(grant: Grant, other: Grant) -> bool:
    return grant.rows == ALL_ROWS and grant.full >= other.members


def _of_tenant(context: SecurityContext) -> SecurityContext:
    """The context with nothing but its tenant, so that no attribute can take its place."""
    return SecurityContext.of("", tenant=context.tenant)


def _members(node: FilterNode) -> Iterator[MemberFilter]:
    if isinstance(node, FilterCombination):
        for inner in node.filters:
            yield from _members(inner)
    else:
        yield node


def _is_over_caller(node: FilterNode) -> bool:
    values = (value for item in _members(node) for value in item.values)
    return any(isinstance(value, SecurityContextReference) for value in values)


def _attributes(
    model: Model, context: SecurityContext
) -> Mapping[tuple[str, ...], FrozenValue] | None:
    """The caller's attributes that the SQL of cubes speaks of; None where it speaks of none."""
    paths = set(_paths(model.cubes))
    if not paths:
        return None
    found: dict[tuple[str, ...], FrozenValue] = {}
    for path in paths:
        try:
            found[path] = context.attribute(path)
        except KeyError:
            continue
    return found


def _paths(cubes: Iterable[Cube]) -> Iterator[tuple[str, ...]]:
    for cube in cubes:
        for template in (cube.sql_table, cube.sql):
            for part in () if template is None else template.parts:
                if isinstance(part, SecurityContextReference):
                    yield part.path


def fingerprint_of(value: object) -> str:
    """A content hash of frozen values: 32 hexadecimal digits."""
    return content_hash(value)
