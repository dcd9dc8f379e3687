"""Pre-aggregations in a running server: used, refreshed, bypassed, missed, and dropped under it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.rollups_store.served import (
    HOURS,
    TOTALS,
    configure,
    connect,
    explain,
    served,
)
from tests.rollups_store.support import KINDS, POSTGRES
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer
from tests.support.waiting import until

HALF = HOURS // 2
ANSWER = [("am", HALF, HOURS), ("pm", HALF, HOURS)]
USED = ["events.by_day"]


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("served")
    with served(configure(request.param, folder, oracle)) as running:
        yield running


def built(server: RunningServer) -> psycopg.Connection[tuple[object, ...]]:
    client = connect(server)
    until(lambda: explain(client)["Rollups"] == USED)
    return client


def test_the_refresher_builds_and_statements_use_it(server: RunningServer) -> None:
    with built(server) as client:
        assert client.execute(TOTALS).fetchall() == ANSWER
        client.execute("SET cubewire.rollups = off")
        assert client.execute("SHOW cubewire.rollups").fetchall() == [("off",)]
        assert explain(client)["Rollups"] == []
        assert client.execute(TOTALS).fetchall() == ANSWER


def test_the_log_names_what_was_read(server: RunningServer) -> None:
    with built(server) as client:
        client.execute(TOTALS)

    def logged() -> list[object]:
        lines = [json.loads(line) for line in server.log if TOTALS in line]
        return [line.get("rollups") for line in lines if not line["sql"].startswith("EXPLAIN")]

    until(lambda: "events.by_day" in logged())


def test_only_refuses_what_is_not_stored(server: RunningServer) -> None:
    with built(server) as client:
        client.execute("SET cubewire.rollups = 'only'")
        assert client.execute(TOTALS).fetchall() == ANSWER
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            client.execute("SELECT id, MEASURE(count) FROM events GROUP BY 1")
        assert "events.by_day" in (caught.value.diag.message_detail or "")
        client.execute("SET cubewire.rollups = on")
        row = client.execute("SELECT count(*) FROM (SELECT id FROM events) AS e").fetchone()
        assert row == (HOURS,)


def test_data_older_than_the_session_wants_are_not_used(server: RunningServer) -> None:
    with built(server) as client:
        client.execute("SET cubewire.max_staleness = '1 day'")
        assert explain(client)["Rollups"] == USED
        client.execute("SET cubewire.max_staleness = '0'")
        assert explain(client)["Rollups"] == []
        assert client.execute(TOTALS).fetchall() == ANSWER
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            client.execute("SET cubewire.max_staleness = 'soon'")


def test_a_prepared_statement_outlives_many_refreshes(server: RunningServer) -> None:
    sql = "SELECT kind, MEASURE(count), MEASURE(total) FROM events WHERE kind = %s GROUP BY 1"
    with built(server) as client:
        seen = set()

        def is_refreshed_often() -> bool:
            assert client.execute(sql, ("am",), prepare=True).fetchall() == ANSWER[:1]
            seen.add(explain(client)["SQL"])
            return len(seen) > 3

        until(is_refreshed_often)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_that_vanish_are_done_without(
    kind: str, tmp_path: Path, oracle: OraclePostgres
) -> None:
    setup = configure(kind, tmp_path / "served", oracle, every="1 day", poll=3600, interval=3600)
    with served(setup) as server, connect(server) as client:
        client.execute("SET cubewire.cache = 'off'")
        until(lambda: explain(client)["Rollups"] == USED)
        assert client.execute(TOTALS).fetchall() == ANSWER
        setup.drop()
        assert client.execute(TOTALS).fetchall() == ANSWER
        assert explain(client)["Rollups"] == []
        assert client.execute(TOTALS).fetchall() == ANSWER


def test_answers_under_load_are_never_torn(tmp_path: Path, oracle: OraclePostgres) -> None:
    """Rows come in tens, in one transaction; whoever reads sees whole tens, and in order."""
    setup = configure(POSTGRES, tmp_path / "load", oracle, grace=0.5)
    counts: list[list[int]] = []
    with served(setup, "--workers", "2") as server:
        stop = threading.Event()

        def read() -> None:
            seen: list[int] = []
            counts.append(seen)
            with connect(server) as client:
                while not stop.is_set():
                    rows = client.execute(TOTALS).fetchall()
                    assert all(total == 2 * count for _, count, total in rows)
                    seen.append(sum(int(str(row[1])) for row in rows))

        with connect(server) as client:
            until(lambda: explain(client)["Rollups"] == USED)
        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        tens = 0
        with psycopg.connect(setup.dsn, autocommit=True) as owner:
            # A busy machine may build once for many changes.
            while tens < 8 or len({count for seen in counts for count in list(seen)}) < 4:
                owner.execute(
                    "INSERT INTO served_events SELECT %s * 100 + i, '2013-01-15 05:00:00+00', 'am',"
                    " 2 FROM generate_series(1, 10) AS t(i)",
                    (tens,),
                )
                tens += 1
                time.sleep(0.4)
        until(lambda: all(seen and seen[-1] == HOURS + 10 * tens for seen in counts))
        stop.set()
        for reader in readers:
            reader.join()
    assert all((count - HOURS) % 10 == 0 for seen in counts for count in seen)
    assert sum(map(len, counts)) > 100
