"""Kinds of pre-aggregations besides rollups: rows of a cube's own SQL, tables of others."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import duckdb
import psycopg
import pytest

from proxy.cli import main
from tests.rollups_store.served import HOURS, Setup, configure, connect, explain, served
from tests.rollups_store.support import KINDS, PARQUET
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer
from tests.support.waiting import until

MODEL = """
  - name: mornings
    sql: SELECT id, moment, kind, n FROM served_events WHERE kind = 'am'
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: moment, type: time, data_type: timestamptz, sql: "{CUBE}.moment"}
    measures:
      - {name: total, type: sum, sql: "{CUBE}.n"}
    pre_aggregations:
      - name: rows
        type: original_sql
        time_dimension: moment
        partition_granularity: week
        refresh_key: {every: 1 hour, incremental: true, update_window: 1 day}
  - name: given
    # Other rows than those of the other cubes, whose rollups would answer, too.
    sql: SELECT id, kind FROM served_events
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: kind, type: string, sql: "{CUBE}.kind"}
    measures:
      - {name: count, type: count}
    pre_aggregations:
      - {name: by_kind, measures: [count], dimensions: [kind], table: given_by_kind}
  # Over the rows of events, of which a day's totals are stored every hour.
  - name: recent
    sql_table: served_events
    refresh_key: {every: 1 second}
    dimensions: &kinds
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: kind, type: string, sql: "{CUBE}.kind"}
    measures: &counted
      - {name: count, type: count}
  - name: settled
    sql_table: served_events
    refresh_key: {immutable: true}
    dimensions: *kinds
    measures: *counted
  - name: estimated
    sql_table: served_events
    dimensions:
      - {name: id, type: number, sql: "{CUBE}.id", primary_key: true}
      - {name: kind, type: string, sql: "{CUBE}.kind"}
      - {name: moment, type: time, data_type: timestamptz, sql: "{CUBE}.moment"}
    measures:
      - {name: ids, type: count_distinct_approx, sql: "{CUBE}.id"}
      - {name: middle, type: median, sql: "{CUBE}.id", approximate: true}
    pre_aggregations:
      - name: by_day
        measures: [ids, middle]
        dimensions: [kind]
        time_dimension: moment
        granularity: day
        partition_granularity: month
        refresh_key: {every: 1 hour}
