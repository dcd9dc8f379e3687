"""Test 40: a clock that is wrong, is set while the server runs, and has 23 hours on some days."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import errors

from tests.cache.test_redis import outcome
from tests.reliability.support import until
from tests.support.clock import COMPILER, ClockOfTheDay
from tests.support.server import RunningServer, start_server

pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="no C compiler, or no LD_PRELOAD"
)

HOURS = 7200
BRIEF_SECONDS = 2
KEY = ec.generate_private_key(ec.SECP256R1())
TABLES = (
    "CREATE TABLE things AS SELECT i AS id, i % 3 AS kind FROM range(1, 101) t(i)",
    "CREATE TABLE others AS FROM things",
)
KINDS = "SELECT kind, MEASURE(many) FROM hourly GROUP BY 1"


def cube(name: str, every: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "sql_table": more.pop("table", "things"),
        "refresh_key": {"every": every, **more.pop("key", {})},
        "dimensions": [
            {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
            {"name": "kind", "type": "number", "sql": "{CUBE}.kind"},
        ],
        "measures": [{"name": "many", "type": "count"}],
        **more,
    }


CUBES = [
    cube("brief", f"{BRIEF_SECONDS} seconds"),
    cube("scheduled", "0 * * * *"),
    cube("nightly", "0 3 * * *", key={"timezone": "Europe/Amsterdam"}),
    cube(
        "hourly",
        "1 hour",
        table="others",
        pre_aggregations=[
            {
                "name": "kinds",
                "measures": ["many"],
                "dimensions": ["kind"],
                "refresh_key": {"every": "1 hour"},
            }
        ],
    ),
]


@dataclass
class Scene:
    folder: Path
    clock: ClockOfTheDay
    server: RunningServer

    def connect(self, user: str = "demo", password: str = "demo") -> psycopg.Connection[Any]:
        return psycopg.connect(
            f"host={self.server.host} port={self.server.port} dbname=cubewire sslmode=require",
            user=user,
            password=password,
            autocommit=True,
        )

    def outcome(self, sql: str) -> str:
        return outcome(self.server, sql)

    def built_at(self) -> float:
        """Unix seconds, by the server's clock, of what is stored of the pre-aggregation."""
        manifest = self.folder / "state" / "rollups" / "default" / "manifest.json"
        if not manifest.exists():
            return 0.0
        entries = json.loads(json.loads(manifest.read_text())["content"])["entries"]
        return max((e["built_at"] for e in entries if e["retired_at"] is None), default=0.0)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("clock")
    clock = ClockOfTheDay.make(folder)
    (folder / "models").mkdir()
    (folder / "models" / "cubes.yml").write_text(json.dumps({"cubes": CUBES}))
    public = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}))
    tokens = {
        "user": "machine",
        "tls": "require",
        "method": "jwt",
        "jwks_file": str(folder / "keys.json"),
        "issuer": "tests",
        "audience": "cubewire",
        "algorithms": "ES256",
        "clock_skew": 0,
    }
    configuration = {
        "models": str(folder / "models"),
        "state_directory": str(folder / "state"),
        "server": {"port": 0},
        "auth": {
            "rules": [tokens, {"user": "demo", "method": "scram"}],
            "users": {"demo": {"password": "demo"}},
            "revalidate_seconds": 1,
        },
        "data_sources": {"default": {"type": "duckdb", "setup": list(TABLES)}},
        "rollups": {"interval": 0.2},
    }
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(configuration))
    server = start_server(["--config", str(file)], clock.environment)
    yield Scene(folder, clock, server)
    server.stop()


@pytest.fixture
def scene(started: Scene) -> Iterator[Scene]:
    yield started
    started.clock.set(0)


def token() -> str:
    claims = {"iss": "tests", "aud": "cubewire", "sub": "machine", "exp": time.time() + 60}
    return jwt.encode(claims, KEY, "ES256")


JUMPS = pytest.mark.parametrize("jump", [HOURS, -HOURS], ids=["ahead", "back"])


