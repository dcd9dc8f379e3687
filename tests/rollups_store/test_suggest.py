"""The advisor: from a log to pre-aggregations that answer its statements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.rollups.query_log import NoStatementsError, read_log
from tests.rollups_store.served import Setup, configure
from tests.rollups_store.support import PARQUET
from tests.support.oracle import OraclePostgres

BY_KIND = "SELECT kind, MEASURE(total) FROM events GROUP BY 1"
BY_WEEK = "SELECT date_trunc('week', moment) AS w, MEASURE(count) FROM events GROUP BY 1"
EXTREMES = "SELECT kind, MEASURE(most) FROM events GROUP BY 1"
BY_ID = "SELECT id, MEASURE(total) FROM events GROUP BY 1"


def line(sql: str, ms: float, **fields: object) -> str:
    known = {"logger": "cubewire.statement", "kind": "cube", "sqlstate": "00000", "cache": "miss"}
    return json.dumps({**known, "sql": sql, "ms": ms, **fields})


@pytest.fixture
def setup(tmp_path: Path, oracle: OraclePostgres) -> Setup:
    """A model without pre-aggregations, and a log."""
    setup = configure(PARQUET, tmp_path / "here", oracle)
    model = setup.folder / "models" / "events.yml"
    model.write_text(model.read_text().partition("    pre_aggregations:")[0])
    lines = [
        *[line(BY_KIND, 1000)] * 3,
        *[line(BY_WEEK, 500)] * 4,
        line(BY_ID, 9000),
        line(BY_KIND, 70_000, cache="memory"),
        line(BY_KIND, 70_000, rollups="events.by_day"),
        line("SELECT no_such FROM events", 70_000),
        "not a line of ours",
    ]
    (setup.folder / "query.log").write_text("\n".join(lines))
    return setup


def suggest(setup: Setup, *arguments: str) -> int:
    log = str(setup.folder / "query.log")
    return main(["rollups", "suggest", "--from", log, "--config", str(setup.config), *arguments])


def found(setup: Setup, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert suggest(setup, "--format", "json", *arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_one_rollup_for_all_that_it_can_answer(
    setup: Setup, capsys: pytest.CaptureFixture[str]
) -> None:
    (only,) = found(setup, capsys)
    assert only["cube"] == "events"
    assert only["pre_aggregation"] == {
        "name": "by_week_kind",
        "measures": ["count", "total"],
        "dimensions": ["kind"],
        "time_dimension": "moment",
        "granularity": "week",
    }
    assert (only["hits"], only["rows"], only["source_rows"]) == (7, 10, 744)
    assert 4.8 < only["saved_seconds"] < only["seconds"] == 5.0


def test_what_it_prints_can_be_pasted(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    assert suggest(setup) == 0
    shown = capsys.readouterr().out
    assert "# 7 statements; 10 rows of 744; saves about" in shown
    model = setup.folder / "models" / "events.yml"
    pasted = "".join(f"    {text}\n" for text in shown.splitlines())
    model.write_text(model.read_text() + pasted)
    assert main(["check", str(model.parent)]) == 0


def test_written_built_and_used(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    found(setup, capsys, "--write")
    config = ["--config", str(setup.config)]
    assert main(["rollups", "build", *config]) == 0
    capsys.readouterr()
    for sql, used in ((BY_KIND, True), (BY_WEEK, True), (BY_ID, False)):
        assert main(["explain", sql, "--format", "json", *config]) == 0
        assert bool(json.loads(capsys.readouterr().out)["Rollups"]) == used
    # What the model answers by now is not suggested again; a further one stands beside it.
    assert found(setup, capsys) == []
    by_hour = (
        "SELECT date_trunc('hour', moment) AS h, kind, MEASURE(count) FROM events GROUP BY 1, 2"
    )
    (setup.folder / "query.log").write_text(line(by_hour, 100))
    assert found(setup, capsys) == []
    (setup.folder / "query.log").write_text(line(EXTREMES, 100))
    (other,) = found(setup, capsys, "--write")
    assert other["pre_aggregation"]["dimensions"] == ["kind"]
    text = (setup.folder / "models" / "events.yml").read_text()
    assert (text.count("pre_aggregations:"), text.count("- name: by_")) == (1, 2)


def test_a_template_is_left_alone(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    model = setup.folder / "models" / "events.yml"
    text = model.read_text() + "# {{ 1 }}\n"
    model.write_text(text)
    assert suggest(setup, "--write") == 2
    assert "is a template" in capsys.readouterr().err
    assert model.read_text() == text


def test_a_log_without_statements_is_refused(
    setup: Setup, capsys: pytest.CaptureFixture[str]
) -> None:
    (setup.folder / "query.log").write_text("level=info ms=3\n")
    assert suggest(setup) == 2
    assert "log.sql" in capsys.readouterr().err
    with pytest.raises(NoStatementsError):
        read_log(["{}", "[]", ""])
