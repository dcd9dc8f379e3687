"""Ending what a user runs, and letting a user run nothing until further notice."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from proxy.errors import SessionError
from proxy.running import RunningStatements

logger = logging.getLogger("cubewire.kill")

REASON = "administrator command"


@dataclass(slots=True, eq=False)
class KillSwitch:
    """Acts on the users of this process.

    A user is meant both as the one who logs in and as the one for whom statements are run.

    Attributes:
        running: the statements of this process.
        blocked: users none of whose statements may begin.
    """

    running: RunningStatements
    blocked: set[str] = field(default_factory=set)

    def check(self, login: str, user: str) -> None:
        """Raises 42501 where no statement of a login for a user may begin."""
        if not self.blocked:
            return
        for name in (login, user):
            if name in self.blocked:
                raise SessionError(
                    "42501",
                    f'statements of user "{name}" are blocked by an administrator',
                    hint="They are let through again after `cubewire kill --user ... --lift`.",
                )

    async def kill(self, user: str) -> bool:
        """End what a user runs with 57014. Returns whether all processes have been told."""
        self.end_statements(user)
        return True

    async def block(self, user: str) -> bool:
        """The same, and let none of their statements begin any more."""
        self.blocked.add(user)
        self.end_statements(user)
        return True

    async def lift(self, user: str) -> bool:
        """Let a user's statements begin again. Returns whether all processes have been told."""
        self.blocked.discard(user)
        return True

    def end_statements(self, user: str) -> int:
        """End what a user runs in this process; returns how many statements that were."""
        statements = self.running.of_user(user)
        for statement in statements:
            statement.cancel(REASON)
        fields = {"user": user, "statements": len(statements)}
        logger.warning("statements of a user ended", extra={"fields": fields})
        return len(statements)
