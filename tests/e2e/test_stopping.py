"""Statements over a cube that never end: cancelled, timed out, abandoned, not read."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from proxy.wire import backend, frontend
from tests.e2e.targets import Target
from tests.support.raw_client import RawClient
from tests.support.waiting import cancelling

ENDLESS = "SELECT count(*) FROM numbers WHERE n % 7 = 3"
STREAM = "SELECT n FROM numbers"
AT_ONCE = 20.0


@pytest.fixture
def client(shop: Target) -> Iterator[RawClient]:
    connected = RawClient.connect(shop.host, shop.port)
    connected.startup(shop.user, shop.database, shop.password)
    yield connected
    connected.close()


def assert_free(shop: Target) -> None:
    """The warehouse has nothing else to do: an ordinary query is answered at once."""
    with shop.connect() as connection:
        started = time.monotonic()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)
        assert time.monotonic() - started < AT_ONCE


def test_cancel(shop: Target) -> None:
    with shop.connect() as connection:
        started = time.monotonic()
        canceled = pytest.raises(psycopg.errors.QueryCanceled, match="user request")
        with canceled, cancelling(connection):
            connection.execute(ENDLESS)
        assert time.monotonic() - started < AT_ONCE
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (20,)
    assert_free(shop)


def test_cancel_of_a_stream(shop: Target) -> None:
    def read_and_cancel(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        for row in connection.cursor().stream(STREAM):
            if row[0] == 1000:
                connection.cancel_safe()

    with shop.connect() as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            read_and_cancel(connection)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert_free(shop)


@pytest.mark.parametrize("statement", [ENDLESS, STREAM])
def test_statement_timeout(shop: Target, statement: str) -> None:
    with shop.connect() as connection, connection.cursor() as cursor:
        connection.execute("SET statement_timeout = '300ms'")
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            for _ in cursor.stream(statement.encode()):
                pass
        assert 0.2 < time.monotonic() - started < AT_ONCE
        connection.execute("RESET statement_timeout")
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (500,)


def test_timeout_in_a_block_fails_it(shop: Target) -> None:
    with shop.connect(autocommit=False) as connection:
        connection.execute("SET LOCAL statement_timeout = 200")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(ENDLESS)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize("statement", [ENDLESS, STREAM])
def test_client_that_goes_away(shop: Target, client: RawClient, statement: str) -> None:
    """What ran for it is stopped, or the warehouse would be busy for good."""
    client.send(frontend.Query(statement))
    time.sleep(0.4)
    client.socket.shutdown(socket.SHUT_RDWR)
    time.sleep(0.3)
    for _ in range(4):
        assert_free(shop)


def test_client_that_does_not_read(shop: Target, client: RawClient) -> None:
    """Its rows wait in the warehouse; others are served; then it goes on where it was."""
    client.send(frontend.Query(STREAM))
    time.sleep(1.0)
    assert_free(shop)
    numbers = []
    while len(numbers) < 200_000:
        message = client.receive()
        if isinstance(message, backend.DataRow):
            numbers.append(message.values[0])
    assert numbers[-1] == b"199999"


def test_portal_that_is_left_open(shop: Target, client: RawClient) -> None:
    """A suspended portal holds its statement open without running it."""
    client.query("BEGIN")
    said = client.exchange(
        frontend.Parse("", STREAM, ()),
        frontend.Bind("p", "", (), (), ()),
        frontend.Execute("p", 3),
        frontend.Sync(),
    )
    assert [m.values for m in said if isinstance(m, backend.DataRow)] == [(b"0",), (b"1",), (b"2",)]
    assert_free(shop)
    said = client.exchange(frontend.Execute("p", 2), frontend.Sync())
    assert [m.values for m in said if isinstance(m, backend.DataRow)] == [(b"3",), (b"4",)]
    said = client.query("ROLLBACK")
    assert isinstance(said[-1], backend.ReadyForQuery)
    assert_free(shop)


def test_many_slow_statements_leave_room(shop: Target) -> None:
    """Four statements that never end do not keep a small one waiting."""
    slow = [shop.connect() for _ in range(4)]
    threads = [threading.Thread(target=_run, args=(connection,)) for connection in slow]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    try:
        assert_free(shop)
        with shop.connect() as connection:
            assert connection.execute("SELECT relname FROM pg_class LIMIT 1").fetchone()
    finally:
        with contextlib.ExitStack() as stack:
            for connection in slow:
                stack.enter_context(cancelling(connection))
            for thread in threads:
                thread.join()
        for connection in slow:
            connection.close()


def _run(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(ENDLESS)
