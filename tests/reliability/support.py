"""A server over warehouses made for these tests: ten million rows, an endless query, odd words."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support.addresses import Address, server_address
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer, start_server
from tests.support.waiting import until

MB = 1_000_000
HUGE = 10_000_000
"""Rows of the cube ``numbers``."""

VIEWS = (
    "CREATE VIEW numbers AS SELECT i AS id, i % 1000 AS bucket, i / 8.0::DOUBLE AS ratio,"
    f" 'label ' || (i % 100000) AS label, i % 2 = 0 AS even FROM range({HUGE}) AS t(i)",
    "CREATE VIEW payloads AS SELECT i AS id, repeat('x', 1000) AS payload"
    " FROM range(600000) AS t(i)",
    "CREATE VIEW endless AS SELECT i AS id, i * i % 7 AS rest FROM range(100000000000) AS t(i)",
    "CREATE TABLE tiny AS SELECT i AS id, chr(97 + i::INT) AS letter FROM range(10) AS t(i)",
    "CREATE TABLE words (id BIGINT, word VARCHAR)",
)

POSTGRES_VIEWS = (
    "CREATE OR REPLACE VIEW distant_numbers AS SELECT i::bigint AS id, 'label ' || i AS label"
    f" FROM generate_series(1, {HUGE}) AS i",
    "CREATE OR REPLACE VIEW distant_endless AS SELECT i::bigint AS id, i % 7 AS rest"
    " FROM (SELECT generate_series(1, 100000000000) AS i) AS t",
    "CREATE TABLE IF NOT EXISTS distant_words (id bigint, word text)",
)


def cube(name: str, source: str = "", **dimensions: str) -> dict[str, Any]:
    """A cube over the table or view of its name; ``id`` is its key."""
    made: dict[str, Any] = {
        "name": name,
        "sql_table": name,
        "dimensions": [
            {"name": each, "type": kind, "sql": f"{{CUBE}}.{each}"}
            for each, kind in {"id": "number", **dimensions}.items()
        ],
        "measures": [{"name": "total", "type": "count"}],
    }
    made["dimensions"][0] |= {"primary_key": True, "data_type": "bigint"}
    if source:
        made["data_source"] = source
    return made


CUBES = (
    cube("numbers", bucket="number", ratio="number", label="string", even="boolean"),
    cube("payloads", payload="string"),
    cube("endless", rest="number"),
    cube("tiny", letter="string"),
    cube("words", word="string"),
)
DISTANT_CUBES = (
    cube("distant_numbers", "distant", label="string"),
    cube("distant_endless", "distant", rest="number"),
    cube("distant_words", "distant", word="string"),
)


def start(folder: Path, **options: Any) -> RunningServer:
    """Start a server in a folder of its own; options as those of `configuration`."""
    return start_server(["--config", str(configuration(folder, **options))])


def configuration(
    folder: Path,
    *,
    oracle: OraclePostgres | None = None,
    words: Mapping[int, str] | None = None,
    **settings: object,
) -> Path:
    """Write the configuration file of a server, and its model.

    Args:
        folder: where.
        oracle: a PostgreSQL that becomes its second warehouse, ``distant``.
        words: content of the cube ``words``.
        settings: by dotted key with ``__`` for the dot: ``server__max_connections``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = folder / "models"
    models.mkdir(exist_ok=True)
    cubes = [*CUBES]
    sources: dict[str, dict[str, object]] = {
        "default": {"type": "duckdb", "setup": [*VIEWS, *_filled(words or {})]}
    }
    if oracle is not None:
        with psycopg.connect(oracle.dsn, autocommit=True) as connection:
            for view in POSTGRES_VIEWS:
                connection.execute(view.encode())
        cubes += DISTANT_CUBES
        sources["distant"] = {"type": "postgres", "dsn": oracle.dsn, "pool_size": 4}
    (models / "cubes.yml").write_text(json.dumps({"cubes": cubes}))
    config: dict[str, Any] = {
        "models": str(models),
        "state_directory": str(folder / "state"),
        "auth": {"users": {name: {"password": name} for name in ("demo", "other")}},
        "data_sources": sources,
        "server": {"port": 0},
    }
    for key, value in settings.items():
        place = config
        *parents, last = key.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(config, ensure_ascii=False))
    return file


def _filled(words: Mapping[int, str]) -> list[str]:
    quoted = [f"({key}, '{word.replace(chr(39), chr(39) * 2)}')" for key, word in words.items()]
    return [f"INSERT INTO words VALUES {', '.join(quoted)}"] if quoted else []


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[RunningServer]:
    """`start`, and stopped again."""
    server = start(folder, **options)
    try:
        yield server
    finally:
        server.stop()


def address(server: RunningServer, user: str = "demo") -> Address:
    """A login of the server: its password is its name."""
    found = server_address(server)
    return Address("proxy", found.host, found.port, user, found.database, user)


def dsn(server: RunningServer, user: str = "demo", **options: object) -> str:
    """For psycopg. Without TLS unless asked for, so that nothing else is measured."""
    given = {"sslmode": "disable", **options}
    text = " ".join(f"{name}={value}" for name, value in given.items())
    where = f"host={server.host} port={server.port} dbname=cubewire"
    return f"{where} user={user} password={user} {text}"


def resident(server: RunningServer) -> int:
    """Bytes of the server's own process in RAM, without its children."""
    return int(psutil.Process(server.pid).memory_info().rss)


def processor_seconds(server: RunningServer) -> float:
    """Processor time of the server's own process, DuckDB's threads included."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def at_rest(server: RunningServer, seconds: float = 10.0) -> float:
    """Wait until nothing computes in the server's process; returns how long it took.

    DuckDB's threads are in it: what was cancelled is then gone.
    """

    def is_idle() -> bool:
        before = processor_seconds(server)
        time.sleep(0.25)
        return processor_seconds(server) - before < 0.1

    return until(is_idle, seconds)
