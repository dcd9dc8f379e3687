"""Who a user is to access policies when somebody else acts for them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from semantic.security.context import SecurityContext


class ContextProvider(Protocol):
    """Knows users by name, without their having proved anything: for impersonation alone."""

    def context_of(self, user: str) -> SecurityContext | None:
        """Groups, roles, attributes and tenant of a user; None where there is no such user.

        Asked whenever a role is taken on, so it must be quick. What the login itself has (address,
        application, ``act_as``) is not looked at.
        """


@dataclass(frozen=True, slots=True)
class NamedUsers:
    """Users of whom nothing but the name is known."""

    names: Collection[str]

    def context_of(self, user: str) -> SecurityContext | None:
        """See ContextProvider."""
        return SecurityContext.of(user) if user in self.names else None
