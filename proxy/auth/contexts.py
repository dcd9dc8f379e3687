"""Who a user is to access policies when somebody else acts for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.auth.users import Users
from semantic.security.context import SecurityContext


class ContextProvider(Protocol):
    """Knows users by name, without their having proved anything: for impersonation alone."""

    def context_of(self, user: str) -> SecurityContext | None:
        """Groups, roles, attributes and tenant of a user; None where there is no such user.

        Asked at every statement of who acts for somebody, so it must be quick. What the login
        itself has (address, application, ``act_as``) is not looked at.
        """


@dataclass(frozen=True, slots=True)
class UserContexts:
    """The users of the configuration and of the users file.

    What an identity provider says of a user is known of those alone who log in: nobody else can be
    acted for.
    """

    users: Users
    now: Callable[[], float] = time.time

    def context_of(self, user: str) -> SecurityContext | None:
        """See ContextProvider."""
        known = self.users.get(user)
        if known is None:
            return None
        grants = known.grants
        if grants.expires is not None and grants.expires <= self.now():
            return None
        return SecurityContext(
            user,
            user,
            groups=grants.groups,
            roles=grants.roles,
            attributes=grants.attributes,
            tenant=grants.tenant,
        )
