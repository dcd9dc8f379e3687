"""Starts logins by the rules, and says whether those of running sessions still hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.auth.attempt import Attempt
from proxy.auth.errors import AuthenticationFailed, locked_out, wrong_certificate
from proxy.auth.request import LoginRequest
from proxy.auth.rules import Rule, choose
from proxy.auth.standing import Standing
from proxy.auth.throttle import FailureThrottle
from proxy.auth.turns import Turns
from proxy.auth.users import Users


@dataclass(slots=True)
class Authenticator:
    """Begins one login per connection.

    Attributes:
        rules: the first that fits decides.
        users: the logins that this server itself knows.
        throttle: counts wrong proofs, whatever they are of.
        now: unix seconds.
    """

    rules: Sequence[Rule]
    users: Users
    throttle: FailureThrottle
    now: Callable[[], float] = time.time
    _turns: Turns = field(default_factory=Turns)

    async def begin(self, request: LoginRequest) -> Attempt:
        """Start a login.

        Raises:
            AuthenticationFailed: 28000 where no rule lets the connection try, the method is
                impossible over it, or the pair of user and address is locked out.
        """
        rule, method = choose(self.rules, request)
        if self.throttle.refused_for(request.user, request.address) > 0:
            raise locked_out(request.user)
        await self.users.refresh()

        def on_result(success: bool) -> float:
            if success:
                self.throttle.succeeded(request.user, request.address)
                return 0.0
            return self.throttle.failed(request.user, request.address)

        if rule.client_certificate != "any":
            try:
                _check_certificate(rule, request)
            except AuthenticationFailed as failure:
                failure.delay = on_result(False)
                raise
        return Attempt(
            request,
            rule,
            method.name,
            self.users.get(request.user),
            method.begin(request, on_result),
            self.users,
            self.throttle,
            self._turns,
            self.now,
        )

    def objection(self, standing: Standing) -> str | None:
        """Why a session must end, in words for its client; None where its login still holds."""
        if standing.expires is not None and standing.expires <= self.now():
            return "identity has expired"
        if self.users.get(standing.login) != standing.known:
            return "identity has been revoked"
        return None

    async def close(self) -> None:
        """Free what the methods hold."""
        for rule in self.rules:
            if rule.method is not None:
                await rule.method.close()


def _check_certificate(rule: Rule, request: LoginRequest) -> None:
    """What a rule wants of the client's certificate besides its method."""
    if request.certificate is None:
        raise AuthenticationFailed(
            "28000",
            "connection requires a valid client certificate",
            reason="no client certificate",
        )
    if rule.client_certificate == "match" and request.certificate.the("cn") != request.user:
        raise wrong_certificate(request.user, "certificate of somebody else")


def make_throttle(*, base: float, longest: float, limit: int, window: float) -> FailureThrottle:
    """A throttle on the monotonic clock, which no change of the time of day can disturb."""
    return FailureThrottle(time.monotonic, base=base, longest=longest, limit=limit, window=window)
