"""The server's log: one line per statement and per event, JSON or logfmt.

Everything of ours logs under the logger ``cubewire``; libraries are heard from WARNING up.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from proxy.config.models import LogConfig
from proxy.observability.lines import Format, Value, render, timestamp
from proxy.observability.record import StatementRecord
from proxy.observability.writer import LineWriter

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


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


@dataclass(slots=True)
class ServerLog:
    """The log of a running server."""

    writer: LineWriter
    style: Format
    with_sql: bool
    statements: bool
    clock: Callable[[], float] = time.time

    def statement(self, record: StatementRecord) -> None:
        """Write a statement's line (level info)."""
        if not self.statements:
            return
        fields: dict[str, Value] = {
            "time": timestamp(self.clock()),
            "level": "info",
            "logger": "cubewire.statement",
            "user": record.user,
            "database": record.database,
            "application": record.application or None,
            "statement": record.statement,
            "kind": record.kind,
            "cache": record.cache,
            "sqlstate": record.sqlstate,
            "ms": round(record.milliseconds, 3),
        }
        for name, milliseconds in record.stages.items():
            fields[f"{name}_ms"] = round(milliseconds, 3)
        fields["rows"] = record.rows
        fields["bytes"] = record.bytes
        if self.with_sql:
            fields["sql"] = record.sql
        self.writer.write(render(fields, self.style))

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
    return ServerLog(writer, config.format, config.sql, statements=level <= logging.INFO)
