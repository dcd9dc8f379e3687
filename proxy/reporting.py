"""What the log, the metrics and the audit trail are told of sessions: from theirs to our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.audit.trail import AuditedStatement, LoginAttempt
from proxy.auth.errors import AuthenticationFailed
from proxy.errors import SessionError
from proxy.observability.record import StatementRecord
from proxy.session.records import StatementTimer
from proxy.session.state import SessionState


def login_attempt(
    claimed: Mapping[str, str],
    address: str,
    outcome: SessionState | SessionError,
    *,
    encrypted: bool,
) -> LoginAttempt:
    """A login for the audit trail.

    Args:
        claimed: the startup packet's parameters; none where it had not come.
        address: the client's.
        outcome: the session, or why there is none.
        encrypted: whether the connection is inside TLS.
    """
    attempt = LoginAttempt(
        user=claimed.get("user", ""),
        database=claimed.get("database", ""),
        application=claimed.get("application_name", ""),
        address=address,
        encrypted=encrypted,
    )
    if isinstance(outcome, SessionState):
        return replace(attempt, security=outcome.security, session=outcome.process_id)
    reason = outcome.reason if isinstance(outcome, AuthenticationFailed) else outcome.message
    return replace(attempt, sqlstate=outcome.sqlstate, reason=reason)


def statement_record(timer: StatementTimer) -> StatementRecord:
    """A statement for the log and the metrics."""
    speaker = timer.speaker
    security = timer.security or speaker.security
    acts_for = security.user
    return StatementRecord(
        user=speaker.user,
        acts_for=acts_for if acts_for != speaker.user else None,
        database=speaker.database,
        application=speaker.application,
        statement=timer.statement_id,
        kind=timer.kind,
        milliseconds=timer.milliseconds,
        rows=timer.rows,
        bytes=timer.bytes,
        sqlstate=timer.sqlstate,
        stages=timer.stages,
        cache=timer.cache,
        rollups=timer.rollups,
        sql=timer.text,
        relations=timer.relations,
        roles=security.roles,
        data_source=timer.data_source,
        started=timer.started,
        spans=timer.spans,
        parameters=timer.parameters,
    )


def audited_statement(timer: StatementTimer) -> AuditedStatement:
    """A statement for the audit trail."""
    speaker = timer.speaker
    return AuditedStatement(
        statement=timer.statement_id,
        session=speaker.process_id,
        security=timer.security or speaker.security,
        application=speaker.application,
        kind=timer.kind,
        sqlstate=timer.sqlstate,
        rows=timer.rows,
        milliseconds=timer.milliseconds,
        relations=timer.relations,
        sql=timer.text,
        decision=timer.decision,
    )
