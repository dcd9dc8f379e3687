"""Answers given again byte for byte leave a session as the long way would have left it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.wire import backend
from proxy.wire.frontend import Bind, Describe, Execute, Parse, Query, Sync
from tests.cache.support import lines, serving
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

PEOPLE = "SELECT id, tenant, born FROM people ORDER BY id"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replayed")


@pytest.fixture(scope="module")
def server(folder: Path, oracle: OraclePostgres) -> Iterator[RunningServer]:
    with serving(folder, oracle, "replayed") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with RawClient.connect(server.host, server.port) as made:
        made.startup("demo", "cubewire", "demo")
        yield made


def whole(sql: str, statement: str = "", *values: bytes) -> tuple[object, ...]:
    return (
        Parse(statement, sql),
        Bind("", statement, (), values, ()),
        Describe("P", ""),
        Execute(""),
        Sync(),
    )


def run(statement: str = "", *values: bytes) -> tuple[object, ...]:
    return (Bind("", statement, (), values, ()), Execute(""), Sync())


def rows(answers: list[backend.BackendMessage]) -> list[tuple[bytes | None, ...]]:
    return [each.values for each in answers if isinstance(each, backend.DataRow)]


def sqlstate(answers: list[backend.BackendMessage]) -> str | None:
    return next((e.fields["C"] for e in answers if isinstance(e, backend.ErrorResponse)), None)


def replayed(folder: Path) -> int:
    """How many statements were answered without running through the session."""
    return sum("prepare_ms" not in line and line.get("kind") == "cube" for line in lines(folder))


@pytest.mark.parametrize(
    "messages",
    [(Query(PEOPLE),), whole(PEOPLE), whole("SELECT id FROM people WHERE tenant = $1", "", b"a")],
    ids=["simple", "extended", "with a value"],
)
def test_the_same_bytes(client: RawClient, folder: Path, messages: tuple[object, ...]) -> None:
    before = replayed(folder)
    answers = [client.exchange(*messages) for _ in range(5)]  # type: ignore[arg-type]

    def is_replayed() -> bool:
        # A busy machine may hand over a message in pieces, which are not looked up.
        answers.append(client.exchange(*messages))  # type: ignore[arg-type]
        return replayed(folder) - before >= 2

    until(is_replayed)
    assert rows(answers[0])
    assert all(answer == answers[0] for answer in answers)


def test_a_name_that_stands_for_another_statement(client: RawClient, folder: Path) -> None:
    client.exchange(Parse("s", "SELECT 'one', id FROM people ORDER BY 2"), Sync())
    before = replayed(folder)

    def is_replayed() -> bool:
        assert rows(client.exchange(*run("s")))[0] == (b"one", b"1")
        return replayed(folder) > before

    until(is_replayed)
    client.query("DEALLOCATE s")
    assert sqlstate(client.exchange(*run("s"))) == "26000"
    client.exchange(Parse("s", "SELECT 'two', id FROM people ORDER BY 2"), Sync())
    for _ in range(3):
        assert rows(client.exchange(*run("s")))[0] == (b"two", b"1")


def test_execute_of_a_name_in_sql(client: RawClient) -> None:
    client.query("PREPARE p AS SELECT 'one', id FROM people")
    for _ in range(3):
        assert rows(client.query("EXECUTE p"))[0][0] == b"one"
    client.query("DEALLOCATE p")
    client.query("PREPARE p AS SELECT 'two', id FROM people")
    for _ in range(3):
        assert rows(client.query("EXECUTE p"))[0][0] == b"two"


def test_the_unnamed_statement(client: RawClient) -> None:
    sql = "SELECT tenant FROM people WHERE id = 2"
    for _ in range(3):
        client.exchange(*whole(sql))
        # It stays after it was given again ...
        assert rows(client.exchange(*run())) == [(b"b",)]
    for _ in range(3):
        client.exchange(*whole(sql))
        client.query(PEOPLE)
        # ... and a simple query drops it.
        assert sqlstate(client.exchange(*run())) == "26000"


def test_settings(client: RawClient) -> None:
    def born() -> bytes | None:
        return rows(client.query(PEOPLE))[0][2]

    for _ in range(3):
        assert born() == b"2024-01-01 12:00:00+00"
    for style, expected in (
        ("German", b"01.01.2024 12:00:00 UTC"),
        ("ISO", b"2024-01-01 12:00:00+00"),
    ):
        client.query(f"SET DateStyle = '{style}'")
        for _ in range(3):
            assert born() == expected
    client.query("BEGIN")
    client.query("SET LOCAL DateStyle = 'SQL'")
    assert born() == b"01/01/2024 12:00:00 UTC"
    client.query("ROLLBACK")
    assert born() == b"2024-01-01 12:00:00+00"


def test_transactions(client: RawClient) -> None:
    for _ in range(3):
        assert client.query(PEOPLE)[-1] == backend.ReadyForQuery("I")
    client.query("BEGIN")
    assert client.query(PEOPLE)[-1] == backend.ReadyForQuery("T")
    client.query("SELECT 1 / 0 FROM people")
    assert sqlstate(client.query(PEOPLE)) == "25P02"
    client.query("ROLLBACK")
    assert client.query(PEOPLE)[-1] == backend.ReadyForQuery("I")


def test_age(client: RawClient) -> None:
    sql = "SELECT asked FROM brief"
    first = rows(client.query(sql))
    until(lambda: rows(client.query(sql)) != first)


def test_modes(client: RawClient) -> None:
    sql = "SELECT asked AS modes FROM counted"
    kept = [rows(client.query(sql)) for _ in range(4)][-1]
    client.query("SET cubewire.cache = 'off'")
    assert rows(client.query(sql)) != kept
    client.query("SET cubewire.cache = 'refresh'")
    new = rows(client.query(sql))
    assert new != kept
    client.query("SET cubewire.cache = 'on'")
    assert rows(client.query(sql)) == new


def test_bytes_in_pieces_and_several_at_once(client: RawClient) -> None:
    request = Query(PEOPLE).encode()
    expected = [client.exchange(request) for _ in range(3)][-1]
    client.send(request[:7])
    time.sleep(0.05)
    assert client.exchange(request[7:]) == expected
    client.send(request * 3)
    assert [client.ready() for _ in range(3)] == [expected] * 3


def test_every_statement_is_logged_with_a_number_of_its_own(
    oracle: OraclePostgres, tmp_path: Path
) -> None:
    with (
        serving(tmp_path, oracle, "numbered") as running,
        RawClient.connect(running.host, running.port) as client,
    ):
        client.startup("demo", "cubewire", "demo", options=[("application_name", "an app")])
        simple = _asked_until_replayed(client, tmp_path, Query(PEOPLE))
        extended = _asked_until_replayed(client, tmp_path, *whole(PEOPLE))
    told = [line for line in lines(tmp_path) if line["logger"] == "cubewire.statement"]
    numbers = [int(line["statement"].split("-")[1]) for line in told]
    # What is only parsed takes a number too.
    assert numbers == [
        *range(1, simple + 1),
        *range(simple + 2, simple + 2 * extended + 2, 2),
    ]
    same = {
        json.dumps({k: v for k, v in line.items() if k in ("user", "application", "rows", "bytes")})
        for line in told
    }
    assert len(same) == 1
    assert all(isinstance(line["ms"], float) for line in told)


def _asked_until_replayed(client: RawClient, folder: Path, *messages: object) -> int:
    """Ask until two answers were given again; returns how often that was.

    What comes while the session is still at its last statement, as on a busy machine, is not.
    """
    before, times = replayed(folder), 0

    def is_replayed() -> bool:
        nonlocal times
        client.exchange(*messages)  # type: ignore[arg-type]
        times += 1
        return replayed(folder) - before >= 2

    until(is_replayed)
    return times
