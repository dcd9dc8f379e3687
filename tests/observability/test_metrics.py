from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from proxy.observability.metrics import HELP, Metrics
from tests.architecture.sources import ROOT
from tests.observability.test_lines import RECORD


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_everything_is_counted() -> None:
    metrics = Metrics("1.2.3")
    metrics.connection_opened()
    metrics.connection_opened()
    metrics.connection_closed()
    metrics.connection_refused()
    metrics.login(success=True)
    metrics.login(success=False)
    metrics.statement(RECORD)
    read = dataclasses.replace(
        RECORD, cache="memory", relations=("flights", "planes"), roles=("a", "b")
    )
    metrics.statement(read)
    metrics.statement(dataclasses.replace(RECORD, sqlstate="42601", milliseconds=70_000.0))
    metrics.statement_cache(hit=True)
    metrics.warehouse_error("default", "08006")
    metrics.dropped_lines = 4
    found = samples(metrics)
    assert found["cubewire_connections[]"] == 1
    assert found["cubewire_connections_total[('result', 'accepted')]"] == 2
    assert found["cubewire_connections_total[('result', 'refused')]"] == 1
    assert found["cubewire_logins_total[('result', 'failed')]"] == 1
    assert found["cubewire_statements_total[('kind', 'cube'), ('sqlstate_class', '42')]"] == 1
    assert found["cubewire_statement_seconds_count[('kind', 'cube')]"] == 3
    assert found["cubewire_statement_seconds_bucket[('kind', 'cube'), ('le', '0.01')]"] == 0
    assert found["cubewire_statement_seconds_bucket[('kind', 'cube'), ('le', '0.025')]"] == 2
    assert found["cubewire_statement_seconds_bucket[('kind', 'cube'), ('le', '60.0')]"] == 2
    assert found["cubewire_statement_seconds_bucket[('kind', 'cube'), ('le', '+Inf')]"] == 3
    assert round(found["cubewire_statement_stage_seconds_sum[('stage', 'execute')]"], 6) == 0.03
    assert found["cubewire_rows_total[]"] == 9
    assert found["cubewire_bytes_total[]"] == 297
    assert found["cubewire_statement_cache_total[('result', 'hit')]"] == 1
    assert found["cubewire_log_lines_dropped_total[]"] == 4
    assert found["cubewire_build_info[('version', '1.2.3')]"] == 1
    memory = "('cube', 'planes'), ('outcome', 'memory'), ('role', 'b')"
    assert found[f"cubewire_cube_statements_total[{memory}]"] == 1
    assert found["cubewire_cube_bytes_total[('cube', 'flights')]"] == 99
    assert found["cubewire_role_seconds_count[('role', 'a')]"] == 1
    assert found["cubewire_statement_errors_total[('sqlstate', '42601')]"] == 1
    assert found["process_resident_memory_bytes[]"] > 0


def test_labels_are_bounded() -> None:
    metrics = Metrics("x")
    for number in range(1500):
        metrics.warehouse_error(f"source{number}", "08006")
    families = text_string_to_metric_families(metrics.text().decode())
    errors = next(each for each in families if each.name == "cubewire_warehouse_errors")
    assert len(errors.samples) == 1001
    assert max(sample.value for sample in errors.samples) == 500


def test_cubes_and_roles_are_bounded() -> None:
    metrics = Metrics("x", label_values=2)
    for number in range(5):
        read = dataclasses.replace(RECORD, relations=(f"cube{number}",), roles=(f"role{number}",))
        metrics.statement(read)
    found = samples(metrics)
    assert found["cubewire_cube_seconds_count[('cube', 'other')]"] == 3
    assert found["cubewire_role_seconds_count[('role', 'other')]"] == 3
    assert found["cubewire_cube_seconds_count[('cube', 'cube1')]"] == 1
    assert "cubewire_cube_seconds_count[('cube', 'cube2')]" not in found


def test_every_metric_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in HELP if f"`{name}`" not in readme] == []


def test_every_metric_is_exposed() -> None:
    metrics = Metrics("x")
    metrics.cache = SimpleNamespace(
        used=0, evictions=0, redis_available=True, redis_refused_marks=0
    )
    names = {family.name for family in metrics.collect()}
    assert names == {name.removesuffix("_total") for name in HELP}
