"""Method ``scram``: users that this server knows, by a proof that reveals no password."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from proxy.auth.candidates import Candidates
from proxy.auth.method import LoginMethod, OnResult, Parts
from proxy.auth.request import LoginRequest
from proxy.auth.scram import ScramExchange
from proxy.auth.steps import Exchange
from proxy.config.rules import ScramRule


@dataclass(frozen=True, slots=True)
class ScramMethod:
    """SCRAM-SHA-256, and inside TLS SCRAM-SHA-256-PLUS.

    Attributes:
        make_nonce: printable random text without a comma.
    """

    candidates: Candidates
    make_nonce: Callable[[], str] = secrets.token_hex
    name: str = "scram"

    def begin(self, request: LoginRequest, on_result: OnResult) -> Exchange:
        """See LoginMethod."""
        candidate = self.candidates.of(request.user)
        return ScramExchange(candidate, request.channel, on_result, self.make_nonce)

    async def close(self) -> None:
        """See LoginMethod."""


def open_method(rule: ScramRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del rule
    return ScramMethod(Candidates(parts.users, parts.secret))
