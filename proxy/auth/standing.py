"""What must stay true of a login for its session to go on."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.users import KnownUser


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of affairs at the moment of the login.

    Attributes:
        login: who logged in.
        known: what this server knew of the user; None for one it did not know.
        expires: unix seconds after which the identity holds no more; None for no end.
    """

    login: str
    known: KnownUser | None = None
    expires: float | None = None
