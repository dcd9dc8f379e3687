"""A server over a PostgreSQL that tests do things to, with cubes that are cached and not."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import free_port
from tests.reliability.support import cube, dsn
from tests.support.fault_proxy import FaultProxy
from tests.support.oracle import start_oracle
from tests.support.replica import Cluster, taken_over
from tests.support.server import RunningServer, start_server

ROWS = 3_000_000
"""Of the cube ``rows``: some 60 MB, so that they never all lie in buffers on the way."""

VIEWS = (
    "CREATE VIEW rows AS SELECT i::bigint AS id, 'label ' || i AS label"
    f" FROM generate_series(1, {ROWS}) AS i",
    "CREATE VIEW naps AS SELECT 1::bigint AS id, pg_sleep(600)::text AS nap",
    "CREATE VIEW blinks AS SELECT 1::bigint AS id, pg_sleep(0.5)::text AS nap",
    "CREATE TABLE kept AS SELECT 1::bigint AS id, 'kept' AS label",
    "CREATE VIEW fresh AS SELECT id, label, (random() * 1e9)::bigint AS drawn FROM kept",
)
KEY = {"sql": "SELECT count(*) FROM kept", "every": "1 second"}
OTHER_KEY = {"sql": "SELECT count(*) + 1 FROM kept", "every": "1 second"}
CUBES = (
    cube("rows", "distant", label="string"),
    cube("naps", "distant", nap="string"),
    cube("blinks", "distant", nap="string"),
    cube("fresh", "distant", label="string"),
    cube("kept", "distant", label="string"),
    {**cube("keyed", "distant", label="string"), "sql_table": "kept", "refresh_key": KEY},
    {**cube("unkept", "distant"), "sql_table": "kept", "refresh_key": OTHER_KEY},
    cube("tiny", letter="string"),
)
TINY = "CREATE TABLE tiny AS SELECT i AS id, chr(97 + i::INT) AS letter FROM range(10) AS t(i)"


@dataclass
class Scene:
    """A warehouse, the way to it, and the server in front."""

    warehouse: Cluster
    proxy: FaultProxy
    server: RunningServer
    admin_port: int

    def connect(self, user: str = "demo") -> psycopg.Connection[Any]:
        return psycopg.connect(dsn(self.server, user), autocommit=True)

    def metrics(self) -> dict[str, float]:
        """The samples of the source, by name and further labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(r"^(cubewire_warehouse_\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE)
        source = 'data_source="distant"'
        return {
            name + labels.replace(source, "").strip(","): float(number)
            for name, labels, number in found
            if source in labels
        }

    def in_use(self) -> int:
        found = self.metrics()
        return int(found["cubewire_warehouse_slots_in_use"] + found["cubewire_warehouse_waiting"])


@contextlib.contextmanager
def scene(folder: Path, *, pool_size: int = 4, **limits: Any) -> Iterator[Scene]:
    """Use as a context manager; ``limits`` are those of the source ``distant``."""
    warehouse = taken_over(start_oracle(free_port()))
    try:
        for view in VIEWS:
            warehouse.run(view)
        admin_port = free_port()
        with FaultProxy("127.0.0.1", warehouse.port) as proxy:
            file = _configuration(folder, proxy, pool_size, admin_port, limits)
            server = start_server(["--config", str(file)])
            try:
                yield Scene(warehouse, proxy, server, admin_port)
            finally:
                server.stop()
    finally:
        warehouse.remove()


def _configuration(
    folder: Path, proxy: FaultProxy, pool_size: int, admin_port: int, limits: dict[str, Any]
) -> Path:
    models = folder / "models"
    models.mkdir()
    (models / "cubes.yml").write_text(json.dumps({"cubes": CUBES}))
    users = ("demo", "other", "greedy")
    distant = {
        "type": "postgres",
        "dsn": f"postgresql://oracle@127.0.0.1:{proxy.port}/postgres",
        "pool_size": pool_size,
        "retry_seconds": 1,
        "connect_seconds": 3,
    }
    config = {
        "models": str(models),
        "state_directory": str(folder / "state"),
        "auth": {"users": {name: {"password": name} for name in users}},
        "data_sources": {"default": {"type": "duckdb", "setup": [TINY]}, "distant": distant},
        "limits": {"distant": limits},
        "server": {"port": 0, "admin_port": admin_port, "shutdown_grace": 1},
        "cache": {"by_cube": {"kept": "1 h"}, "stale_while_revalidate": "1 h"},
    }
    file = folder / "cubewire.yml"
    file.write_text(json.dumps(config))
    return file