@JUMPS
def test_results_live_as_long_as_they_should(scene: Scene, jump: int) -> None:
    sql = f"SELECT MEASURE(many) AS jump{jump % 7} FROM brief"
    assert scene.outcome(sql) == "miss"
    stored = time.monotonic()
    assert scene.outcome(sql) == "memory"
    scene.clock.set(jump)
    found = scene.outcome(sql)
    # An invalidation where the clock was set back is no harm; that nothing is kept would be.
    if jump > 0 and time.monotonic() - stored < BRIEF_SECONDS - 0.5:
        assert found == "memory"
    assert scene.outcome(sql) == "memory"
    time.sleep(BRIEF_SECONDS + 0.2)
    assert scene.outcome(sql) == "miss"
    assert scene.outcome(sql) == "memory"


@JUMPS
def test_moments_of_a_schedule(scene: Scene, jump: int) -> None:
    sql = f"SELECT MEASURE(many) AS jump{jump % 7} FROM scheduled"
    assert [scene.outcome(sql) for _ in range(2)] == ["miss", "memory"]
    scene.clock.set(jump)
    # Ahead, full hours have passed. Back, results of what is now the future are not trusted.
    assert [scene.outcome(sql) for _ in range(3)] == ["miss", "memory", "memory"]
    scene.clock.set(0)
    assert [scene.outcome(sql) for _ in range(3)][1:] == ["memory", "memory"]


def test_the_night_that_has_no_third_hour(scene: Scene) -> None:
    # At 01:00 UTC it is 02:00 in Amsterdam, and 03:00.
    change = dt.datetime(2026, 3, 29, 1, tzinfo=dt.UTC).timestamp()
    sql = "SELECT MEASURE(many) AS night FROM nightly"
    scene.clock.show(change - 3600)
    assert [scene.outcome(sql) for _ in range(2)] == ["miss", "memory"]
    scene.clock.show(change - 20)
    assert scene.outcome(sql) == "memory"
    scene.clock.show(change + 1)
    assert [scene.outcome(sql) for _ in range(2)] == ["miss", "memory"]
    scene.clock.show(change + 3 * 3600)
    assert scene.outcome(sql) == "memory"
    scene.clock.show(change + 24 * 3600 + 1)
    assert [scene.outcome(sql) for _ in range(2)] == ["miss", "memory"]


@JUMPS
def test_timeouts_are_not_disturbed(scene: Scene, jump: int) -> None:
    with scene.connect() as client:
        client.execute("SET idle_session_timeout = '60s'")
        client.execute("SET statement_timeout = '700ms'")
        timer = threading.Timer(0.2, scene.clock.set, (jump,))
        timer.start()
        began = time.monotonic()
        with pytest.raises(errors.QueryCanceled):
            client.execute("SELECT pg_sleep(20)")
        assert 0.6 < time.monotonic() - began < 15
        timer.join()
        client.execute("SET statement_timeout = 0")
        time.sleep(1.2)  # those that are idle have been looked for
        assert client.execute("SELECT MEASURE(many) FROM brief").fetchone() == (100,)


def test_tokens_end_by_the_clock_of_the_day(scene: Scene) -> None:
    issued = token()
    scene.clock.set(HOURS)
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        scene.connect("machine", issued)
    scene.clock.set(-HOURS)
    scene.connect("machine", issued).close()
    scene.clock.set(0)
    with scene.connect("machine", issued) as client:
        client.execute("SELECT 1")
        time.sleep(1.2)
        client.execute("SELECT 1")
        scene.clock.set(HOURS)

        def has_ended() -> bool:
            try:
                client.execute("SELECT 1")
            except psycopg.OperationalError:
                return True
            return False

        until(has_ended)


def test_pre_aggregations_are_built_when_they_are_due(scene: Scene) -> None:
    until(lambda: 0 < scene.built_at() < time.time() + 5)
    first = scene.built_at()
    time.sleep(1)
    assert scene.built_at() == first
    scene.clock.set(HOURS)
    until(lambda: scene.built_at() > time.time() + HOURS - 60)
    # What was built by a clock that was ahead would be fresh for three hours.
    scene.clock.set(0)
    until(lambda: 0 < scene.built_at() < time.time() + 5)
    settled = scene.built_at()
    time.sleep(1)
    assert scene.built_at() == settled

    def reads_it() -> bool:
        with scene.connect() as client:
            lines = client.execute(f"EXPLAIN {KINDS}".encode()).fetchall()
        return any("Rollups: hourly.kinds" in str(line) for line in lines)

    until(reads_it)
