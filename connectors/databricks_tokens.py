"""Tokens of a service principal of Databricks (OAuth, client credentials)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import requests

from connectors.errors import WarehouseError

_SPARE_SECONDS = 60.0
"""A token is not used in its last minute, since it has to last until the server reads it."""


class ServiceTokens:
    """The token of a service principal, asked for anew before it runs out. Safe for threads.

    Args:
        url: where tokens are given out.
        client_id: of the service principal.
        client_secret: its secret.
        request_seconds: how long asking may take.
    """

    def __init__(
        self, url: str, client_id: str, client_secret: str, request_seconds: float
    ) -> None:
        self._url = url
        self._login = (client_id, client_secret)
        self._seconds = request_seconds
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def __call__(self) -> Callable[[], dict[str, str]]:
        """What makes the headers of a request, as the driver wants it."""
        return self.headers

    def auth_type(self) -> str:
        """The driver's name for it."""
        return "oauth-m2m"

    def headers(self) -> dict[str, str]:
        """The headers of a request.

        Raises:
            WarehouseError: 28000, the secret is refused; 08006, nobody answers.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def _renew(self) -> None:
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        try:
            answer = requests.post(self._url, data=form, auth=self._login, timeout=self._seconds)
            body = answer.json()
        except requests.RequestException as error:
            raise WarehouseError(
                "08006", "the data source cannot be reached", detail=str(error), reached=False
            ) from error
        if not answer.ok or "access_token" not in body:
            raise WarehouseError("28000", "Databricks refuses the credentials", reached=False)
        self._token = str(body["access_token"])
        self._until = time.monotonic() + float(body.get("expires_in", 0)) - _SPARE_SECONDS