"""
GIVEN = "CREATE TABLE given_by_kind AS SELECT kind, COUNT(*) AS count FROM served_events GROUP BY 1"
BY_KIND = "SELECT kind, MEASURE(count) FROM given GROUP BY 1 ORDER BY 1"
WEEKS = 5
TOTAL = "SELECT MEASURE(total) FROM mornings"


@pytest.fixture(scope="module", params=KINDS)
def setup(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Setup:
    setup = configure(request.param, tmp_path_factory.mktemp("here") / "it", oracle, every="1 hour")
    model = setup.folder / "models" / "events.yml"
    model.write_text(model.read_text() + MODEL)
    if setup.kind == PARQUET:
        with duckdb.connect(setup.folder / "events.duckdb") as database:
            database.execute(GIVEN)
    else:
        with psycopg.connect(setup.dsn, autocommit=True) as owner:
            owner.execute(GIVEN)
    return setup


@pytest.fixture(scope="module")
def server(setup: Setup) -> Iterator[RunningServer]:
    """Over rows that have been stored beforehand by the command."""
    parts = _build(setup)
    assert {part["status"] for part in parts} == {"built"}
    assert len(parts) == WEEKS
    assert sum(part["rows"] for part in parts) == HOURS // 2
    # Whose week is over is not built again; the last one has no end.
    again = [part["status"] for part in _build(setup, "--from", "2013-01-07", "--to", "2013-01-21")]
    assert again == ["kept", "kept"]
    with served(setup) as running:
        yield running


def _build(setup: Setup, *arguments: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        config = ["--config", str(setup.config), "--format", "json"]
        assert main(["rollups", "build", "mornings.rows", *arguments, *config]) == 0
    parts: list[dict[str, Any]] = json.loads(out.getvalue())
    return parts


MIDDLE = "SELECT kind, MEASURE(middle) FROM estimated GROUP BY 1 ORDER BY 1"
ESTIMATED = "SELECT kind, MEASURE(ids), MEASURE(middle) FROM estimated GROUP BY 1 ORDER BY 1"


def test_sketches_of_days_are_merged(setup: Setup, server: RunningServer) -> None:
    """The warehouse of this test that is PostgreSQL has no extension: there it counts exactly."""
    with connect(server) as client:
        client.execute("SET cubewire.rollups = off")
        from_rows = client.execute(ESTIMATED).fetchall()
        client.execute("SET cubewire.rollups = on")
        if setup.kind == PARQUET:
            until(lambda: explain(client, ESTIMATED)["Rollups"] == ["estimated.by_day"])
            assert "COMBINE_AGGR" in str(explain(client, ESTIMATED)["SQL"])
        assert client.execute(ESTIMATED).fetchall() == from_rows
        until(lambda: explain(client, MIDDLE)["Rollups"] == ["estimated.by_day"])
        assert client.execute(MIDDLE).fetchall() == [(row[0], row[2]) for row in from_rows]
    for _, ids, middle in from_rows:
        assert isinstance(ids, int)
        assert isinstance(middle, float)
        assert abs(ids - HOURS // 2) <= (60 if setup.kind == PARQUET else 0)
        assert abs(middle - 1358337600) <= 0.01 * 1358337600


def test_rows_of_a_cubes_sql_and_tables_of_others(setup: Setup, server: RunningServer) -> None:
    with connect(server) as client:
        until(lambda: explain(client, TOTAL)["Rollups"] == ["mornings.rows"])
        assert client.execute(TOTAL).fetchall() == [(HOURS,)]
        week = f"{TOTAL} WHERE moment >= '2013-01-07 00:00Z' AND moment < '2013-01-14 00:00Z'"
        assert "UNION" in str(explain(client, TOTAL)["SQL"])
        assert explain(client, week)["Rollups"] == ["mornings.rows"]
        assert "UNION" not in str(explain(client, week)["SQL"])
        assert client.execute(week).fetchall() == [(7 * 24,)]
        expected: list[Any] = [("am", HOURS // 2), ("pm", HOURS // 2)]
        assert explain(client, BY_KIND)["Rollups"] == ["given.by_kind"]
        assert client.execute(BY_KIND).fetchall() == expected
        # How old it is nobody knows.
        client.execute("SET cubewire.max_staleness = '1 day'")
        assert explain(client, BY_KIND)["Rollups"] == []
        client.execute("RESET cubewire.max_staleness")
        assert explain(client, BY_KIND)["Rollups"] == ["given.by_kind"]
        client.execute("SET cubewire.rollups = off")
        assert explain(client, BY_KIND)["Rollups"] == []
        assert client.execute(BY_KIND).fetchall() == expected
        client.execute("SET cubewire.rollups = on")
        if setup.kind != PARQUET:
            client.execute("SET cubewire.cache = 'off'")
            with psycopg.connect(setup.dsn, autocommit=True) as owner:
                owner.execute("DROP TABLE given_by_kind")
            assert client.execute(BY_KIND).fetchall() == expected


def test_another_cubes_freshness_is_kept(setup: Setup, server: RunningServer) -> None:
    expected = [("am", HOURS // 2), ("pm", HOURS // 2)]
    sql = "SELECT kind, MEASURE(count) FROM {} GROUP BY 1 ORDER BY 1"
    with connect(server) as client:
        until(lambda: explain(client, sql.format("settled"))["Rollups"] == ["events.by_day"])
        time.sleep(1.0)  # for which the other one's data may be old
        found = explain(client, sql.format("recent"))
        assert found["Rollups"] == []
        assert "its data may be older than recent declares" in str(found)
        client.execute("SET cubewire.max_staleness = '1 hour'")
        assert explain(client, sql.format("recent"))["Rollups"] == ["events.by_day"]
        for cube in ("settled", "recent"):
            assert client.execute(sql.format(cube)).fetchall() == expected  # type: ignore[arg-type]
