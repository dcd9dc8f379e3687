"""Method ``http``: somebody else's service decides about a password.

It is sent ``{"user", "password", "database", "address", "application", "tls"}`` as JSON. Status 200
lets in, with a JSON object of what the user may count on (``groups``, ``roles``, ``attributes``,
``tenant``, ``act_as``, ``expires``); 401, 403 and 404 do not; anything else is no answer, which
lets nobody in either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from proxy.auth.bulkhead import Bulkhead, Unavailable
from proxy.auth.grants import Grants, GrantsError
from proxy.auth.method import LoginMethod, Parts, Refused
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.auth.web import Endpoint, WebError
from proxy.config.rules import HttpRule

_REFUSALS = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class HttpHook:
    """Asks the service.

    Attributes:
        secret: proves to it who asks, as a bearer token; None for none.
    """

    endpoint: Endpoint
    bulkhead: Bulkhead
    secret: str | None = field(repr=False)
    name: str = "http"

    async def check(self, request: LoginRequest, password: str) -> Grants:
        """See PasswordChecker."""
        try:
            status, answer = await self.bulkhead.run(
                self.endpoint.ask, "POST", self._headers(), _question(request, password)
            )
        except (Unavailable, WebError) as error:
            raise Refused(f"hook: {error}", counts=False) from None
        if status in _REFUSALS:
            raise Refused(f"hook: status {status}")
        if status != 200:
            raise Refused(f"hook: status {status}", counts=False)
        return _read(answer, request.user)

    async def close(self) -> None:
        """See PasswordChecker."""
        self.bulkhead.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret}"
        return headers


def _question(request: LoginRequest, password: str) -> bytes:
    question = {
        "user": request.user,
        "password": password,
        "database": request.database,
        "address": request.address,
        "application": request.application,
        "tls": request.encrypted,
    }
    return json.dumps(question).encode()


def _read(answer: bytes, user: str) -> Grants:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        raise Refused("hook: the answer is no JSON", counts=False) from None
    if not isinstance(said, dict):
        raise Refused("hook: the answer is no object", counts=False)
    if said.pop("user", user) != user:
        raise Refused("hook: the answer is for somebody else")
    try:
        return Grants.read(said)
    except GrantsError as error:
        raise Refused(f"hook: {error}", counts=False) from None


def open_method(rule: HttpRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del parts
    endpoint = Endpoint.open(rule.url, ca=rule.ca, seconds=rule.timeout)
    bulkhead = Bulkhead("hook", threads=rule.concurrency, seconds=rule.timeout)
    secret = None if rule.secret is None else rule.secret.get_secret_value()
    return PasswordMethod(HttpHook(endpoint, bulkhead, secret))
