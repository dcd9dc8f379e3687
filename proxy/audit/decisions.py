"""What access policies made of a statement, in names, from its plan."""

from __future__ import annotations

from proxy.audit.trail import Decision
from semantic.compiler.api import PlanStep
from semantic.security.access import Access
from semantic.security.conditions import ALL_ROWS


def decision_of(plan: PlanStep, access: Access) -> Decision:
    """The policies that rule a plan's scans, masked members that it reads, relations by row.

    A member counts as masked where any policy that applies masks it, a relation as restricted where
    any has a row rule: of what kind a single row is, is not for the trail to know.
    """
    if access.is_open:
        return Decision()
    policies: dict[str, None] = {}
    masked: dict[str, None] = {}
    restricted: dict[str, None] = {}
    for step in plan.walk():
        policies.update(dict.fromkeys(step.policies))
        for member in step.members:
            relation, _, name = member.partition(".")
            governed = access.of(relation)
            if governed is not None and any(name in grant.masked for grant in governed.grants):
                masked[member] = None
        governed = access.of(step.relation)
        if governed is not None and any(grant.rows != ALL_ROWS for grant in governed.grants):
            restricted[step.relation] = None
    return Decision(tuple(policies), tuple(masked), tuple(restricted))
