"""Method ``password``: the verifiers that SCRAM uses, for clients that cannot speak it."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.candidates import Candidates
from proxy.auth.grants import NOTHING, Grants
from proxy.auth.method import LoginMethod, Parts, Refused
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.config.rules import PasswordRule

_THREADS = 4
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LocalPasswords:
    """Checks passwords of users that this server knows."""

    candidates: Candidates
    bulkhead: Bulkhead
    name: str = "password"

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """See PasswordChecker. An unknown user costs the same PBKDF2 as a known one."""
        candidate = self.candidates.of(request.user)
        try:
            matches = await self.bulkhead.run(candidate.verifier.matches, password)
        except Unavailable as error:
            raise Refused(str(error), counts=False) from None
        if not matches or candidate.doomed is not None:
            raise Refused(candidate.doomed or "wrong password")
        return NOTHING

    async def close(self) -> None:
        """See PasswordChecker."""
        self.bulkhead.close()


def open_method(rule: PasswordRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del rule
    bulkhead = Bulkhead("password", threads=_THREADS, seconds=_SECONDS)
    return PasswordMethod(LocalPasswords(Candidates(parts.users, parts.secret), bulkhead))
