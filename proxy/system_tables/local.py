"""The rows of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.engine import Engine
from proxy.hosts.board import Row
from proxy.hosts.identity import Process
from proxy.observability.record import StatementRecord
from proxy.running import RunningStatements
from proxy.session.state import SessionState
from proxy.system_tables.history import LONGEST_SQL, History, SourceCounts


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session, and when its client connected and spoke last, in monotonic seconds."""

    state: SessionState
    address: str
    encrypted: bool
    working: bool
    connected: float
    active: float


@dataclass(frozen=True, slots=True, eq=False)
class LocalRows:
    """What each table holds of this process.

    Attributes:
        process: which one this is.
        sessions: those that are open.
        running: statements that run.
        history: those that have ended.
    """

    process: Process
    engine: Engine
    sessions: Callable[[], Iterable[OpenSession]]
    running: RunningStatements
    history: History

    def of(self, table: str) -> list[Row]:
        """The rows of a table. Raises KeyError where there is none of this name."""
        makers: Mapping[str, Callable[[], Iterator[Row]]] = {
            "sessions": self._sessions,
            "statements": self._statements,
            "sources": self._sources,
            "rollups": self._rollups,
        }
        return list(makers[table]())

    def _place(self) -> Row:
        """Where and when what a row says is so."""
        process = self.process
        return {
            "host": process.host,
            "worker": process.worker,
            "seen_at": _moment(time.time()),
        }

    def _sessions(self) -> Iterator[Row]:
        now, moment = time.monotonic(), time.time()
        place = self._place()
        for session in self.sessions():
            state = session.state
            running = state.running
            yield {
                **place,
                **_speaker(state),
                "tenant": state.security.tenant and _clean(state.security.tenant),
                "address": session.address,
                "encrypted": session.encrypted,
                "state": _session_state(session),
                "connected_at": _moment(moment - (now - session.connected)),
                "active_at": _moment(moment - (now - session.active)),
                "statement_id": None if running is None else running.statement_id,
            }

    def _statements(self) -> Iterator[Row]:
        moment = time.time()
        place = self._place()
        for each in self.running:
            timer = each.timer
            yield {
                **place,
                "statement_id": timer.statement_id,
                **_speaker(timer.speaker),
                "kind": timer.kind,
                "state": timer.state,
                "started_at": _moment(moment - timer.milliseconds / 1000),
                "milliseconds": timer.milliseconds,
                "rows": timer.rows,
                "bytes": timer.bytes,
                "data_source": timer.data_source or None,
                "relations": timer.relations,
                "rollups": timer.rollups,
                "stages": dict(timer.stages),
                "sql": _clean(timer.text[:LONGEST_SQL]),
            }
        for ended, record in self.history:
            yield {**place, **_ended(ended, record)}

    def _sources(self) -> Iterator[Row]:
        place = self._place()
        for name, warehouse in sorted(self.engine.sources.opened.items()):
            counts = self.history.sources.get(name, SourceCounts())
            yield {
                **place,
                "name": name,
                "dialect": self.engine.connectors[name].dialect,
                "up": warehouse.is_up,
                "slots": warehouse.slots,
                "running": warehouse.in_use,
                "waiting": warehouse.waiting,
                "statements": counts.statements,
                "errors": counts.errors,
                "last_error": counts.last_error,
                "last_error_at": _moment(counts.failed_at),
            }

    def _rollups(self) -> Iterator[Row]:
        view = self.engine.rollups.service.view
        for name, definition in sorted(view.definitions.items()):
            row: Row = {"name": name, "cube": definition.cube, "kind": definition.kind}
            parts = view.tables.get(name, ())
            if not parts:
                yield row
            for part in parts:
                yield row | {
                    "range_start": part.key.start and part.key.start.isoformat(),
                    "range_end": part.key.end and part.key.end.isoformat(),
                    "rows": part.rows,
                    "bytes": part.bytes,
                    "built_at": _moment(part.built_at),
                    "checked_at": _moment(part.checked_at),
                    "build_seconds": part.seconds,
                }


def _speaker(state: object) -> Row:
    assert isinstance(state, SessionState)
    acts_for = state.security.user
    return {
        "process_id": state.process_id,
        "login": _clean(state.user),
        "acts_for": _clean(acts_for) if acts_for != state.user else None,
        "database": _clean(state.database),
        "application": _clean(state.application),
    }


def _session_state(session: OpenSession) -> str:
    if session.state.running is not None or session.working:
        return "active"
    status = session.state.transaction.status
    if status == "I":
        return "idle"
    return "idle in transaction" + (" (aborted)" if status == "E" else "")


def _ended(moment: float, record: StatementRecord) -> Row:
    return {
        "statement_id": record.statement,
        "process_id": int(record.statement.partition("-")[0]),
        "login": _clean(record.user),
        "acts_for": record.acts_for and _clean(record.acts_for),
        "database": _clean(record.database),
        "application": _clean(record.application),
        "kind": record.kind,
        "state": "done" if record.sqlstate == "00000" else "failed",
        "started_at": _moment(moment - record.milliseconds / 1000),
        "milliseconds": record.milliseconds,
        "rows": record.rows,
        "bytes": record.bytes,
        "sqlstate": record.sqlstate,
        "cache": record.cache,
        "data_source": record.data_source or None,
        "relations": record.relations,
        "rollups": record.rollups,
        "stages": dict(record.stages),
        "sql": record.sql and _clean(record.sql),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _clean(text: str) -> str:
    """A text that PostgreSQL takes, whatever a client has sent."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
