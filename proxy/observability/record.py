"""One statement, as its log line and the metrics see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class StatementRecord:
    """A statement that has ended, well or not.

    Attributes:
        statement: id, unique within the server's life.
        kind: ``cube``, ``catalog``, ``utility``: few values, since it labels metrics.
        milliseconds: from the first byte understood to the last byte handed to the socket.
        stages: milliseconds per stage, in the order they ended.
        bytes: sent to the client, before encryption.
        sqlstate: ``00000`` for success.
        cache: of a query over cubes, where its rows came from (``proxy.cache.results.Outcome``).
        rollups: the pre-aggregations that it read.
        relations: cubes and views that it read.
        roles: of whom it ran for.
        data_source: that answered it, where it read cubes.
        started: seconds of ``time.perf_counter``.
        spans: first start and last end by stage, likewise.
        parameters: values bound to it; written only where the configuration asks for it.
        sql: the text; written only where the configuration asks for it.
        acts_for: another user, on whose behalf ``user`` ran it.
    """

    user: str
    database: str
    application: str
    statement: str
    kind: str
    milliseconds: float
    rows: int = 0
    bytes: int = 0
    sqlstate: str = "00000"
    stages: Mapping[str, float] = field(default_factory=dict)
    cache: str | None = None
    rollups: tuple[str, ...] = ()
    sql: str | None = None
    acts_for: str | None = None
    relations: tuple[str, ...] = ()
    roles: Collection[str] = ()
    data_source: str = ""
    started: float = 0.0
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parameters: Sequence[object] = ()
