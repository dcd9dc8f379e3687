"""What stands above the statements of one session: who may begin one, and how it is ended."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.audit.trail import AuditTrail
from proxy.connection import ClientConnection
from proxy.kill_switch import KillSwitch
from proxy.running import RunningStatement
from proxy.session.records import StatementTimer


@dataclass(frozen=True, slots=True, eq=False)
class Oversight:
    """See ``proxy.session.records.Overseer``."""

    trail: AuditTrail
    kill_switch: KillSwitch
    connection: ClientConnection

    def check(self, login: str, user: str) -> None:
        """Raises 42501 for who is blocked, 58030 where what is done could not be audited."""
        self.kill_switch.check(login, user)
        self.trail.check()

    def begun(self, timer: StatementTimer) -> None:
        """See ``Overseer``."""
        statement = RunningStatement(timer, self.connection.cancel_statement)
        self.kill_switch.running.begin(statement)

    def ended(self, timer: StatementTimer) -> None:
        """See ``Overseer``."""
        self.kill_switch.running.end(timer)
