"""A server over a primary and a replica: what is cached is never older than it is said to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import free_port
from tests.reliability.support import cube, dsn, until
from tests.support.oracle import start_oracle
from tests.support.replica import Cluster, replica_of, taken_over
from tests.support.server import start_server

KEY = {"sql": "SELECT n FROM kept", "every": "1 second"}
CUBES = (
    {**cube("keyed", n="number"), "refresh_key": KEY},
    cube("plain", n="number", replica="boolean"),
)

pytestmark = pytest.mark.slow


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    server = start_oracle(free_port())
    primary = taken_over(server)
    primary.run("CREATE TABLE kept AS SELECT 1::bigint AS id, 0 AS n")
    primary.run("CREATE VIEW keyed AS SELECT id, n FROM kept")
    primary.run("CREATE VIEW plain AS SELECT id, n, pg_is_in_recovery() AS replica FROM kept")
    replica = replica_of(server, free_port())
    yield primary, replica
    replica.remove()
    primary.remove()


def configuration(folder: Path, primary: Cluster, replica: Cluster) -> Path:
    models = folder / "models"
    models.mkdir()
    (models / "cubes.yml").write_text(json.dumps({"cubes": CUBES}))
    source = {"type": "postgres", "dsn": primary.dsn, "replicas": [replica.dsn]}
    config = {
        "models": str(models),
        "state_directory": str(folder / "state"),
        "auth": {"users": {"demo": {"password": "demo"}}},
        "data_sources": {"default": {**source, "max_replica_lag": "1 h"}},
        "server": {"port": 0},
    }
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(config))
    return file


def test_a_changed_refresh_key_is_not_answered_by_a_replica_that_lacks_the_change(
    pair: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    primary, replica = pair
    server = start_server(["--config", str(configuration(tmp_path, primary, replica))])
    try:
        with psycopg.connect(dsn(server), autocommit=True) as client:

            def value(sql: str) -> Any:
                row = client.execute(sql.encode()).fetchone()
                assert row is not None
                return row[0]

            until(lambda: value("SELECT replica FROM plain") is True)
            assert value("SELECT n FROM keyed") == 0
            replica.run("SELECT pg_wal_replay_pause()")
            for number in (1, 2):
                primary.run(f"UPDATE kept SET n = {number}")
                # As soon as the change is heard of, and not the old value under the new key.
                until(lambda number=number: value("SELECT n FROM keyed") == number)
            assert value("SELECT replica FROM plain") is False
            replica.run("SELECT pg_wal_replay_resume()")
            until(lambda: value("SELECT replica FROM plain") is True)
            assert value("SELECT n FROM keyed") == 2
    finally:
        server.stop()
