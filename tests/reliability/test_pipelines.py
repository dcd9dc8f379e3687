"""Test 8: pipelines as psycopg and raw clients make them, on both servers.

What is answered, in which order, and what an error takes with it is PostgreSQL's word: each case
runs against the oracle too, and must go the same way there.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest

from proxy.wire import backend, frontend
from proxy.wire.message import Message
from tests.reliability.support import address, dsn, serving
from tests.support.addresses import Address, postgres_address
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

Connection = psycopg.Connection[tuple[object, ...]]
Cursor = psycopg.Cursor[tuple[object, ...]]
SIDES = ("ours", "postgres")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("pipelines")) as running:
        yield running


@pytest.fixture(params=SIDES)
def where(request: pytest.FixtureRequest) -> Address:
    if request.param == "ours":
        return address(request.getfixturevalue("server"))
    oracle: OraclePostgres = request.getfixturevalue("oracle")
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS tiny AS SELECT i::bigint AS id, chr(97 + i) AS letter"
            " FROM generate_series(0, 9) AS i"
        )
    return postgres_address(oracle)


@pytest.fixture
def connection(where: Address) -> Iterator[Connection]:
    text = f"host={where.host} port={where.port} dbname={where.database} user={where.user}"
    if where.password:
        text += f" password={where.password}"
    with psycopg.connect(f"{text} sslmode=disable", autocommit=True) as opened:
        yield opened


@pytest.fixture
def client(where: Address) -> Iterator[RawClient]:
    with where.session() as opened:
        yield opened


# ----------------------------------------------------------------------------------- psycopg


def test_many_statements(connection: Connection) -> None:
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int * 2", (n,)) for n in range(1000)]
    assert [cursor.fetchone() for cursor in cursors] == [(n * 2,) for n in range(1000)]


def test_prepared_and_not(connection: Connection) -> None:
    connection.prepare_threshold = 2
    with connection.pipeline() as pipeline:
        sql = "SELECT letter FROM tiny WHERE id = %s"
        cursors = [connection.execute(sql, (n % 10,)) for n in range(100)]
        pipeline.sync()
        cursors += [connection.execute(sql, (n % 10,), prepare=False) for n in range(20)]
    letters = [row[0] for cursor in cursors for row in cursor.fetchall()]
    assert letters == [chr(97 + n % 10) for n in (*range(100), *range(20))]


def test_results_while_the_pipeline_is_open(connection: Connection) -> None:
    with connection.pipeline():
        first = connection.execute("SELECT 1")
        second = connection.execute("SELECT 2")
        assert first.fetchone() == (1,)
        third = connection.execute("SELECT 3")
        assert second.fetchone() == (2,)
        assert third.fetchone() == (3,)


def _begin_and_fail(connection: Connection, cursors: list[Cursor]) -> None:
    with connection.pipeline() as pipeline:
        cursors += [connection.execute("SELECT %s::int", (n,)) for n in range(3)]
        pipeline.sync()
        cursors.append(connection.execute("SELECT 1/%s::int", (0,)))
        cursors += [connection.execute("SELECT %s::int", (n,)) for n in range(3)]


def test_an_error_in_the_middle(connection: Connection) -> None:
    cursors: list[Cursor] = []
    with pytest.raises(psycopg.errors.DivisionByZero):
        _begin_and_fail(connection, cursors)
    assert [cursor.fetchone() for cursor in cursors[:3]] == [(0,), (1,), (2,)]
    for cursor in cursors[3:]:
        with pytest.raises(psycopg.Error):
            cursor.fetchone()
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_error_undoes_the_implicit_transaction(connection: Connection) -> None:
    with contextlib.suppress(psycopg.errors.DivisionByZero), connection.pipeline():
        connection.execute("SELECT set_config('application_name', 'changed', false)")
        connection.execute("SELECT 1/%s::int", (0,))
    row = connection.execute("SELECT current_setting('application_name')").fetchone()
    assert row == ("",)


def test_transactions_inside(connection: Connection) -> None:
    connection.autocommit = False
    with connection.pipeline():
        with connection.transaction():
            connection.execute("SELECT 1")
        with contextlib.suppress(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("SELECT 1/%s::int", (0,)).fetchone()
        assert connection.execute("SELECT 2").fetchone() == (2,)
    connection.commit()
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_executemany(connection: Connection) -> None:
    with connection.cursor() as cursor:
        sql = "SELECT letter FROM tiny WHERE id = %s"
        cursor.executemany(sql, [(n,) for n in range(10)], returning=True)
        found = []
        while True:
            found.append(cursor.fetchone())
            if not cursor.nextset():
                break
    assert found == [(chr(97 + n),) for n in range(10)]


def test_two_pipelines_in_one(connection: Connection) -> None:
    with connection.pipeline():
        outer = connection.execute("SELECT 'outer'")
        with connection.pipeline():
            inner = connection.execute("SELECT 'inner'")
        assert inner.fetchone() == ("inner",)
        after = connection.execute("SELECT 'after'")
    assert [outer.fetchone(), after.fetchone()] == [("outer",), ("after",)]


# ----------------------------------------------------------------------------------- raw


def run(sql: str, *values: bytes, name: str = "", portal: str = "") -> tuple[Message, ...]:
    return (
        frontend.Parse(name, sql),
        frontend.Bind(portal, name, (), values),
        frontend.Describe("P", portal),
        frontend.Execute(portal, 0),
    )


SYNC = frontend.Sync()
FAIL = "SELECT 1/g FROM generate_series(0, 0) AS g"


def shown(answers: Sequence[backend.BackendMessage]) -> list[str]:
    """What came, in short: classes, values, codes, states."""
    lines = []
    for each in answers:
        if isinstance(each, backend.DataRow):
            lines.append(f"row {each.values}")
        elif isinstance(each, backend.ErrorResponse):
            lines.append(f"error {each.fields['C']}")
        elif isinstance(each, backend.ReadyForQuery):
            lines.append(f"ready {each.status}")
        elif isinstance(each, backend.CommandComplete):
            lines.append(each.tag)
        elif not isinstance(each, backend.NoticeResponse | backend.ParameterStatus):
            lines.append(type(each).__name__)
    return lines


CONVERSATIONS: dict[str, Callable[[], tuple[Message, ...]]] = {
    "a query in between": lambda: (*run("SELECT 1"), frontend.Query("SELECT 2"), SYNC),
    "several syncs": lambda: (SYNC, SYNC, *run("SELECT 1"), SYNC, SYNC),
    "error, then a sync, then more": lambda: (
        *run(FAIL),
        *run("SELECT 1"),
        SYNC,
        *run("SELECT 2"),
        SYNC,
    ),
    "errors in a row": lambda: (*run(FAIL), SYNC, *run("nonsense"), SYNC, *run("SELECT 1"), SYNC),
    "same name twice": lambda: (
        *run("SELECT 1", name="a"),
        *run("SELECT 2", name="a"),
        SYNC,
        frontend.Close("S", "a"),
        *run("SELECT 3", name="a"),
        SYNC,
    ),
    "a name that an error took with it": lambda: (
        *run(FAIL),
        frontend.Parse("b", "SELECT 1"),
        SYNC,
        frontend.Bind("", "b"),
        frontend.Execute("", 0),
        SYNC,
    ),
    "the name outlives the error": lambda: (
        frontend.Parse("c", "SELECT 1"),
        *run(FAIL),
        SYNC,
        frontend.Bind("", "c"),
        frontend.Execute("", 0),
        SYNC,
    ),
    "portals end with their transaction": lambda: (
        frontend.Parse("d", "SELECT id FROM tiny ORDER BY id"),
        frontend.Bind("p", "d"),
        frontend.Execute("p", 2),
        SYNC,
        frontend.Execute("p", 2),
        SYNC,
    ),
    "portals in a block": lambda: (
        frontend.Query("BEGIN"),
        frontend.Parse("e", "SELECT id FROM tiny ORDER BY id"),
        frontend.Bind("p", "e"),
        frontend.Execute("p", 2),
        SYNC,
        frontend.Execute("p", 3),
        SYNC,
        frontend.Execute("p", 0),
        frontend.Execute("p", 0),
        SYNC,
        frontend.Query("COMMIT"),
    ),
    "a failed block": lambda: (
        *run("BEGIN"),
        *run(FAIL),
        SYNC,
        *run("SELECT 1"),
        SYNC,
        *run("ROLLBACK"),
        *run("SELECT 1"),
        SYNC,
    ),
    "commit in the middle": lambda: (
        *run("BEGIN"),
        *run("SELECT 1"),
        *run("COMMIT"),
        *run("SELECT 2"),
        SYNC,
    ),
    "savepoints": lambda: (
        *run("BEGIN"),
        *run("SAVEPOINT s"),
        *run(FAIL),
        SYNC,
        *run("ROLLBACK TO s"),
        *run("SELECT 1"),
        SYNC,
        *run("COMMIT"),
        SYNC,
    ),
    "empty ones": lambda: (*run(""), *run(";"), *run("-- nothing"), SYNC),
    "closing what is not there": lambda: (
        frontend.Close("S", "nothing"),
        frontend.Close("P", "nothing"),
        SYNC,
    ),
    "flush without sync": lambda: (*run("SELECT 1"), frontend.Flush(), *run("SELECT 2"), SYNC),
    "executed twice": lambda: (*run("SELECT 1"), frontend.Execute("", 0), SYNC),
    "wrong number of values": lambda: (
        frontend.Parse("", "SELECT $1::int"),
        frontend.Bind("", "", (), ()),
        SYNC,
    ),
    "a value that is none": lambda: (*run("SELECT $1::int", b"abc"), *run("SELECT 1"), SYNC),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(server: RunningServer, oracle: OraclePostgres, name: str) -> None:
    messages = CONVERSATIONS[name]()
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS tiny AS SELECT i::bigint AS id, chr(97 + i) AS letter"
            " FROM generate_series(0, 9) AS i"
        )
    seen = []
    for at in (postgres_address(oracle), address(server)):
        with at.session() as client:
            client.send(*messages)
            client.send(frontend.Query("SELECT 'the end'"))
            answers: list[backend.BackendMessage] = []
            while backend.DataRow((b"the end",)) not in answers:
                answers += client.ready()
            seen.append(shown(answers))
    assert seen[1] == seen[0]


def test_a_late_sync(client: RawClient) -> None:
    """Rows come with Flush, the error too; the Sync follows when the client has read them."""
    client.send(*run("SELECT 1"), frontend.Flush())
    assert "row (b'1',)" in shown(client.until(backend.CommandComplete))
    client.send(*run(FAIL), frontend.Flush())
    assert shown(client.until(backend.ErrorResponse))[-1] == "error 22012"
    client.send(*run("SELECT 'skipped'"), frontend.Flush())
    client.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.receive()
    client.socket.settimeout(10)
    client.send(SYNC, *run("SELECT 2"), SYNC)
    assert shown(client.ready()) == ["ready I"]
    assert "row (b'2',)" in shown(client.ready())


def test_thousands_before_anything_is_read(client: RawClient) -> None:
    """The answers are written while the questions are still coming."""
    count = 5_000
    bind = frontend.Bind("", "s", (), (b"7",)), frontend.Execute("", 0)
    client.exchange(frontend.Parse("s", "SELECT letter FROM tiny WHERE id = $1"), SYNC)
    data = b"".join(each.encode() for each in bind) * count + SYNC.encode()
    client.socket.settimeout(60)
    link = client.socket
    sender = threading.Thread(target=link.sendall, args=(data,))
    sender.start()
    answers = client.ready()
    sender.join()
    assert sum(isinstance(each, backend.DataRow) for each in answers) == count
    assert not any(isinstance(each, backend.ErrorResponse) for each in answers)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_in_pieces(client: RawClient, size: int) -> None:
    """Messages cut anywhere are the same messages."""
    data = b"".join(each.encode() for each in (*run("SELECT 'a'"), *run(FAIL), *run("x"), SYNC))
    data += frontend.Query("SELECT 'b'").encode()
    link = client.socket
    assert isinstance(link, socket.socket)
    for start in range(0, len(data), size):
        link.sendall(data[start : start + size])
        if size == 1:
            time.sleep(0.0005)
    first, second = shown(client.ready()), shown(client.ready())
    assert first[-2:] == ["error 22012", "ready I"]
    assert second[-3:] == ["row (b'b',)", "SELECT 1", "ready I"]


def test_large_messages(client: RawClient) -> None:
    """Around the sizes of buffers, both ways."""
    for size in (0, 1, 4095, 8191, 8192, 65_535, 65_536, 300_000, 5_000_000):
        value = b"x" * size
        answers = client.exchange(*run("SELECT $1::text, 1", value), SYNC)
        assert backend.DataRow((value, b"1")) in answers


def test_hang_up_in_the_middle(server: RunningServer) -> None:
    """A hundred clients that leave at any point of a conversation leave nothing behind."""
    whole = b"".join(
        each.encode() for each in (*run("SELECT id, label FROM numbers"), *run("SELECT 1"), SYNC)
    )
    for cut in range(0, len(whole) + 1, 3):
        with address(server).session() as client:
            client.send(whole[:cut])
            if cut % 2:
                client.socket.shutdown(socket.SHUT_WR)
    with psycopg.connect(dsn(server), autocommit=True) as connection:
        for _ in range(20):
            assert connection.execute("SELECT COUNT(*) FROM tiny").fetchone() == (10,)
