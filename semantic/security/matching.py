"""Which access policies of a cube or view apply to a caller (rules G1, G2)."""

from __future__ import annotations

from collections.abc import Sequence

from semantic.model.policy import AccessPolicy
from semantic.security.caller_conditions import holds
from semantic.security.context import SecurityContext

EVERYBODY = "*"


def matching_policies(
    policies: Sequence[AccessPolicy], context: SecurityContext
) -> tuple[tuple[int, AccessPolicy], ...]:
    """The policies that apply, each with its number in the model.

    Conditions that cannot be told to hold do not hold, since a policy only ever gives.
    """
    return tuple(
        (number, policy)
        for number, policy in enumerate(policies)
        if _is_for(policy, context)
        and all(holds(condition, context) for condition in policy.conditions)
    )


def _is_for(policy: AccessPolicy, context: SecurityContext) -> bool:
    if EVERYBODY in policy.groups or EVERYBODY in policy.roles:
        return True
    return not context.groups.isdisjoint(policy.groups) or not context.roles.isdisjoint(
        policy.roles
    )
