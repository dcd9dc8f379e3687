"""Statements that fetch several parts of one data source while others write to it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.support.ledgers import (
    SUM,
    TRANSFER,
    Ledger,
    MariaDbLedger,
    PostgresLedger,
    SqliteLedger,
)
from tests.support.mariadb import is_installed, shared_mariadb
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server

CLIENTS = 3
TRIES = 10
"""Of each client."""


def ledgers(oracle: OraclePostgres, folder: Path) -> dict[str, Ledger]:
    """By data source: those whose engine is installed."""
    found: dict[str, Ledger] = {"post": PostgresLedger(oracle), "lite": SqliteLedger(folder)}
    if is_installed():
        found["maria"] = MariaDbLedger(shared_mariadb())
    return found


def cube(data_source: str, table: str) -> dict[str, object]:
    return {
        "name": f"{data_source}_{table}",
        "sql_table": table,
        "data_source": data_source,
        "dimensions": [{"name": "id", "type": "number", "sql": "id", "primary_key": True}],
        "measures": [{"name": "total", "type": "sum", "sql": "n"}],
    }


def question(sources: list[str]) -> str:
    """The sums of both tables of every source, each fetched by itself."""
    parts = [
        f"(SELECT MEASURE(total) FROM {name}_a) + (SELECT MEASURE(total) FROM {name}_b) AS {name}"
        for name in sources
    ]
    return f"SELECT {', '.join(parts)}"


@pytest.fixture(scope="module")
def scene(
    oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, dict[str, Ledger]]]:
    folder = tmp_path_factory.mktemp("snapshots")
    made = ledgers(oracle, folder)
    (folder / "models").mkdir()
    cubes = [cube(name, table) for name in made for table in "ab"]
    (folder / "models" / "ledgers.yml").write_text(yaml.safe_dump({"cubes": cubes}))
    pools = {"post": {"pool_size": 1}, "maria": {"pool_size": 1}}
    config = {
        "models": "models",
        "state_directory": "state",
        "auth": {"users": {"ann": {"password": "ann"}}},
        "data_sources": {
            name: {**ledger.source, **pools.get(name, {})} for name, ledger in made.items()
        },
        "cache": {"enabled": False},
    }
    (folder / "cubewire.yml").write_text(json.dumps(config))
    server = start_server(["--config", str(folder / "cubewire.yml"), "--port", "0"])
    yield server, made
    server.stop()
    for ledger in made.values():
        ledger.remove()


@contextlib.contextmanager
def client(server: RunningServer) -> Iterator[psycopg.Connection[Any]]:
    dsn = f"postgresql://ann:ann@{server.host}:{server.port}/cubewire"
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_sums_are_right_while_others_write(scene: tuple[RunningServer, dict[str, Ledger]]) -> None:
    """Clients who wait for the same connections, one at each source, do not wait for ever."""
    server, made = scene
    sql = question(list(made)).encode()

    def ask() -> list[tuple[int, ...]]:
        with client(server) as ann:
            rows = [ann.execute(sql).fetchone() for _ in range(TRIES)]
        return [tuple(map(int, row or ())) for row in rows]

    with contextlib.ExitStack() as stack:
        for ledger in made.values():
            stack.enter_context(ledger.busy())
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        asked = [pool.submit(ask) for _ in range(CLIENTS)]
        seen = [row for each in asked for row in each.result(60)]
    assert seen == [(SUM,) * len(made)] * (CLIENTS * TRIES)


def test_a_write_between_two_fetches(scene: tuple[RunningServer, dict[str, Ledger]]) -> None:
    """The second fetch waits for a lock until the transfer is committed."""
    server, made = scene
    ledger = made["post"]
    assert isinstance(ledger, PostgresLedger)
    found: list[object] = []

    def ask() -> None:
        with client(server) as ann:
            row = ann.execute(question(["post", "lite"]).encode()).fetchone()
            found.extend(row or ())

    with ledger.connect() as writer:
        with writer.transaction():
            writer.execute("LOCK TABLE b IN ACCESS EXCLUSIVE MODE")
            thread = threading.Thread(target=ask)
            thread.start()
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass"
            deadline = time.monotonic() + 20
            while not writer.execute(waiting.encode()).fetchall():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for statement in TRANSFER:
                writer.execute(statement.encode())
        thread.join(20)
    assert list(map(int, found)) == [SUM, SUM]  # type: ignore[call-overload]


def test_explain_tells_of_snapshots(scene: tuple[RunningServer, dict[str, Ledger]]) -> None:
    server, _ = scene
    sql = f"{question(['post', 'lite'])}"
    with client(server) as ann:
        lines = [row[0] for row in ann.execute(f"EXPLAIN {sql}".encode()).fetchall()]
        assert "Snapshots: one of post, one of lite" in lines
        row = ann.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode()).fetchone()
        assert row is not None
        assert row[0][0]["Snapshots"] == [
            {"Data Source": "post", "One": True},
            {"Data Source": "lite", "One": True},
        ]
        plain = [row[0] for row in ann.execute("EXPLAIN SELECT MEASURE(total) FROM post_a")]
        assert not any(line.startswith("Snapshots") for line in plain)
