"""Method ``trust``: whoever names a known user is that user; configured on loopback alone."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.method import LoginMethod, OnResult, Parts
from proxy.auth.plain import NothingAsked
from proxy.auth.request import LoginRequest
from proxy.auth.steps import Exchange
from proxy.auth.users import Users
from proxy.config.rules import TrustRule


@dataclass(frozen=True, slots=True)
class TrustMethod:
    """Lets in without a proof."""

    users: Users
    name: str = "trust"

    def begin(self, request: LoginRequest, on_result: OnResult) -> Exchange:
        """See LoginMethod."""
        del on_result
        if self.users.get(request.user) is None:
            raise AuthenticationFailed(
                "28000", f'role "{request.user}" does not exist', reason="unknown user under trust"
            )
        return NothingAsked()

    async def close(self) -> None:
        """See LoginMethod."""


def open_method(rule: TrustRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del rule
    return TrustMethod(parts.users)
