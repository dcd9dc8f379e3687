"""pg_cancel_backend and pg_terminate_backend.

They name connections of this server, not of the catalog PostgreSQL, so the server carries them out
and the catalog only returns the answer.
"""

from __future__ import annotations

import re

from proxy.session.client import Neighbours

_CALL = re.compile(
    r"\s*select\s+(?:pg_catalog\s*\.\s*)?pg_(cancel|terminate)_backend\s*\(\s*(\d{1,9})\s*\)\s*\Z",
    re.IGNORECASE,
)


class BackendFunctions:
    """The functions that act on other connections."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def answer(self, text: str, user: str) -> str | None:
        """Carry out ``SELECT pg_cancel_backend(N)`` and the like.

        Returns:
            A query that returns the answer; None where the text is something else.
        """
        match = _CALL.match(text)
        if match is None:
            return None
        kind, process_id = match[1].lower(), int(match[2])
        if kind == "cancel":
            done = self._neighbours.cancel_backend(process_id, user)
        else:
            done = self._neighbours.terminate_backend(process_id, user)
        return f"SELECT {str(done).lower()} AS pg_{kind}_backend"
