"""OpenTelemetry: a span per statement, and in it one per stage.

Imported only where the configuration asks for it, since its packages are an extra. Spans are made
when a statement has ended, of the times that were taken anyhow; they are sent by a thread of the
library's, which drops what a collector does not take.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from proxy.config.observability import TracingConfig
from proxy.observability.log import SlowSql, shown_sql
from proxy.observability.record import StatementRecord
from proxy.observability.trace_context import trace_context

EXPORT_SECONDS = 5
"""What one try to reach the collector may take."""

_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(slots=True)
class StatementTraces:
    """Makes spans of statements. See ``proxy.observability.spans``."""

    provider: TracerProvider
    sql: SlowSql
    clock: Callable[[], int] = time.time_ns
    _tracer: Tracer = field(init=False)

    def __post_init__(self) -> None:
        self._tracer = self.provider.get_tracer("cubewire")

    def statement(self, record: StatementRecord) -> None:
        """A statement has ended: trace it, if it is sampled."""
        now, ended = time.perf_counter(), self.clock()

        def at(moment: float) -> int:
            return ended - int((now - moment) * 1e9)

        tracer = self._tracer
        parent = _PROPAGATOR.extract(trace_context(record.sql or ""))
        # What was done when it was prepared lies before it.
        started = min([record.started, *(start for start, _ in record.spans.values())])
        span = tracer.start_span(
            f"cubewire {record.kind}", parent, SpanKind.SERVER, start_time=at(started)
        )
        if not span.is_recording():
            return
        span.set_attributes(self._attributes(record))
        if record.sqlstate != "00000":
            span.set_status(Status(StatusCode.ERROR, record.sqlstate))
        inside = set_span_in_context(span)
        for name, (start, end) in record.spans.items():
            child = tracer.start_span(name, inside, start_time=at(start))
            # Parts of a stage may lie apart: what it took is not from its first to its last.
            child.set_attribute("cubewire.milliseconds", record.stages.get(name, 0.0))
            child.end(at(end))
        span.end(ended)

    def _attributes(self, record: StatementRecord) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue | None] = {
            "db.system.name": "postgresql",
            "db.namespace": record.database,
            "db.response.status_code": record.sqlstate,
            "db.response.returned_rows": record.rows,
            "db.query.text": shown_sql(record.sql, self.sql),
            "user.name": record.user,
            "cubewire.statement": record.statement,
            "cubewire.application": record.application or None,
            "cubewire.cache": record.cache,
            "cubewire.relations": record.relations or None,
            "cubewire.rollups": record.rollups or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def close(self) -> None:
        """Send what waits. Takes a few seconds where the collector does not answer."""
        self.provider.shutdown()


def open_tracing(
    config: TracingConfig, version: str, processor: SpanProcessor | None = None
) -> StatementTraces:
    """Traces as configured.

    Args:
        config: its part of the configuration.
        version: of the server.
        processor: takes the spans instead of the configured endpoint.
    """
    resource = Resource.create(
        {
            "service.name": config.service,
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(config.sample)),
        resource=resource,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor or BatchSpanProcessor(_exporter(config)))
    return StatementTraces(provider, config.sql)


def _exporter(config: TracingConfig) -> OTLPSpanExporter:
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    return OTLPSpanExporter(config.endpoint, headers=headers, timeout=EXPORT_SECONDS)
