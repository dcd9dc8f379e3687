"""One client's attempt to log in, by the rule that decides about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.errors import locked_out, wrong_password
from proxy.auth.grants import Grants, GrantsError
from proxy.auth.request import LoginRequest
from proxy.auth.rules import Rule
from proxy.auth.standing import Standing
from proxy.auth.steps import AuthStep, Exchange
from proxy.auth.throttle import FailureThrottle, network
from proxy.auth.turns import Turns
from proxy.auth.users import KnownUser, Users
from proxy.wire.backend import BackendMessage
from semantic.security.context import SecurityContext


@dataclass(slots=True)
class Attempt:
    """Runs the method's exchange under the throttle, and says who has logged in.

    Attributes:
        method: the name of the rule's method.
        known: what this server knew of the user when the login began.
        now: unix seconds.
    """

    request: LoginRequest
    rule: Rule
    method: str
    known: KnownUser | None
    exchange: Exchange
    users: Users
    throttle: FailureThrottle
    turns: Turns
    now: Callable[[], float]

    @property
    def done(self) -> bool:
        """Whether the client is logged in."""
        return self.exchange.done

    def first(self) -> list[BackendMessage]:
        """What to send after the startup packet."""
        return self.exchange.first()

    async def receive(self, body: bytes) -> AuthStep:
        """Take the body of a 'p' message.

        Raises:
            AuthenticationFailed: the connection ends.
        """
        user, address = self.request.user, self.request.address
        async with self.turns.turn((user, network(address))):
            # Others may have failed while this one waited for its turn, or for its client.
            if self.throttle.refused_for(user, address) > 0:
                raise locked_out(user)
            return await self.exchange.receive(body)

    def outcome(self) -> tuple[SecurityContext, Standing]:
        """Who has logged in, and what has to stay true of that. Only once done.

        Raises:
            AuthenticationFailed: what the proof says of the user contradicts what the server knows.
        """
        assert self.done
        request, known = self.request, self.known
        if self.users.get(request.user) != known:
            # A proof of what was true when the login began, which a client can draw out.
            raise wrong_password(request.user, "user has changed meanwhile")
        try:
            grants = self.exchange.grants.with_local(self.rule.grants)
            if known is not None:
                grants = grants.with_local(known.grants)
        except GrantsError as error:
            raise wrong_password(request.user, f"contradiction: {error}") from None
        expires = self._expires(grants)
        context = SecurityContext(
            request.user,
            request.user,
            groups=grants.groups,
            roles=grants.roles,
            attributes=grants.attributes,
            tenant=grants.tenant,
            act_as=grants.act_as,
            address=request.address,
            application=request.application,
            method=self.method,
            expires=expires,
        )
        return context, Standing(request.user, known, expires)

    def _expires(self, grants: Grants) -> float | None:
        now = self.now()
        ends = [] if grants.expires is None else [grants.expires]
        if self.rule.lifetime:
            ends.append(now + self.rule.lifetime)
        if ends and min(ends) <= now:
            raise wrong_password(self.request.user, "identity has expired")
        return min(ends, default=None)
