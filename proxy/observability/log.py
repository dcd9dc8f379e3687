"""The server's log: one line per statement and per event, JSON or logfmt.

Everything of ours logs under the logger ``cubewire``; libraries are heard from WARNING up.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from proxy.config.observability import LogConfig
from proxy.observability.lines import (
    Format,
    Value,
    joined,
    milliseconds,
    part,
    plain,
    render,
    timestamp,
)
from proxy.observability.masking import masked
from proxy.observability.record import StatementRecord
from proxy.observability.writer import LineWriter

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_MOST_KNOWN = 2048


class LineHandler(logging.Handler):
    """Renders records of the ``logging`` module.

    ``extra={"fields": {...}}`` adds fields of its own to a line.
    """

    def __init__(self, style: Format, write: Callable[[str], None]) -> None:
        super().__init__()
        self._style = style
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a traceback becomes a field of it."""
        fields: dict[str, Value] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = getattr(record, "fields", None)
        if isinstance(extra, dict):
            fields.update(extra)
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        self._write(render(fields, self._style))


SlowSql = Literal["masked", "full", "off"]


@dataclass(slots=True)
class SlowStatements:
    """Which statements are slow, and what is written of them.

    Attributes:
        milliseconds: that a statement has to take; 0 is none.
        sample: the share of slow statements that is written.
    """

    milliseconds: float = 0.0
    sample: float = 1.0
    sql: SlowSql = "masked"
    parameters: bool = False
    _due: float = 0.0

    def takes(self, record: StatementRecord) -> bool:
        """Whether a statement is to be written: of the slow ones an even sample."""
        if not self.milliseconds or record.milliseconds < self.milliseconds:
            return False
        self._due += self.sample
        if self._due < 1:
            return False
        self._due -= 1
        return True

    def fields(self, record: StatementRecord) -> dict[str, Value]:
        """What is written of it besides what the line of every statement has."""
        values = [None if value is None else str(value) for value in record.parameters]
        return {
            "relations": ", ".join(record.relations) or None,
            "sql": shown_sql(record.sql, self.sql),
            "parameters": json.dumps(values) if values and self.parameters else None,
        }


def shown_sql(text: str | None, how: SlowSql) -> str | None:
    """The text of a statement as the configuration wants it shown."""
    if text is None or how == "off":
        return None
    return masked(text) if how == "masked" else text


@dataclass(slots=True)
class ServerLog:
    """The log of a running server."""

    writer: LineWriter
    style: Format
    with_sql: bool
    statements: bool
    slow: SlowStatements = field(default_factory=SlowStatements)
    clock: Callable[[], float] = time.time
    _known: dict[tuple[object, ...], tuple[str, str, str]] = field(default_factory=dict)

    def statement(self, record: StatementRecord) -> None:
        """Write a statement's line (level info), and another one where it was slow."""
        if self.slow.takes(record):
            details = part(self.slow.fields(record), self.style)
            self._write(record, self._rendered(record, None, "warning", "slow"), details)
        if self.statements:
            self._write(record, self._alike(record))

    def _write(
        self, record: StatementRecord, alike: tuple[str, str, str], details: str = ""
    ) -> None:
        style = self.style
        speaker, outcome, size = alike
        parts = [
            plain("time", timestamp(self.clock()), style),
            speaker,
            plain("statement", record.statement, style),
            outcome,
            milliseconds("ms", record.milliseconds, style),
        ]
        for name, value in record.stages.items():
            parts.append(milliseconds(f"{name}_ms", value, style))
        parts.append(size)
        if details:
            parts.append(details)
        self.writer.write(joined(parts, style))

    def _alike(self, record: StatementRecord) -> tuple[str, str, str]:
        """The parts of a line that are alike for every run of a statement in a session."""
        sql = record.sql if self.with_sql else None
        key = (
            record.user,
            record.database,
            record.application,
            record.kind,
            record.cache,
            record.sqlstate,
            record.rows,
            record.bytes,
            sql,
        )
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = self._rendered(record, sql)
        return found

    def _rendered(
        self,
        record: StatementRecord,
        sql: str | None,
        level: str = "info",
        logger: str = "statement",
    ) -> tuple[str, str, str]:
        speaker: dict[str, Value] = {
            "level": level,
            "logger": f"cubewire.{logger}",
            "user": record.user,
            "acts_for": record.acts_for,
            "database": record.database,
            "application": record.application or None,
        }
        outcome: dict[str, Value] = {
            "kind": record.kind,
            "cache": record.cache,
            "rollups": ", ".join(record.rollups) or None,
            "sqlstate": record.sqlstate,
        }
        size: dict[str, Value] = {"rows": record.rows, "bytes": record.bytes, "sql": sql}
        style = self.style
        return part(speaker, style), part(outcome, style), part(size, style)

    def close(self) -> None:
        """Flush and stop. Later lines of the ``logging`` module are dropped."""
        root = logging.getLogger()
        for handler in [each for each in root.handlers if isinstance(each, LineHandler)]:
            root.removeHandler(handler)
        self.writer.close()


def open_log(config: LogConfig) -> ServerLog:
    """Send the ``logging`` module's records where the configuration says, and open the log."""
    file = config.file.open("a", encoding="utf-8") if config.file is not None else sys.stderr
    writer = LineWriter(file, owned=config.file is not None)
    level = _LEVELS[config.level]
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, LineHandler)]
    root.addHandler(LineHandler(config.format, writer.write))
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("cubewire").setLevel(level)
    slow = SlowStatements(
        config.slow_seconds * 1000 if level <= logging.WARNING else 0.0,
        config.slow_sample,
        config.slow_sql,
        config.slow_parameters,
    )
    return ServerLog(writer, config.format, config.sql, level <= logging.INFO, slow)
