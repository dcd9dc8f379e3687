"""Counters and histograms, read by Prometheus.

Counting happens on the event loop alone, so plain integers do: no lock, well under a microsecond
each. The prometheus-client types are made when somebody asks for ``/metrics``.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from proxy.observability.record import StatementRecord
from proxy.observability.series import (
    Histogram,
    Labels,
    LabelValues,
    count,
    counter,
    gauge,
    histogram,
    histograms,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SUCCESS = "00000"
NO_ROLE = "none"
"""The label of statements of users without roles."""

HELP = {
    "cubewire_build_info": "Version of the server; always 1.",
    "cubewire_ready": "1 where the server takes new sessions.",
    "cubewire_connections": "Client connections open now.",
    "cubewire_connections_total": "Client connections by result (accepted, refused).",
    "cubewire_logins_total": "Logins by result (ok, failed).",
    "cubewire_statements_total": "Statements by kind and class of SQLSTATE.",
    "cubewire_statement_seconds": "Time of a statement by kind.",
    "cubewire_statement_stage_seconds": "Time of a statement's stages.",
    "cubewire_statement_errors_total": "Statements that failed, by SQLSTATE.",
    "cubewire_cube_statements_total": "Statements by cube or view that they read, role, and where "
    "their rows came from; a statement counts under each of its cubes and roles.",
    "cubewire_cube_seconds": "Time of statements by cube or view.",
    "cubewire_cube_bytes_total": "Bytes sent to clients by cube or view.",
    "cubewire_role_seconds": "Time of statements by role of the user; `none` without one.",
    "cubewire_rows_total": "Rows sent to clients.",
    "cubewire_bytes_total": "Bytes sent to clients before encryption.",
    "cubewire_statement_cache_total": "Look-ups of compiled statements by result (hit, miss).",
    "cubewire_result_cache_total": "Statements on cubes by where their rows came from.",
    "cubewire_result_cache_bytes": "Memory that cached results take.",
    "cubewire_result_cache_evictions_total": "Cached results that had to make room for others.",
    "cubewire_redis_available": "1 where the Redis of the result cache answers.",
    "cubewire_redis_refused_marks_total": "Marks of invalidations in it that were not believed.",
    "cubewire_rollup_statements_total": "Statements on cubes with pre-aggregations by what came of "
    "them (hit, or why not).",
    "cubewire_rollup_builds_total": "Parts of pre-aggregations built here, by status.",
    "cubewire_model_reloads_total": "Looks at a changed model by result (replaced, unchanged, "
    "refused).",
    "cubewire_model_loaded_timestamp_seconds": "When the model that is served was loaded.",
    "cubewire_warehouse_errors_total": "Errors of warehouses by data source and SQLSTATE class.",
    "cubewire_warehouse_up": "1 where a data source answers.",
    "cubewire_warehouse_slots": "Statements that a data source takes at once; 0 is any number.",
    "cubewire_warehouse_slots_in_use": "Statements that run at a data source now.",
    "cubewire_warehouse_waiting": "Statements that wait for their turn at a data source now.",
    "cubewire_warehouse_copies": "Replicas of a data source by state (fresh, lagging, down).",
    "cubewire_warehouse_wait_seconds": "Time that statements waited for their turn.",
    "cubewire_warehouse_refused_total": "Statements refused or ended at a data source by reason "
    "(queue_full, queue_timeout, down, deadline, rows, bytes, cost).",
    "cubewire_warehouse_retries_total": "Statements begun again after a lost connection.",
    "cubewire_audit_lines_total": "Lines of the audit trail that were written.",
    "cubewire_audit_events_missed_total": "Events that are missing from the audit trail.",
    "cubewire_log_lines_dropped_total": "Log lines lost because the log file took none.",
}
"""Every metric of ours, with what it counts."""


class CacheState(Protocol):
    """What is measured of the result cache."""

    @property
    def used(self) -> int:
        """Bytes of memory."""

    @property
    def evictions(self) -> int:
        """Results that had to make room."""

    @property
    def redis_available(self) -> bool | None:
        """Whether its Redis answers; None where it has none."""

    @property
    def redis_refused_marks(self) -> int:
        """Marks of invalidations in it that were not believed."""


class WarehouseState(Protocol):
    """What is measured of a data source."""

    @property
    def is_up(self) -> bool:
        """Whether it answers."""

    @property
    def slots(self) -> int:
        """Statements at once; 0 is any number."""

    @property
    def in_use(self) -> int:
        """Statements that run."""

    @property
    def waiting(self) -> int:
        """Statements that wait."""

    @property
    def copies(self) -> Mapping[str, int]:
        """Its copies by state."""


Alike = tuple[str, str, str | None, tuple[str, ...], Collection[str]]
"""Kind, SQLSTATE, origin of the rows, relations and roles: what statements are counted by."""

_MOST_ALIKE = 2_000
"""Of which tallies are kept apart, before they are put into the series."""


@dataclass(slots=True)
class _Tally:
    """Statements that are alike."""

    seconds: Histogram = field(default_factory=Histogram)
    bytes: int = 0


@dataclass(slots=True)
class _Statements:
    """The series of statements. Names beyond the bound are ``other``.

    Statements are counted with those that are alike, which is quick, and put into the series when
    somebody looks.
    """

    cubes: LabelValues
    roles: LabelValues
    by_kind: dict[Labels, int] = field(default_factory=dict)
    kind_seconds: dict[Labels, Histogram] = field(default_factory=dict)
    failures: dict[Labels, int] = field(default_factory=dict)
    by_cube: dict[Labels, int] = field(default_factory=dict)
    cube_seconds: dict[Labels, Histogram] = field(default_factory=dict)
    cube_bytes: dict[Labels, int] = field(default_factory=dict)
    role_seconds: dict[Labels, Histogram] = field(default_factory=dict)
    _tallies: dict[Alike, _Tally] = field(default_factory=dict)

    def add(self, record: StatementRecord) -> None:
        """A statement ended."""
        alike = (record.kind, record.sqlstate, record.cache, record.relations, record.roles)
        tally = self._tallies.get(alike)
        if tally is None:
            if len(self._tallies) >= _MOST_ALIKE:
                self.settle()
            tally = self._tallies[alike] = _Tally()
        tally.seconds.observe(record.milliseconds / 1000)
        tally.bytes += record.bytes

    def settle(self) -> None:
        """Put what was counted into the series."""
        tallies, self._tallies = self._tallies, {}
        for alike, tally in tallies.items():
            self._settle(alike, tally)

    def _settle(self, alike: Alike, tally: _Tally) -> None:
        kind, sqlstate, cache, relations, roles = alike
        number = tally.seconds.number
        count(self.by_kind, (kind, sqlstate[:2]), number)
        histogram(self.kind_seconds, (kind,)).add(tally.seconds)
        if sqlstate != SUCCESS:
            count(self.failures, (sqlstate,), number)
        shown = [self.roles.of(role) for role in sorted(roles) or (NO_ROLE,)]
        for role in shown:
            histogram(self.role_seconds, (role,)).add(tally.seconds)
        outcome = "error" if sqlstate != SUCCESS else cache or NO_ROLE
        for relation in relations:
            cube = self.cubes.of(relation)
            histogram(self.cube_seconds, (cube,)).add(tally.seconds)
            count(self.cube_bytes, (cube,), tally.bytes)
            for role in shown:
                count(self.by_cube, (cube, role, outcome), number)


class Metrics(Collector):
    """All of a worker's metrics.

    Args:
        version: of the server.
        label_values: cubes, and roles, that are told apart; others are counted as ``other``.

    Attributes:
        connections: open now.
        ready: whether new sessions are taken.
        model_loaded: Unix seconds, of the model that is served.
        cache: the state of the result cache, where there is one.
        warehouses: the state of the data sources, by name.
        dropped_lines: log lines lost, set by whoever counts statements; likewise ``audit_lines``
            and ``audit_missed``.
    """

    def __init__(self, version: str, label_values: int = 100) -> None:
        self._version = version
        self.connections = 0
        self.ready = False
        self.dropped_lines = 0
        self.audit_lines = 0
        self.audit_missed = 0
        self._connections: dict[Labels, int] = {}
        self._logins: dict[Labels, int] = {}
        self._statements = _Statements(LabelValues(label_values), LabelValues(label_values))
        self._cache: dict[Labels, int] = {}
        self.cache: CacheState | None = None
        self._results: dict[Labels, int] = {}
        self._rollups: dict[Labels, int] = {}
        self._builds: dict[Labels, int] = {}
        self._reloads: dict[Labels, int] = {}
        self.model_loaded = time.time()
        self._errors: dict[Labels, int] = {}
        self.warehouses: Mapping[str, WarehouseState] = {}
        self._waits: dict[Labels, Histogram] = {}
        self._refused: dict[Labels, int] = {}
        self._retries: dict[Labels, int] = {}
        self._stages: dict[Labels, Histogram] = {}
        self._rows = 0
        self._bytes = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def connection_opened(self) -> None:
        """A client connected and was let in."""
        self.connections += 1
        count(self._connections, ("accepted",))

    def connection_closed(self) -> None:
        """A client that was let in has gone."""
        self.connections -= 1

    def connection_refused(self) -> None:
        """A client was turned away at the limit, or while stopping."""
        count(self._connections, ("refused",))

    def login(self, *, success: bool) -> None:
        """A client logged in, or failed to."""
        count(self._logins, ("ok" if success else "failed",))

    def statement(self, record: StatementRecord) -> None:
        """A statement ended."""
        self._statements.add(record)
        for stage, milliseconds in record.stages.items():
            histogram(self._stages, (stage,)).observe(milliseconds / 1000)
        self._rows += record.rows
        self._bytes += record.bytes

    def statement_cache(self, *, hit: bool) -> None:
        """A compiled statement was looked up."""
        count(self._cache, ("hit" if hit else "miss",))

    def rollups(self, outcome: str) -> None:
        """A statement was answered from pre-aggregations, or was not for a reason."""
        count(self._rollups, (outcome,))

    def rollup_build(self, status: str) -> None:
        """A part of a pre-aggregation was built, or could not be."""
        count(self._builds, (status,))

    def model_reload(self, result: str) -> None:
        """The model was replaced, found unchanged, or refused."""
        count(self._reloads, (result,))
        if result == "replaced":
            self.model_loaded = time.time()

    def result_cache(self, outcome: str) -> None:
        """A statement's rows came from memory, Redis, the warehouse ..."""
        count(self._results, (outcome,))

    def warehouse_error(self, data_source: str, sqlstate: str) -> None:
        """A warehouse refused or failed."""
        count(self._errors, (data_source, sqlstate[:2]))

    def warehouse_wait(self, data_source: str, seconds: float) -> None:
        """A statement got its turn after so long."""
        histogram(self._waits, (data_source,)).observe(seconds)

    def warehouse_refused(self, data_source: str, reason: str) -> None:
        """A statement was refused or ended by a limit, by a full queue, or by an outage."""
        count(self._refused, (data_source, reason))

    def warehouse_retry(self, data_source: str) -> None:
        """A statement was begun a second time."""
        count(self._retries, (data_source,))

    def text(self) -> bytes:
        """The exposition format (version 0.0.4)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        yield _gauge("cubewire_build_info", [((self._version,), 1)], ("version",))
        yield _gauge("cubewire_ready", [((), int(self.ready))])
        yield _gauge("cubewire_connections", [((), self.connections)])
        yield _counter("cubewire_connections_total", self._connections.items(), ("result",))
        yield _counter("cubewire_logins_total", self._logins.items(), ("result",))
        yield from self._of_statements()
        yield _counter("cubewire_rows_total", [((), self._rows)])
        yield _counter("cubewire_bytes_total", [((), self._bytes)])
        yield _counter("cubewire_statement_cache_total", self._cache.items(), ("result",))
        yield _counter("cubewire_result_cache_total", self._results.items(), ("outcome",))
        if self.cache is not None:
            yield _gauge("cubewire_result_cache_bytes", [((), self.cache.used)])
            evictions = [((), self.cache.evictions)]
            yield _counter("cubewire_result_cache_evictions_total", evictions)
            if self.cache.redis_available is not None:
                available = int(self.cache.redis_available)
                yield _gauge("cubewire_redis_available", [((), available)])
                refused = [((), self.cache.redis_refused_marks)]
                yield _counter("cubewire_redis_refused_marks_total", refused)
        yield _counter("cubewire_rollup_statements_total", self._rollups.items(), ("outcome",))
        yield _counter("cubewire_rollup_builds_total", self._builds.items(), ("status",))
        yield _counter("cubewire_model_reloads_total", self._reloads.items(), ("result",))
        yield _gauge("cubewire_model_loaded_timestamp_seconds", [((), self.model_loaded)])
        yield _counter(
            "cubewire_warehouse_errors_total",
            self._errors.items(),
            ("data_source", "sqlstate_class"),
        )
        yield from self._collect_warehouses()
        yield _counter("cubewire_audit_lines_total", [((), self.audit_lines)])
        yield _counter("cubewire_audit_events_missed_total", [((), self.audit_missed)])
        yield _counter("cubewire_log_lines_dropped_total", [((), self.dropped_lines)])

    def _collect_warehouses(self) -> Iterator[Metric]:
        states, labels = self.warehouses.items(), ("data_source",)
        for name, values in (
            ("up", [((source,), int(state.is_up)) for source, state in states]),
            ("slots", [((source,), state.slots) for source, state in states]),
            ("slots_in_use", [((source,), state.in_use) for source, state in states]),
            ("waiting", [((source,), state.waiting) for source, state in states]),
        ):
            yield _gauge(f"cubewire_warehouse_{name}", values, labels)
        copies = [
            ((source, condition), number)
            for source, state in states
            for condition, number in state.copies.items()
        ]
        yield _gauge("cubewire_warehouse_copies", copies, ("data_source", "state"))
        yield _histograms("cubewire_warehouse_wait_seconds", self._waits, labels)
        refused = self._refused.items()
        yield _counter("cubewire_warehouse_refused_total", refused, ("data_source", "reason"))
        yield _counter("cubewire_warehouse_retries_total", self._retries.items(), labels)

    def _of_statements(self) -> Iterator[Metric]:
        series = self._statements
        series.settle()
        kinds = ("kind", "sqlstate_class")
        yield _counter("cubewire_statements_total", series.by_kind.items(), kinds)
        yield _histograms("cubewire_statement_seconds", series.kind_seconds, ("kind",))
        yield _histograms("cubewire_statement_stage_seconds", self._stages, ("stage",))
        yield _counter("cubewire_statement_errors_total", series.failures.items(), ("sqlstate",))
        names = ("cube", "role", "outcome")
        yield _counter("cubewire_cube_statements_total", series.by_cube.items(), names)
        yield _histograms("cubewire_cube_seconds", series.cube_seconds, ("cube",))
        yield _counter("cubewire_cube_bytes_total", series.cube_bytes.items(), ("cube",))
        yield _histograms("cubewire_role_seconds", series.role_seconds, ("role",))


def _gauge(
    name: str, samples: Iterable[tuple[Labels, float]], labels: Sequence[str] = ()
) -> Metric:
    return gauge(name, HELP[name], samples, labels)


def _counter(
    name: str, samples: Iterable[tuple[Labels, float]], labels: Sequence[str] = ()
) -> Metric:
    return counter(name, HELP[name], samples, labels)


def _histograms(name: str, series: Mapping[Labels, Histogram], labels: Sequence[str]) -> Metric:
    return histograms(name, HELP[name], series, labels)
