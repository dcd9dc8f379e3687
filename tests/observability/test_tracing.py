from __future__ import annotations

import doctest
import sys
import time

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from proxy.config.observability import TracingConfig
from proxy.observability import masking, trace_context
from proxy.observability.masking import CUT, LONGEST, masked
from proxy.observability.record import StatementRecord
from proxy.observability.spans import TracingError, open_traces
from proxy.observability.trace_context import without_trace
from proxy.observability.tracing import StatementTraces, open_tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def comment(flags: str = "01") -> str:
    return f"/*route='%2Fsales',traceparent='00-{TRACE}-{PARENT}-{flags}',tracestate='a=1'*/"


def record(sql: str, **changes: object) -> StatementRecord:
    now = time.perf_counter()
    values: dict[str, object] = {
        "user": "anna",
        "database": "cubewire",
        "application": "",
        "statement": "1-1",
        "kind": "cube",
        "milliseconds": 10.0,
        "started": now - 0.010,
        "stages": {"bind": 1.0, "warehouse": 5.0},
        "spans": {"bind": (now - 0.010, now - 0.009), "warehouse": (now - 0.008, now - 0.003)},
        "sql": sql,
    }
    return StatementRecord(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def traces(spans: InMemorySpanExporter, **options: object) -> StatementTraces:
    config = TracingConfig.model_validate({"endpoint": "http://nowhere", **options})
    return open_tracing(config, "1", SimpleSpanProcessor(spans))


def test_a_span_per_stage_in_the_trace_of_the_comment(spans: InMemorySpanExporter) -> None:
    traces(spans).statement(record(f"SELECT 'secret' {comment()}", sqlstate="42P01"))
    bind, warehouse, whole = spans.get_finished_spans()
    assert [bind.name, warehouse.name, whole.name] == ["bind", "warehouse", "cubewire cube"]
    assert whole.context is not None
    assert f"{whole.context.trace_id:032x}" == TRACE
    assert whole.context.trace_state.get("a") == "1"
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == PARENT
    for child in (bind, warehouse):
        assert child.parent is not None
        assert child.parent.span_id == whole.context.span_id
    assert whole.start_time is not None
    assert whole.start_time == bind.start_time
    assert whole.end_time is not None
    assert 9e6 < whole.end_time - whole.start_time < 5e8
    assert whole.status.status_code is StatusCode.ERROR
    assert whole.attributes is not None
    assert whole.attributes["db.response.status_code"] == "42P01"
    assert whole.attributes["db.query.text"] == "SELECT ?"


def test_who_sends_the_comment_decides_whether_it_is_sampled(spans: InMemorySpanExporter) -> None:
    traces(spans).statement(record(f"SELECT 1 {comment('00')}"))
    assert not spans.get_finished_spans()
    none = traces(spans, sample=0.0)
    none.statement(record("SELECT 1"))
    assert not spans.get_finished_spans()
    none.statement(record(f"SELECT 1 {comment()}"))
    assert spans.get_finished_spans()


def test_a_comment_that_is_no_trace_begins_one(spans: InMemorySpanExporter) -> None:
    traces(spans).statement(record("SELECT 1 /*traceparent='00-zz-1-01'*/"))
    assert spans.get_finished_spans()[-1].parent is None


def test_off_and_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_traces(TracingConfig(), "1") is None
    monkeypatch.delitem(sys.modules, "proxy.observability.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingError, match=r"cubewire\[otel\]"):
        open_traces(TracingConfig(endpoint="http://nowhere"), "1")


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(trace_context).failed == 0
    assert doctest.testmod(masking).failed == 0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 1 /* traceparent */ + 1",
        f"SELECT 1 {comment()} + 1",
        f"SELECT '{comment().replace(chr(39), chr(39) * 2)}'",
        f"SELECT 1 /* outer {comment()} */",
    ],
)
def test_a_comment_that_is_not_the_end_stays(sql: str) -> None:
    assert without_trace(sql) == sql


def test_masked() -> None:
    assert masked("SELECT e'a\\'b', $$x$$, U&'c', B'1', $1, \"n\" /* 'v' */ -- 7") == (
        'SELECT ?, ?, ?, ?, $1, "n"'
    )
    assert masked("SELECT 'open") == f"SELECT{CUT}"
    long = "SELECT '" + "s" * LONGEST + "'"
    assert masked(long) == f"SELECT{CUT}"
    assert masked("SELECT 1" + " " * LONGEST + "'secret'") == f"SELECT ?{CUT}"
