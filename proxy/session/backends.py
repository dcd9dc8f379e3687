"""pg_cancel_backend and pg_terminate_backend.

They name connections of this server, not of the catalog PostgreSQL, so the server carries them out
and the catalog only describes and returns the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from proxy.session.client import Neighbours

_CALL = re.compile(
    r"""\s*select\s+(?:\*\s+from\s+)?(?:pg_catalog\s*\.\s*)?
    (?P<name>pg_(?P<kind>cancel|terminate)_backend)\s*
    \(\s*(?:(?P<id>\d{1,9})|\$1)\s*(?:::\s*int(?:4|eger)?\s*)?\)
    (?:\s+(?:as\s+)?(?P<alias>[a-z_]\w*))?\s*\Z""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class BackendCall:
    """``SELECT pg_cancel_backend(N)`` and the like.

    Attributes:
        process_id: None where it is the parameter ``$1``.
        column: the name of its result.
    """

    kind: Literal["cancel", "terminate"]
    process_id: int | None
    column: str

    @property
    def described_by(self) -> str:
        """A query with the same parameters and columns that does nothing."""
        argument = "1" if self.process_id is not None else "$1"
        return f"SELECT {argument}::int4 > 0 AS {self.column}"

    def answered_by(self, done: bool | None) -> str:
        """A query that returns the answer."""
        return f"SELECT {'NULL' if done is None else done}::bool AS {self.column}"


def backend_call(text: str) -> BackendCall | None:
    """The call that a statement is, None where it is something else."""
    match = _CALL.match(text)
    if match is None:
        return None
    kind: Literal["cancel", "terminate"] = "cancel"
    if match["kind"].lower() == "terminate":
        kind = "terminate"
    process_id = int(match["id"]) if match["id"] else None
    return BackendCall(kind, process_id, match["alias"] or match["name"].lower())


class BackendFunctions:
    """The functions that act on other connections."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    def carry_out(self, call: BackendCall, argument: object, user: str) -> bool | None:
        """Whether there was such a connection of the same user; None for a NULL argument."""
        process_id = call.process_id if call.process_id is not None else argument
        if not isinstance(process_id, int):
            return None
        if call.kind == "cancel":
            return self._neighbours.cancel_backend(process_id, user)
        return self._neighbours.terminate_backend(process_id, user)
