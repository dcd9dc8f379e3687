"""What is remembered of statements that have ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from proxy.observability.record import StatementRecord

LONGEST_SQL = 2_000
"""Characters of a statement's text that are remembered."""


@dataclass(slots=True)
class SourceCounts:
    """The statements of a data source since the start; ``failed_at`` is in Unix seconds."""

    statements: int = 0
    errors: int = 0
    last_error: str | None = None
    failed_at: float | None = None


@dataclass(slots=True)
class History:
    """The last statements of a process.

    Attributes:
        most: how many; 0 remembers none.
        sources: counts by data source.
    """

    most: int
    clock: Callable[[], float] = time.time
    sources: dict[str, SourceCounts] = field(default_factory=dict)
    _ended: deque[tuple[float, StatementRecord]] = field(init=False)

    def __post_init__(self) -> None:
        self._ended = deque(maxlen=self.most)

    def add(self, record: StatementRecord) -> None:
        """A statement has ended."""
        now = self.clock()
        if record.data_source:
            counts = self.sources.setdefault(record.data_source, SourceCounts())
            counts.statements += 1
            if record.sqlstate != "00000":
                counts.errors += 1
                counts.last_error, counts.failed_at = record.sqlstate, now
        if self.most:
            # What a client binds is not for others to read, and may be large.
            record.parameters = ()
            if record.sql is not None:
                record.sql = record.sql[:LONGEST_SQL]
            self._ended.append((now, record))

    def __iter__(self) -> Iterator[tuple[float, StatementRecord]]:
        """When each ended, in Unix seconds, and what it was; the latest first."""
        return reversed(self._ended)
