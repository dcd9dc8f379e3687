"""What a server tells of real statements: stages in the metrics, traces, slow statements."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.observability.stages import STAGES
from tests.conftest import free_port
from tests.observability.collector import Collector, collector
from tests.observability.test_tracing import PARENT, TRACE, comment
from tests.support.server import RunningServer, start_server

SECRET = "N-Secret-7"
QUERY = "SELECT carrier, MEASURE(count) FROM flights WHERE tail_number <> %s GROUP BY 1"


@dataclass
class Observed:
    server: RunningServer
    traces: Collector
    admin: int
    log: list[dict[str, object]]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder: Path = tmp_path_factory.mktemp("observed")
    admin = free_port()
    with collector() as traces:
        settings = {
            "CUBEWIRE_STATE_DIRECTORY": str(folder),
            "CUBEWIRE_LOG__FORMAT": "json",
            "CUBEWIRE_LOG__FILE": str(folder / "log"),
            "CUBEWIRE_LOG__SLOW_SECONDS": "1ms",
            "CUBEWIRE_TRACING__ENDPOINT": traces.url,
        }
        server = start_server(["--demo", "--port", "0", "--admin-port", str(admin)], settings)
        try:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                traced = f"{QUERY} {comment()}".replace("%2F", "%%2F")
                for _ in range(4):
                    connection.execute(traced, (SECRET,)).fetchall()
                simple = f"SELECT COUNT(*) FROM flights WHERE tail_number <> '{SECRET}'"
                connection.execute(simple, prepare=False)
                with pytest.raises(psycopg.errors.UndefinedColumn):
                    connection.execute("SELECT nothing FROM flights")
                connection.execute("SELECT count(*) FROM pg_class")
            traces.wait_for(20)
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics").read().decode()
            (folder / "metrics").write_text(metrics)
        finally:
            server.stop()
        lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
        yield Observed(server, traces, admin, lines)


@pytest.fixture(scope="module")
def metrics(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    text = (tmp_path_factory.getbasetemp() / "observed0/metrics").read_text()
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_stages_are_timed(metrics: dict[str, float]) -> None:
    counted = {
        stage: metrics.get(f'cubewire_statement_stage_seconds_count{{"stage": "{stage}"}}', 0)
        for stage in STAGES
    }
    # Nobody keeps this server waiting.
    expected = {stage for stage in STAGES if stage != "write"}
    assert {stage for stage, number in counted.items() if number} >= expected, counted


def test_cubes_and_roles_are_told_apart(metrics: dict[str, float]) -> None:
    def statements(outcome: str) -> float:
        labels = {"cube": "flights", "outcome": outcome, "role": "none"}
        key = "cubewire_cube_statements_total" + json.dumps(labels, sort_keys=True)
        return metrics.get(key, 0.0)

    assert statements("miss") == 2
    assert statements("memory") == 3
    assert metrics['cubewire_cube_bytes_total{"cube": "flights"}'] > 100
    assert metrics['cubewire_role_seconds_count{"role": "none"}'] >= 4
    assert metrics['cubewire_statement_errors_total{"sqlstate": "42703"}'] == 1


def test_a_statement_that_differs_in_its_trace_alone_is_compiled_once(
    metrics: dict[str, float],
) -> None:
    assert metrics['cubewire_statement_cache_total{"result": "hit"}'] >= 1


def test_traces_arrive(observed: Observed) -> None:
    spans = observed.traces.spans()
    whole = [span for span in spans if span.name == "cubewire cube"]
    traced = [span for span in whole if span.trace_id.hex() == TRACE]
    assert len(traced) == 4
    assert {span.parent_span_id.hex() for span in traced} == {PARENT}
    inside = {span.name for span in spans if span.parent_span_id == traced[0].span_id}
    assert inside >= {"parse", "bind", "analysis", "plan", "emit", "warehouse", "encode"}
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)
    failed = [span for span in spans if span.status.code == 2]
    assert [span.status.message for span in failed] == ["42703"]
    assert SECRET.encode() not in b"".join(
        request.SerializeToString() for request in observed.traces.requests
    )


def test_slow_statements_without_values(observed: Observed) -> None:
    slow = [line for line in observed.log if line.get("logger") == "cubewire.slow"]
    texts = [str(line["sql"]) for line in slow]
    assert any("tail_number <> $1" in text and "traceparent" not in text for text in texts)
    assert any("tail_number <> ?" in text for text in texts)
    first = next(line for line in slow if "$1" in str(line["sql"]))
    assert first["level"] == "warning"
    assert first["relations"] == "flights"
    assert float(str(first["warehouse_ms"])) > 0
    assert SECRET not in json.dumps(observed.log)
