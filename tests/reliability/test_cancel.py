"""Test 10: a statement that is cancelled ends at once, here and in the warehouse, and nothing else.

Cancel keys cannot be guessed or replayed, and a request never hits the next statement.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from proxy.wire import backend, frontend
from tests.reliability.support import address, at_rest, dsn, until
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer
from tests.support.waiting import cancelling, repeating

DUCKDB = "SELECT COUNT(*) FROM endless WHERE rest = 3"
DUCKDB_ROWS = "SELECT id, rest FROM endless"
POSTGRES = "SELECT COUNT(*) FROM distant_endless WHERE rest = 3"
POSTGRES_ROWS = "SELECT id, rest FROM distant_endless"
CATALOG = "SELECT count(*) FROM (SELECT generate_series(1, 3000000000)) AS t"
SLEEP = "SELECT pg_sleep(600)"

Connect = Callable[..., psycopg.Connection[tuple[object, ...]]]


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Connect]:
    with contextlib.ExitStack() as stack:

        def open_connection(user: str = "demo") -> psycopg.Connection[tuple[object, ...]]:
            return stack.enter_context(psycopg.connect(dsn(server, user), autocommit=True))

        yield open_connection


def running_in(oracle: OraclePostgres) -> int:
    """Statements of these tests that the warehouse still runs."""
    with psycopg.connect(oracle.dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'"
            " AND query LIKE '%distant_endless%' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def code_of(client: RawClient) -> str:
    """SQLSTATE of the first error up to ReadyForQuery, empty where there is none."""
    errors = [each for each in client.ready() if isinstance(each, backend.ErrorResponse)]
    return errors[0].fields["C"] if errors else ""


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("sql", [DUCKDB, POSTGRES, CATALOG, SLEEP, DUCKDB_ROWS, POSTGRES_ROWS])
def test_cancelled_at_once(
    connect: Connect, oracle: OraclePostgres, server: RunningServer, sql: str, delay: float
) -> None:
    connection = connect()
    asked: list[float] = []

    def cancel() -> None:
        asked.append(time.monotonic())
        connection.cancel_safe()

    with pytest.raises(psycopg.errors.QueryCanceled), repeating(cancel, delay + 0.05, 5.0):
        for _ in connection.cursor().stream(sql):
            pass
    assert time.monotonic() - asked[-1] < 15  # one second, on a machine that does nothing else
    assert connection.execute("SELECT 42").fetchone() == (42,)
    assert connection.execute("SELECT COUNT(*) FROM tiny").fetchone() == (10,)
    if "distant" in sql:
        until(lambda: running_in(oracle) == 0)
    at_rest(server)


def test_cancelled_in_a_transaction(connect: Connect) -> None:
    connection = connect()
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT here")
    with pytest.raises(psycopg.errors.QueryCanceled), cancelling(connection):
        connection.execute(DUCKDB)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("ROLLBACK TO here")
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.execute("COMMIT")


def test_cancelled_while_the_client_does_not_read(server: RunningServer) -> None:
    with address(server).session() as client:
        client.send(frontend.Query(DUCKDB_ROWS))
        client.receive()
        time.sleep(0.7)
        send_cancel(server, client.key)
        time.sleep(0.3)
        at_rest(server)
        assert code_of(client) == "57014"
        assert [type(each) for each in client.query("SELECT 1")][-1] is backend.ReadyForQuery


def test_many_requests_for_one_statement(server: RunningServer, connect: Connect) -> None:
    """A storm of requests interrupts the statement once, and its cleaning up never."""
    rounds = random.Random(1)
    with address(server).session() as client:
        for sql in (DUCKDB, POSTGRES, CATALOG, DUCKDB_ROWS, POSTGRES_ROWS) * 2:
            client.send(frontend.Query(sql))
            time.sleep(rounds.random() * 0.2)
            for _ in range(12):
                send_cancel(server, client.key, wait=False)
            answers = client.ready()
            errors = [each for each in answers if isinstance(each, backend.ErrorResponse)]
            assert [each.fields["C"] for each in errors] == ["57014"], sql
            settle(client)
    at_rest(server)
    # Every warehouse connection and catalog backend has come back: more than there are in all.
    others = [connect() for _ in range(6)]
    for other in others:
        assert other.execute("SELECT COUNT(*) FROM distant_endless WHERE id < 0 AND 1 = 0")


def settle(client: RawClient) -> None:
    """Let late requests arrive while nothing runs."""
    time.sleep(0.1)
    answers = client.query("SELECT 'settled'")
    assert not any(isinstance(each, backend.ErrorResponse) for each in answers)


def test_never_hits_the_next_statement(server: RunningServer) -> None:
    """Requests at random moments around the end of short statements, each followed by another."""
    chance = random.Random(2)
    outcomes = []
    with address(server).session() as client:
        for _ in range(75):
            client.send(frontend.Query("SELECT COUNT(*) FROM numbers WHERE bucket = 7"))
            time.sleep(chance.random() * 0.06)
            send_cancel(server, client.key)  # answered, so it has been carried out
            outcomes.append(code_of(client))
            assert code_of_query(client, "SELECT COUNT(*) FROM tiny") == ""
    assert set(outcomes) <= {"", "57014"}


def code_of_query(client: RawClient, sql: str) -> str:
    client.send(frontend.Query(sql))
    return code_of(client)


def test_an_idle_session_is_not_hit_later(server: RunningServer) -> None:
    with address(server).session() as client:
        for _ in range(20):
            send_cancel(server, client.key)
            assert code_of_query(client, "SELECT 1") == ""
            client.send(frontend.Parse("", "SELECT COUNT(*) FROM tiny"), frontend.Flush())
            client.until(backend.ParseComplete)
            send_cancel(server, client.key)
            client.send(frontend.Bind("", ""), frontend.Execute("", 0), frontend.Sync())
            assert code_of(client) == ""


def test_a_pipeline_is_cancelled_up_to_its_sync(server: RunningServer) -> None:
    def run(sql: str) -> tuple[frontend.FrontendMessage, ...]:
        return frontend.Parse("", sql), frontend.Bind("", ""), frontend.Execute("", 0)

    with address(server).session() as client:
        client.send(*run("SELECT 1"), *run(DUCKDB), *run("SELECT 'skipped'"), frontend.Sync())
        client.send(*run("SELECT 'kept'"), frontend.Sync())
        time.sleep(1)
        send_cancel(server, client.key)
        first, second = client.ready(), client.ready()
        errors = [each.fields["C"] for each in first if isinstance(each, backend.ErrorResponse)]
        assert errors == ["57014"]
        assert [each.values for each in first if isinstance(each, backend.DataRow)] == [(b"1",)]
        assert backend.DataRow((b"kept",)) in second


def send_cancel(
    server: RunningServer,
    key: backend.BackendKeyData | None,
    secret: bytes | None = None,
    *,
    wait: bool = True,
) -> None:
    """A CancelRequest; the server closes without a word once it has been carried out."""
    assert key is not None
    with socket.create_connection((server.host, server.port), 10) as link:
        wanted = key.secret_key if secret is None else secret
        link.sendall(frontend.CancelRequest(key.process_id, wanted).encode())
        if wait:
            assert link.recv(100) == b""


def test_wrong_keys_do_nothing(server: RunningServer) -> None:
    with address(server).session(minor=2) as client, address(server).session() as other:
        key, foreign = client.key, other.key
        assert key is not None
        assert foreign is not None
        assert (len(key.secret_key), len(foreign.secret_key)) == (32, 4)
        client.send(frontend.Query(DUCKDB))
        flipped = bytes([key.secret_key[0] ^ 1]) + key.secret_key[1:]
        wrong = (b"", b"\0" * 4, key.secret_key[:4], key.secret_key[:-1], flipped)
        for secret in (*wrong, foreign.secret_key, key.secret_key + b"\0"):
            if 4 <= len(secret) <= 256:
                send_cancel(server, key, secret)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.receive()
        client.socket.settimeout(10)
        send_cancel(server, key)
        assert code_of(client) == "57014"


def test_keys_differ_and_end_with_their_session(server: RunningServer) -> None:
    keys = []
    for _ in range(20):
        with address(server).session(minor=2) as client:
            assert client.key is not None
            keys.append(client.key)
    assert len({key.secret_key for key in keys}) == len({key.process_id for key in keys}) == 20
    with address(server).session(minor=2) as client:
        client.send(frontend.Query(CATALOG))
        time.sleep(0.2)
        for key in keys:
            send_cancel(server, key)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.receive()
        send_cancel(server, client.key)
        client.socket.settimeout(10)
        assert code_of(client) == "57014"


def pid_of(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    assert row[0] == connection.info.backend_pid
    return int(str(row[0]))


@pytest.mark.parametrize(
    "call",
    [
        ("SELECT pg_cancel_backend({})", ()),
        ("SELECT pg_catalog.pg_cancel_backend(%s)", "bound"),
        ("select * from pg_cancel_backend({}) AS done", ()),
    ],
    ids=["plain", "bound", "from"],
)
def test_pg_cancel_backend(connect: Connect, call: tuple[str, str]) -> None:
    text, how = call
    victim, actor, stranger = connect(), connect(), connect("other")
    pid = pid_of(victim)

    def ask(connection: psycopg.Connection[tuple[object, ...]]) -> object:
        if how == "bound":
            row = connection.execute(text.encode(), (pid,)).fetchone()
        else:
            row = connection.execute(text.format(pid).encode()).fetchone()
        assert row is not None
        return row[0]

    outcome: list[str | None] = []

    def suffer() -> None:
        try:
            victim.execute(DUCKDB)
        except psycopg.Error as error:
            outcome.append(error.sqlstate)

    thread = threading.Thread(target=suffer)
    thread.start()
    time.sleep(0.2)
    with contextlib.suppress(psycopg.Error):
        assert ask(stranger) is False
    time.sleep(0.2)
    assert outcome == []
    # The first request comes too early where a busy machine has not begun by now.
    until(lambda: ask(actor) is True and (thread.join(1) or not thread.is_alive()))
    assert outcome == ["57014"]
    assert victim.execute("SELECT 1").fetchone() == (1,)


def test_pg_terminate_backend(connect: Connect) -> None:
    victim, actor, stranger = connect(), connect(), connect("other")
    pid = pid_of(victim)
    with contextlib.suppress(psycopg.Error):
        assert stranger.execute(f"SELECT pg_terminate_backend({pid})").fetchone() == (False,)
    assert victim.execute("SELECT 1").fetchone() == (1,)
    assert actor.execute(f"SELECT pg_terminate_backend({pid})").fetchone() == (True,)
    with pytest.raises(psycopg.errors.AdminShutdown):
        victim.execute("SELECT 1")
    assert actor.execute(f"SELECT pg_terminate_backend({pid})").fetchone() == (False,)
    assert actor.execute("SELECT 1").fetchone() == (1,)


def test_terminated_while_it_runs(server: RunningServer, connect: Connect) -> None:
    actor = connect()
    for sql in (DUCKDB, DUCKDB_ROWS, POSTGRES_ROWS, CATALOG):
        with address(server).session() as client:
            client.send(frontend.Query(sql))
            time.sleep(0.3)
            assert client.key is not None
            row = actor.execute(f"SELECT pg_terminate_backend({client.key.process_id})").fetchone()
            assert row == (True,)
            answers = client.ready()
            last = answers[-1]
            assert isinstance(last, backend.ErrorResponse)
            assert last.fields["C"] == "57P01"
            assert last.fields["S"] == "FATAL"
    at_rest(server)


def test_a_parsed_call_acts_when_it_is_executed(server: RunningServer) -> None:
    with address(server).session() as client, address(server).session() as victim:
        assert victim.key is not None
        text = f"SELECT pg_terminate_backend({victim.key.process_id})"
        client.send(frontend.Parse("later", text), frontend.Describe("S", "later"), frontend.Sync())
        client.ready()
        assert code_of_query(victim, "SELECT 1") == ""
        client.send(frontend.Bind("", "later"), frontend.Execute("", 0), frontend.Sync())
        answers = client.ready()
        assert [each.values for each in answers if isinstance(each, backend.DataRow)] == [(b"t",)]
        fatal = victim.receive()
        assert isinstance(fatal, backend.ErrorResponse)
        assert fatal.fields["C"] == "57P01"
