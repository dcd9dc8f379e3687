"""Our server behind pgbouncer, in its session and transaction modes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.conftest import free_port
from tests.e2e.targets import Target
from tests.support.waiting import cancelling

PGBOUNCER = shutil.which("pgbouncer") or next(
    (str(path) for path in (Path("/usr/sbin/pgbouncer"),) if path.exists()), None
)

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]

SETTINGS = """\
[databases]
cubewire = host={host} port={port} dbname={database} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 3
max_prepared_statements = {statements}
server_tls_sslmode = {tls}
server_reset_query = DISCARD ALL
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


@pytest.fixture(scope="module", params=["session", "transaction"])
def bouncer(ours: Target, request: pytest.FixtureRequest) -> Iterator[Target]:
    folder = Path(tempfile.mkdtemp(prefix="bouncer-"))
    listen = free_port()
    settings = SETTINGS.format(
        host=ours.host,
        port=ours.port,
        database=ours.database,
        user=ours.user,
        password=ours.password,
        listen=listen,
        mode=request.param,
        statements=20 if request.param == "transaction" and prepares() else 0,
        tls="require" if request.param == "session" else "disable",
        folder=folder,
    )
    if not prepares():
        settings = settings.replace("max_prepared_statements = 0\n", "")
    (folder / "settings.ini").write_text(settings)
    command = [str(PGBOUNCER), str(folder / "settings.ini")]
    if os.geteuid() == 0:
        # It refuses to run as root.
        os.chown(folder, 65534, 65534)
        process = subprocess.Popen(command, user=65534, group=65534, extra_groups=[])
    else:
        process = subprocess.Popen(command)
    target = replace(ours, port=listen, password="", name=request.param)
    deadline = time.monotonic() + 40
    while True:
        try:
            target.connect().close()
            break
        except psycopg.OperationalError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield target
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder)


def prepares() -> bool:
    """Whether this version follows prepared statements through a pool (1.21 and later)."""
    said = subprocess.run([str(PGBOUNCER), "-V"], capture_output=True, text=True, check=False)
    version = said.stdout.split()[1] if said.stdout.startswith("PgBouncer") else "0.0"
    return tuple(map(int, version.split(".")[:2])) >= (1, 21)


def test_queries(bouncer: Target) -> None:
    with bouncer.connect() as connection:
        assert connection.execute("SELECT count(*) FROM airlines").fetchone() == (16,)
        rows = connection.execute(
            "SELECT carrier, MEASURE(count) FROM flights WHERE month = %s GROUP BY 1", [1]
        ).fetchall()
        assert sum(row[1] for row in rows) == 27004  # type: ignore[misc]


def test_transactions_and_cursors(bouncer: Target) -> None:
    with bouncer.connect(autocommit=False) as connection:
        connection.execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
        with connection.cursor("named") as cursor:
            cursor.execute("SELECT carrier FROM airlines ORDER BY 1")
            assert len(cursor.fetchmany(5)) == 5
        assert connection.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
        connection.rollback()
        assert connection.execute("SHOW TimeZone").fetchone() == ("UTC",)


def test_many_clients_over_few_connections(bouncer: Target) -> None:
    def work(number: int) -> object:
        with bouncer.connect() as connection:
            connection.prepare_threshold = None
            statement = "SELECT count(*) FROM flights WHERE flight_id <= %s"
            rows = connection.execute(statement, [number]).fetchall()
            return rows + connection.execute("SELECT pg_backend_pid()").fetchall()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(work, range(40)))
    assert [rows[0][0] for rows in found] == list(range(40))  # type: ignore[index]
    assert len({rows[1][0] for rows in found}) <= 3  # type: ignore[index]


def test_errors_go_through(bouncer: Target) -> None:
    with bouncer.connect() as connection:
        with pytest.raises(psycopg.errors.UndefinedColumn) as problem:
            connection.execute("SELECT nope FROM flights")
        assert problem.value.diag.statement_position == "8"
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_cancel(bouncer: Target) -> None:
    with bouncer.connect() as connection, ThreadPoolExecutor(1) as threads:
        slow = threads.submit(
            connection.execute, "SELECT count(*) FROM generate_series(1, 2000000000)"
        )
        with pytest.raises(psycopg.errors.QueryCanceled), cancelling(connection):
            slow.result(60)
