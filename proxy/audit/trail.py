"""What is audited, and in which words: one method an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from proxy.audit.chain import Item
from proxy.audit.writer import AuditWriter
from proxy.errors import SessionError, Severity
from semantic.security.context import SecurityContext

SQL_CHARACTERS = 8_192
"""Longest text of a statement in a line, which also has to fit into a datagram."""

_REFUSALS = ("28", "42501", "25006", "0A000")
"""SQLSTATEs, or their beginnings, that say: you may not."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the access policies made of a statement: names alone.

    Attributes:
        policies: those that applied, as ``flights.access_policy[0] (group: analysts)``.
        masked: members that the statement names and that are masked.
        restricted: relations whose rows a row rule restricts.
    """

    policies: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.policies or self.masked or self.restricted)


@dataclass(frozen=True, slots=True)
class AuditedStatement:
    """A statement that has ended, well or not.

    Attributes:
        statement: id, unique within the server's life.
        session: the process id that the client was told.
        kind: ``cube``, ``catalog`` or ``utility``.
        relations: cubes and views that it read.
        sql: the client's text; it goes into a line only on option.
    """

    statement: str
    session: int
    security: SecurityContext
    application: str
    kind: str
    sqlstate: str
    rows: int
    milliseconds: float
    relations: Sequence[str]
    sql: str
    decision: Decision = field(default=Decision())


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """What a client said of itself, and how its login went.

    Attributes:
        user: as the startup packet has it; empty where it had not come.
        sqlstate: ``00000`` for success.
        reason: what was wrong, in words for operators.
        security: who it turned out to be.
        session: the process id that it was told.
    """

    user: str
    database: str
    application: str
    address: str
    encrypted: bool
    sqlstate: str = "00000"
    reason: str | None = None
    security: SecurityContext | None = None
    session: int | None = None


class AuditTrail:
    """The trail of one process; without a writer nothing is kept.

    Attributes:
        required: whether nothing may happen that cannot be audited.
    """

    def __init__(
        self, writer: AuditWriter | None = None, *, required: bool = False, with_sql: bool = False
    ) -> None:
        self._writer = writer
        self._with_sql = with_sql
        self.required = required

    # ------------------------------------------------------------------------- the trail itself

    @property
    def is_kept(self) -> bool:
        """Whether anything is kept at all."""
        return self._writer is not None

    @property
    def missed(self) -> int:
        """Events that were lost because the sink took none for too long."""
        return 0 if self._writer is None else self._writer.missed

    @property
    def written(self) -> int:
        """Lines that the sink has taken."""
        return 0 if self._writer is None else self._writer.written

    @property
    def problem(self) -> str | None:
        """What keeps events from being kept; None where nothing does."""
        writer = self._writer
        if writer is None:
            return None
        if writer.failure is not None:
            return f"the audit trail cannot be written: {writer.failure}"
        return "the audit trail is behind: its queue is full" if writer.full else None

    @property
    def stops_service(self) -> str | None:
        """The problem, where it is one that must stop the service."""
        return self.problem if self.required else None

    def check(self, severity: Severity = "ERROR") -> None:
        """Raises 58030 where nothing may be done, because it would leave no trace."""
        if self.required and self.problem is not None:
            raise SessionError(
                "58030",
                "the audit trail cannot be written, and nothing is done without it",
                hint="Try again later; the server's administrator knows more.",
                severity=severity,
            )

    def close(self) -> None:
        """Write what waits, and stop."""
        if self._writer is not None:
            self._emit("audit", {"action": "closed"})
            self._writer.close()

    # ------------------------------------------------------------------------- events

    def opened(self, notes: Mapping[str, Item]) -> None:
        """The trail begins, or goes on after a restart."""
        self._emit("audit", {"action": "opened", **notes})

    def login(self, attempt: LoginAttempt) -> None:
        """A client logged in, or failed to."""
        security = attempt.security
        fields: dict[str, Item] = {
            "outcome": "failure" if security is None else "success",
            "session": attempt.session,
            "user": attempt.user,
            "database": attempt.database,
            "application": attempt.application or None,
            "address": attempt.address,
            "tls": attempt.encrypted,
            "sqlstate": attempt.sqlstate,
            "reason": attempt.reason,
        }
        if security is not None:
            fields |= {
                "method": security.method,
                "groups": sorted(security.groups) or None,
                "roles": sorted(security.roles) or None,
                "tenant": security.tenant,
            }
        self._emit("login", fields)

    def statement(self, record: AuditedStatement) -> None:
        """A statement ended, or was refused; and what the policies had made of it."""
        if self._writer is None:
            return
        fields: dict[str, Item] = {
            "statement": record.statement,
            "session": record.session,
            **_who(record.security),
            "application": record.application or None,
            "kind": record.kind,
            "sqlstate": record.sqlstate,
            "rows": record.rows,
            "ms": round(record.milliseconds, 3),
            "relations": record.relations or None,
        }
        if self._with_sql:
            fields["sql"] = record.sql[:SQL_CHARACTERS]
            fields["sql_cut"] = True if len(record.sql) > SQL_CHARACTERS else None
        refused = record.sqlstate.startswith(_REFUSALS)
        if record.decision:
            self._decision(record)
        self._emit("refusal" if refused else "statement", fields)

    def _decision(self, record: AuditedStatement) -> None:
        decision = record.decision
        fields: dict[str, Item] = {
            "statement": record.statement,
            **_who(record.security),
            "policies": decision.policies or None,
            "masked": decision.masked or None,
            "restricted": decision.restricted or None,
        }
        self._emit("policy", fields)

    def impersonation(
        self, command: str, security: SecurityContext, session: int, target: str, sqlstate: str
    ) -> None:
        """A session took on another user, or tried to, or went back.

        Args:
            command: ``SET ROLE``, ``SET SESSION AUTHORIZATION`` or ``__user``.
            security: who it was before.
            session: its process id.
            target: the user; the login itself where it goes back.
            sqlstate: ``00000`` where it was granted.
        """
        fields: dict[str, Item] = {
            "command": command,
            "session": session,
            **_who(security),
            "target": target,
            "outcome": "granted" if sqlstate == "00000" else "refused",
            "sqlstate": sqlstate,
        }
        self._emit("impersonation", fields)

    def administration(
        self,
        action: str,
        *,
        login: str,
        target: str,
        outcome: Literal["done", "failed"] = "done",
        address: str = "",
    ) -> None:
        """Something was done to the server, to a session or to a user."""
        fields: dict[str, Item] = {
            "action": action,
            "login": login,
            "address": address or None,
            "target": target,
            "outcome": outcome,
        }
        self._emit("administration", fields)

    def _emit(self, event: str, fields: Mapping[str, Item]) -> None:
        if self._writer is not None:
            self._writer.append({"event": event, **fields})


def _who(security: SecurityContext) -> dict[str, Item]:
    return {"user": security.user, "login": security.login, "address": security.address}
