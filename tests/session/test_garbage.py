"""What ends is freed at once: sessions, results and connections leave no cycles of objects.

Cycles stay until Python's collector looks at all that is old, which may be minutes. Meanwhile a
session keeps OpenSSL's buffers, and a stopped statement its rows.
"""

from __future__ import annotations

import json
import random
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.scale.world import MODEL
from tests.session.uncollected import FOLDER
from tests.soak.load import Clients
from tests.soak.soak import CONFIGURATION
from tests.support.server import start_server
from tests.support.waiting import until

ROUNDS = 3
OURS = ("proxy.", "connectors.", "ssl.", "_ssl.", "_duckdb.", "duckdb.", "pyarrow.", "asyncio.")
"""Modules of what must not wait for the collector. Syntax trees of sqlglot know their parents."""
LARGE = "SELECT id, status FROM orders"
ORDERS = (
    "CREATE TABLE orders AS SELECT i AS id, i % 2 AS city_id, 'done' AS status, "
    "(i % 1000)::DECIMAL(12, 2) AS amount FROM range(200000) r(i)"
)
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


@dataclass(frozen=True)
class Uncollected:
    """A server without a collector."""

    pid: int
    dsn: str
    folder: Path

    def garbage(self) -> dict[str, int]:
        """What sessions have left, once all have ended, by type."""
        until(lambda: not self._connected())
        # What ends a moment after its connection is seen by the second request.
        left = Counter(self._ask())
        left.update(self._ask())
        return dict(left)

    def _connected(self) -> int:
        sockets = psutil.Process(self.pid).net_connections("tcp")
        port = conninfo_to_dict(self.dsn)["port"]
        return sum(
            each.status == psutil.CONN_ESTABLISHED and str(each.laddr.port) == port
            for each in sockets
        )

    def _ask(self) -> dict[str, int]:
        found = self.folder / "found"
        found.unlink(missing_ok=True)
        (self.folder / "asked").touch()
        until(found.exists)
        return cast("dict[str, int]", json.loads(found.read_text()))


@pytest.fixture(scope="module")
def uncollected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uncollected]:
    folder = tmp_path_factory.mktemp("uncollected")
    folder.chmod(0o755)
    (folder / "models").mkdir()
    (folder / "models" / "orders.yml").write_text(
        MODEL.partition("    access_policy:")[0] % "amount"
    )
    (folder / "cubewire.yml").write_text(json.dumps(CONFIGURATION))
    with duckdb.connect(str(folder / "orders.duckdb")) as connection:
        connection.execute(ORDERS)
    server = start_server(
        ["--config", str(folder / "cubewire.yml")],
        {FOLDER: str(folder)},
        module="tests.session.uncollected",
    )
    try:
        dsn = f"postgresql://anna:anna@{server.host}:{server.port}/cubewire"
        yield Uncollected(server.pid, dsn, folder)
    finally:
        server.stop()


def connect(dsn: str) -> psycopg.Connection:
    return psycopg.connect(dsn, autocommit=True)


def log_in_wrongly(dsn: str) -> None:
    with pytest.raises(psycopg.OperationalError):
        connect(dsn.replace("anna:anna", f"{uuid.uuid4()}:wrong"))  # each has to wait by itself


def begin_no_tls(dsn: str) -> None:
    where = conninfo_to_dict(dsn)
    with socket.create_connection((where["host"], where["port"]), 10) as raw:
        raw.sendall(SSL_REQUEST)
        assert raw.recv(1) == b"S"
        raw.sendall(b"no handshake" * 4)
        with suppress(OSError):
            raw.recv(100)


def copy(dsn: str) -> None:
    with connect(dsn) as connection, connection.cursor().copy(f"COPY ({LARGE}) TO STDOUT") as rows:
        assert len(list(rows)) > 0


def leave_a_cursor(dsn: str) -> None:
    connection = connect(dsn)
    connection.execute("BEGIN")
    connection.execute(f"DECLARE open SCROLL CURSOR FOR {LARGE}")
    assert len(connection.execute("FETCH 10 FROM open").fetchall()) == 10
    connection.pgconn.finish()


def leave_a_table(dsn: str) -> None:
    connection = connect(dsn)
    connection.execute("CREATE TEMPORARY TABLE own AS SELECT id FROM orders WHERE id < 10")
    connection.pgconn.finish()


def prepare(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute("PREPARE one AS SELECT MEASURE(count) FROM orders WHERE id < $1")
        assert connection.execute("EXECUTE one(3)").fetchone() == (3,)
        for bound in range(7):
            sql = "SELECT MEASURE(count) FROM orders WHERE id < %s"
            assert connection.execute(sql, (bound,), prepare=True).fetchone() == (bound,)


def explain(dsn: str) -> None:
    with connect(dsn) as connection:
        assert connection.execute("EXPLAIN ANALYZE SELECT MEASURE(count) FROM orders").fetchall()


def run_into_the_timeout(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute("SET statement_timeout = '30ms'")
        pairs = "SELECT a.id FROM orders a JOIN orders b ON a.city_id = b.city_id LIMIT 1000000000"
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(f"SELECT count(*) FROM ({pairs}) x".encode())


def of_the_soak(name: str) -> Callable[[str], None]:
    """Something that clients of the long run do."""

    def work(dsn: str) -> None:
        clients = Clients(dsn)
        getattr(clients, name)(random.Random(name))

    return work


DOINGS: dict[str, Callable[[str], None]] = {
    **{
        name: of_the_soak(name)
        for name in ("introspect", "ask_again", "ask_anew", "stream", "cancel", "err")
    },
    **{name: of_the_soak(name) for name in ("disconnect", "make_table")},
    "wrong password": log_in_wrongly,
    "no TLS": begin_no_tls,
    "COPY": copy,
    "an open cursor": leave_a_cursor,
    "a temporary table": leave_a_table,
    "prepared statements": prepare,
    "EXPLAIN": explain,
    "timeout": run_into_the_timeout,
}


@pytest.mark.parametrize("name", DOINGS)
def test_nothing_waits_for_the_collector(uncollected: Uncollected, name: str) -> None:
    DOINGS[name](uncollected.dsn)  # loads code, and fills what is kept
    uncollected.garbage()
    for _ in range(ROUNDS):
        DOINGS[name](uncollected.dsn)
    garbage = uncollected.garbage()
    assert {kind: count for kind, count in garbage.items() if kind.startswith(OURS)} == {}


def test_garbage_would_be_seen(uncollected: Uncollected) -> None:
    """A statement that is not kept leaves its syntax tree, whose nodes know their parents."""
    DOINGS["err"](uncollected.dsn)
    assert any(kind.startswith("sqlglot.") for kind in uncollected.garbage())
