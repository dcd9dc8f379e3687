"""Several servers that share a Redis: each shows what all of them do, and ends it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import free_port
from tests.security.shop import start_shop
from tests.support.addresses import free_ports
from tests.support.redis_server import RedisServer
from tests.support.server import RunningServer
from tests.support.waiting import until
from tests.system_tables.conftest import TOKEN, connect
from tests.system_tables.test_commands import cubewire, top

NAMES = ("rome", "oslo")
AWAY = "Redis does not answer: rows of other hosts are missing"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def hosts(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[RunningServer, Path]]]:
    """Two servers with states of their own, as on two machines."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name in NAMES:
            folder = tmp_path_factory.mktemp(name)
            admin_port = free_ports(1)
            running = start_shop(
                folder,
                system_tables={"groups": ["staff"]},
                server={"port": 0, "name": name, "admin_port": admin_port, "admin_token": TOKEN},
                cache={"redis": {"url": redis.url, "secret": "shared"}},
            )
            stack.callback(running.stop)
            made[name] = running, folder
        yield made


@contextlib.contextmanager
def napping(server: RunningServer, application: str) -> Iterator[list[str | None]]:
    """A statement that takes a minute, and the SQLSTATE that it has ended with.

    Args:
        application: which nobody else has, as rows of other hosts are a little old: others see what
            has ended for a while yet.
    """
    ended: list[str | None] = []
    with connect(server, "otto", application_name=application) as connection:

        def run() -> None:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as error:
                ended.append(error.sqlstate)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ended
        finally:
            connection.cancel_safe()
            thread.join(20)


def test_rows_of_all_hosts(hosts: dict[str, tuple[RunningServer, Path]]) -> None:
    with napping(hosts["oslo"][0], "seen"), connect(hosts["rome"][0], "stan") as operator:

        def shown(sql: bytes) -> list[tuple[object, ...]]:
            return operator.execute(sql).fetchall()

        statements = (
            b"SELECT host, worker, login, sql, abs(extract(epoch FROM seen_at - now())) < 10 "
            b"FROM cubewire.statements WHERE application = 'seen'"
        )
        napping_there = [("oslo", 0, "otto", "SELECT pg_sleep(60)", True)]
        until(lambda: shown(statements) == napping_there)
        warnings: list[str | None] = []
        operator.add_notice_handler(lambda diag: warnings.append(diag.message_primary))
        sessions = shown(b"SELECT host, login FROM cubewire.sessions ORDER BY 1")
        assert sessions == [("oslo", "otto"), ("rome", "stan")]
        sources = shown(b"SELECT host FROM cubewire.sources ORDER BY 1")
        assert sources == [("oslo",), ("rome",)]
        assert warnings == []


def test_nothing_can_be_read_in_redis(
    hosts: dict[str, tuple[RunningServer, Path]], redis: RedisServer
) -> None:
    with connect(hosts["rome"][0], "stan") as operator:
        operator.execute("SELECT 'very secret' AS x FROM cubewire.sessions LIMIT 1")
        operator.execute("SELECT * FROM cubewire.statements").fetchall()
        client = redis.client()
        posted = [key for key in client.keys("*") if b":rows:" in key]
        assert len(posted) == len(NAMES)
        assert all(0 < client.pttl(key) <= 10_000 for key in posted)
        for key in posted:
            assert b"secret" not in client.get(key)


def test_a_statement_of_another_host_is_ended(
    hosts: dict[str, tuple[RunningServer, Path]],
) -> None:
    folder = hosts["rome"][1]
    with napping(hosts["oslo"][0], "to be ended") as ended:
        rows: list[dict[str, object]] = []

        def is_shown() -> bool:
            rows[:] = [row for row in top(folder) if row["application"] == "to be ended"]
            return bool(rows)

        until(is_shown)
        assert rows[0]["host"] == "oslo"
        name = str(rows[0]["statement_id"])
        assert cubewire(folder, "kill", name, "--host", "paris").returncode == 1
        assert ended == []
        done = cubewire(folder, "kill", name, "--host", "oslo")
        assert (done.returncode, done.stdout) == (0, f"ended: {name} at oslo\n"), done.stderr
    assert ended == ["57014"]
    again = cubewire(folder, "kill", name, "--host", "oslo")
    assert (again.returncode, again.stderr) == (1, f"no statement {name} is at oslo\n")
    here = cubewire(folder, "kill", name, "--host", "rome")
    assert "is here" in here.stderr


def test_a_session_of_another_host_is_ended(
    hosts: dict[str, tuple[RunningServer, Path]],
) -> None:
    with connect(hosts["oslo"][0], "otto") as connection:
        number = str(connection.info.backend_pid)
        done = cubewire(hosts["rome"][1], "kill", number, "--host", "oslo")
        assert done.returncode == 0, done.stderr
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")


def check_every_way_warns(
    operator: psycopg.Connection, sql: bytes, warnings: list[str | None]
) -> None:
    """Whichever way the rows of a table are read, what is missing is told."""

    def copy() -> list[bytes]:
        with operator.cursor() as reading, reading.copy(b"COPY (%b) TO STDOUT" % sql) as rows:
            return [bytes(piece) for piece in rows]

    def fetch() -> list[object]:
        with operator.transaction(), operator.cursor("c") as cursor:
            return [*cursor.execute(sql).fetchall()]

    ways: dict[str, Callable[[], object]] = {
        "simple": lambda: operator.pgconn.exec_(sql),
        "extended": lambda: operator.execute(sql, prepare=True).fetchall(),
        "copy": copy,
        "cursor": fetch,
    }
    for name, read in ways.items():
        warnings.clear()
        read()
        assert warnings == [AWAY], name


def test_without_redis_each_host_is_alone(
    hosts: dict[str, tuple[RunningServer, Path]], redis: RedisServer
) -> None:
    with connect(hosts["rome"][0], "stan") as operator:
        warnings: list[str | None] = []
        operator.add_notice_handler(lambda diag: warnings.append(diag.message_primary))
        own = b"SELECT DISTINCT host FROM cubewire.sources"
        redis.kill()
        try:
            assert operator.execute(own).fetchall() == [("rome",)]
            assert warnings == [AWAY]
            check_every_way_warns(operator, own, warnings)
            operator.execute("CREATE TEMPORARY TABLE mine AS SELECT 'rome' AS host")
            check_every_way_warns(operator, own, warnings)
            operator.execute("DROP TABLE mine")
            folder = hosts["rome"][1]
            shown = cubewire(folder, "top", "--once")
            assert shown.returncode == 1
            assert "Redis does not answer" in shown.stderr
            told = cubewire(folder, "kill", "7-1", "--host", "oslo")
            assert (told.returncode, told.stderr) == (1, "Redis does not answer\n")
        finally:
            redis.start()
        until(lambda: len(operator.execute(own).fetchall()) == len(NAMES))


def test_a_host_that_has_gone_is_not_shown(
    hosts: dict[str, tuple[RunningServer, Path]],
) -> None:
    hosts["oslo"][0].stop()
    with connect(hosts["rome"][0], "stan") as operator:
        rows = operator.execute("SELECT DISTINCT host FROM cubewire.sources").fetchall()
    assert rows == [("rome",)]
