"""Limits are named where they are hit, and timeouts end what is silent, with PostgreSQL's codes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest

from proxy.wire import backend, frontend
from tests.reliability.support import address, at_rest, dsn, serving, until
from tests.support.raw_client import RawClient, StartupError
from tests.support.server import RunningServer

LIMITS = {
    "server__max_prepared_statements": 5,
    "server__max_portals": 4,
    "server__max_cursor_bytes": 20_000,
    "server__max_message_bytes": 100_000,
    "server__max_connections": 8,
    "server__idle_timeout": 3,
    "server__idle_in_transaction_timeout": 2,
    "server__statement_timeout": 4,
    "parser__max_sql_bytes": 50_000,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("small"), **LIMITS) as running:
        yield running


@pytest.fixture
def client(small: RunningServer) -> Iterator[RawClient]:
    with contextlib.ExitStack() as stack:
        opened: list[RawClient] = []

        def log_in() -> bool:
            with contextlib.suppress(StartupError):
                opened.append(_log_in(stack, small))
            return bool(opened)

        until(log_in)  # connections of the test before may still be ending
        yield opened[0]


def error_of(answers: list[backend.BackendMessage]) -> dict[str, str]:
    errors = [dict(each.fields) for each in answers if isinstance(each, backend.ErrorResponse)]
    assert len(errors) == 1, answers
    return errors[0]


def words(error: dict[str, str]) -> str:
    return f"{error['M']} {error.get('D', '')} {error.get('H', '')}"


def still_usable(client: RawClient) -> None:
    assert backend.DataRow((b"1",)) in client.query("SELECT 1")


def test_prepared_statements(client: RawClient) -> None:
    for number in range(5):
        client.exchange(frontend.Parse(f"s{number}", "SELECT 1"), frontend.Sync())
    error = error_of(client.exchange(frontend.Parse("s5", "SELECT 1"), frontend.Sync()))
    assert error["C"] == "54000"
    assert "max_prepared_statements" in words(error)
    assert "5" in error["M"]
    error = error_of(client.query("PREPARE s6 AS SELECT 1"))
    assert error["C"] == "54000"
    assert "max_prepared_statements" in words(error)
    still_usable(client)
    # The unnamed one is no part of it, and one that is closed makes room.
    client.send(frontend.Parse("", "SELECT 1"), frontend.Close("S", "s0"))
    answers = client.exchange(frontend.Parse("s5", "SELECT 1"), frontend.Sync())
    assert not any(isinstance(each, backend.ErrorResponse) for each in answers)
    client.query("DEALLOCATE ALL")
    client.query("PREPARE s6 AS SELECT 1")
    assert backend.DataRow((b"1",)) in client.query("EXECUTE s6")


def test_portals(client: RawClient) -> None:
    client.query("BEGIN")
    client.exchange(frontend.Parse("s", "SELECT id FROM tiny"), frontend.Sync())
    for number in range(4):
        client.exchange(frontend.Bind(f"p{number}", "s"), frontend.Sync())
    error = error_of(client.exchange(frontend.Bind("p4", "s"), frontend.Sync()))
    assert error["C"] == "54000"
    assert "max_portals" in words(error)
    client.query("ROLLBACK")
    client.query("BEGIN")
    for number in range(4):
        client.query(f"DECLARE c{number} CURSOR FOR SELECT id FROM tiny")
    error = error_of(client.query("DECLARE c4 CURSOR FOR SELECT id FROM tiny"))
    assert error["C"] == "54000"
    assert "max_portals" in words(error)
    client.query("ROLLBACK")
    still_usable(client)


def test_bytes_that_cursors_keep(client: RawClient) -> None:
    """One large cursor, or several that are large together."""
    client.query("BEGIN")
    client.query("DECLARE c SCROLL CURSOR FOR SELECT id, label FROM numbers")
    error = error_of(client.query("FETCH 5000 FROM c"))
    assert error["C"] == "53200"
    assert "max_cursor_bytes" in words(error)
    client.query("ROLLBACK")
    client.query("BEGIN")
    codes = []
    for number in range(4):
        sql = f"DECLARE c{number} SCROLL CURSOR FOR SELECT id, label FROM numbers LIMIT 250"
        client.query(sql)
        answers = client.query(f"FETCH ALL FROM c{number}")
        codes += [each.fields["C"] for each in answers if isinstance(each, backend.ErrorResponse)]
    assert "53200" in codes
    client.query("ROLLBACK")
    client.query("BEGIN")
    client.query("DECLARE c NO SCROLL CURSOR FOR SELECT id, label FROM numbers LIMIT 5000")
    assert backend.CommandComplete("FETCH 5000") in client.query("FETCH ALL FROM c")
    client.query("ROLLBACK")
    still_usable(client)


@pytest.mark.parametrize("message", ["query", "parse", "bind", "promise"])
def test_message_bytes(client: RawClient, message: str) -> None:
    filler = "x" * 120_000
    made = {
        "query": frontend.Query(f"SELECT '{filler}'").encode(),
        "parse": frontend.Parse("", f"SELECT '{filler}'").encode(),
        "bind": frontend.Bind("", "", (), (filler.encode(),)).encode(),
        "promise": b"Q" + (2**30).to_bytes(4, "big"),
    }
    client.send(made[message])
    error = error_of(client.until(backend.ReadyForQuery))
    assert error["S"] == "FATAL"
    assert error["C"] in ("54000", "08P01")
    assert "server.max_message_bytes" in words(error)
    assert client.receive() is None


def test_sql_bytes(client: RawClient) -> None:
    error = error_of(client.query(f"SELECT '{'x' * 60_000}' FROM tiny"))
    assert error["C"] == "54000"
    assert "max_sql_bytes" in words(error)
    still_usable(client)


def test_connections(small: RunningServer) -> None:
    with contextlib.ExitStack() as stack:
        clients = []
        refused: list[dict[str, str]] = []
        while not refused and len(clients) < 20:
            try:
                clients.append(_log_in(stack, small))
            except StartupError as error:
                refused.append(dict(error.fields))
        assert len(clients) == 8
        assert refused[0]["C"] == "53300"
        assert refused[0]["S"] == "FATAL"
        assert refused[0]["M"] == "sorry, too many clients already"
        # A request to cancel is no session, and the others go on.
        still_usable(clients[3])
        victim = clients[0]
        assert victim.key is not None
        victim.send(frontend.Query("SELECT COUNT(*) FROM endless WHERE rest = 3"))
        time.sleep(0.3)
        with address(small).connect() as request:
            key = victim.key
            request.send(frontend.CancelRequest(key.process_id, key.secret_key))
            assert request.receive() is None
        assert error_of(victim.ready())["C"] == "57014"
        clients[1].close()
        until(lambda: _can_log_in(small))


def _log_in(stack: contextlib.ExitStack, server: RunningServer) -> RawClient:
    client = stack.enter_context(address(server).connect())
    client.startup("demo", "cubewire", "demo")
    return client


def _can_log_in(server: RunningServer) -> bool:
    try:
        with contextlib.ExitStack() as stack:
            still_usable(_log_in(stack, server))
    except StartupError as error:
        assert error.fields["C"] == "53300"  # noqa: PT017 - any other is a failure
        return False
    return True


# ----------------------------------------------------------------------------------- timeouts


def _ended(client: RawClient, seconds: float) -> dict[str, str]:
    started = time.monotonic()
    error = error_of(client.until(backend.ReadyForQuery))
    assert client.receive() is None
    assert seconds / 3 < time.monotonic() - started < seconds + 20
    assert error["S"] == "FATAL"
    return error


def test_idle_session(client: RawClient) -> None:
    error = _ended(client, 3)
    assert error["C"] == "57P05"
    assert error["M"] == "terminating connection due to idle-session timeout"


def test_idle_in_transaction(client: RawClient) -> None:
    client.query("BEGIN")
    client.query("DECLARE c CURSOR FOR SELECT id FROM endless")
    client.query("FETCH 5 FROM c")
    error = _ended(client, 2)
    assert error["C"] == "25P03"
    assert error["M"] == "terminating connection due to idle-in-transaction timeout"


def test_the_session_sets_its_own(client: RawClient) -> None:
    client.query("SET idle_session_timeout = '1s'")
    assert _ended(client, 1)["C"] == "57P05"


def test_the_session_sets_its_own_in_a_transaction(client: RawClient) -> None:
    client.query("SET idle_in_transaction_session_timeout = 700")
    client.query("BEGIN")
    client.query("SELECT nothing")  # failed, and still open
    assert _ended(client, 0.7)["C"] == "25P03"


def test_who_works_is_not_idle(client: RawClient, small: RunningServer) -> None:
    client.query("SET idle_session_timeout = '1s'")
    client.query("SET statement_timeout = '2s'")
    error = error_of(client.query("SELECT COUNT(*) FROM endless WHERE rest = 3"))
    assert error["C"] == "57014"
    assert "statement timeout" in error["M"]
    still_usable(client)
    at_rest(small)


def test_statement_timeout_of_the_server(client: RawClient, small: RunningServer) -> None:
    for sql in (
        "SELECT COUNT(*) FROM endless WHERE rest = 3",
        "SELECT count(*) FROM (SELECT generate_series(1, 3000000000)) AS t",
    ):
        started = time.monotonic()
        error = error_of(client.query(sql))
        assert error["C"] == "57014"
        assert "statement timeout" in error["M"]
        assert 3.5 < time.monotonic() - started < 25
        still_usable(client)
    at_rest(small)


def test_statement_timeout_does_not_count_the_silence_between(small: RunningServer) -> None:
    until(lambda: _can_log_in(small))
    with psycopg.connect(dsn(small), autocommit=True) as connection:
        connection.execute("SET statement_timeout = 2500")
        for _ in range(4):
            assert connection.execute("SELECT COUNT(*) FROM tiny").fetchone() == (10,)
            time.sleep(1)
