"""What was prepared or opened for one user gives another none of the first one's rows.

Reliability.md's test 22. The cube's column says on whose behalf it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
import pytest

from proxy.wire import backend
from proxy.wire.frontend import Bind, Describe, Execute, Parse, Sync
from tests.reliability.support import address, dsn
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

QUERY = "SELECT id, current_user FROM tiny ORDER BY id"


@pytest.fixture
def client(server: RunningServer) -> Iterator[RawClient]:
    with address(server, "imp_alice").session() as opened:
        yield opened


@pytest.fixture
def connection(server: RunningServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as opened:
        yield opened


def users(answers: Sequence[object]) -> set[bytes | None]:
    return {each.values[-1] for each in answers if isinstance(each, backend.DataRow)}


def code(answers: Sequence[object]) -> str | None:
    found = [each.fields["C"] for each in answers if isinstance(each, backend.ErrorResponse)]
    return found[0] if found else None


def parsed(client: RawClient, text: str = QUERY, name: str = "s") -> None:
    assert code(client.exchange(Parse(name, text, ()), Sync())) is None


def test_a_statement_prepared_before(client: RawClient) -> None:
    parsed(client)
    run = (Bind("", "s", (), (), ()), Execute("", 0), Sync())
    assert users(client.exchange(*run)) == {b"imp_alice"}
    client.query("SET ROLE imp_bob")
    assert users(client.exchange(*run)) == {b"imp_bob"}
    client.query("RESET ROLE")
    assert users(client.exchange(*run)) == {b"imp_alice"}


def test_a_portal_bound_before(client: RawClient) -> None:
    client.query("BEGIN")
    parsed(client)
    client.exchange(Bind("p", "s", (), (), ()), Sync())
    client.query("SET ROLE imp_bob")
    assert code(client.exchange(Describe("P", "p"), Sync())) == "34000"
    client.query("ROLLBACK")
    client.query("BEGIN")
    client.exchange(Bind("p", "s", (), (), ()), Sync())
    client.query("SET ROLE imp_bob")
    answers = client.exchange(Execute("p", 0), Sync())
    assert users(answers) <= {b"imp_bob"}
    client.query("ROLLBACK")


@pytest.mark.parametrize("switch", ["SET ROLE imp_bob", "SET LOCAL ROLE imp_bob"])
def test_a_portal_read_half(client: RawClient, switch: str) -> None:
    client.query("BEGIN")
    parsed(client)
    answers = client.exchange(Bind("p", "s", (), (), ()), Execute("p", 2), Sync())
    assert users(answers) == {b"imp_alice"}
    client.query(switch)
    answers = client.exchange(Execute("p", 0), Sync())
    assert (code(answers), users(answers)) == ("34000", set())
    client.query("ROLLBACK")


def test_a_pipeline_that_switches_in_the_middle(client: RawClient) -> None:
    parsed(client)
    parsed(client, "SET ROLE imp_bob", "r")
    answers = client.exchange(
        Bind("p", "s", (), (), ()),
        Execute("p", 2),
        Bind("", "r", (), (), ()),
        Execute("", 0),
        Execute("p", 0),
        Sync(),
    )
    assert (code(answers), users(answers)) == ("34000", {b"imp_alice"})
    # The pipeline has failed, so the role is as it was.
    assert users(client.query("SELECT current_user")) == {b"imp_alice"}


@pytest.mark.parametrize("hold", ["", "WITH HOLD"])
def test_cursors(connection: psycopg.Connection[tuple[object, ...]], hold: str) -> None:
    connection.execute("BEGIN")
    connection.execute(f"DECLARE c CURSOR {hold} FOR {QUERY}")
    assert connection.execute("FETCH 1 FROM c").fetchall() == [(0, "imp_alice")]
    if hold:
        connection.execute("COMMIT")
    connection.execute("SET ROLE imp_bob")
    with pytest.raises(psycopg.Error) as gone:
        connection.execute("FETCH ALL FROM c")
    assert gone.value.sqlstate == "34000"


def test_a_cursor_of_a_role_that_ends_with_the_transaction(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    connection.execute("BEGIN")
    connection.execute("SET LOCAL ROLE imp_bob")
    connection.execute(f"DECLARE c CURSOR WITH HOLD FOR {QUERY}")
    assert connection.execute("FETCH 1 FROM c").fetchall() == [(0, "imp_bob")]
    connection.execute("COMMIT")
    with pytest.raises(psycopg.Error) as gone:
        connection.execute("FETCH 1 FROM c")
    assert gone.value.sqlstate == "34000"
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT a")
    connection.execute("SET ROLE imp_bob")
    connection.execute(f"DECLARE c CURSOR FOR {QUERY}")
    connection.execute("FETCH 1 FROM c")
    connection.execute("ROLLBACK TO a")
    with pytest.raises(psycopg.Error):
        connection.execute("FETCH 1 FROM c")
    connection.execute("ROLLBACK")


def test_sql_prepared_copied_and_explained(client: RawClient) -> None:
    client.query(f"PREPARE q AS {QUERY}")
    parsed(client, "COPY (SELECT current_user FROM tiny WHERE id = 1) TO STDOUT", "copy")
    parsed(client, f"EXPLAIN (ANALYZE, FORMAT JSON) {QUERY}", "explain")
    client.query("SET ROLE imp_bob")
    assert users(client.query("EXECUTE q")) == {b"imp_bob"}
    answers = client.exchange(Bind("", "copy", (), (), ()), Execute("", 0), Sync())
    assert [each.data for each in answers if isinstance(each, backend.CopyData)] == [b"imp_bob\n"]
    answers = client.exchange(Bind("", "explain", (), (), ()), Execute("", 0), Sync())
    (plan,) = users(answers)
    assert b"Execution Time" in (plan or b"")
    assert b"imp_alice" not in (plan or b"")


def test_a_temporary_table_made_of_what_was_prepared(client: RawClient) -> None:
    parsed(client, "CREATE TEMP TABLE t AS SELECT current_user AS who FROM tiny", "make")
    client.query("SET ROLE imp_bob")
    assert code(client.exchange(Bind("", "make", (), (), ()), Execute("", 0), Sync())) is None
    assert users(client.query("SELECT DISTINCT who FROM t")) == {b"imp_bob"}


def test_pooled_reuse(client: RawClient) -> None:
    """What a pool sends between two of its clients."""
    parsed(client)
    client.query("SET ROLE imp_bob")
    client.query("DISCARD ALL")
    assert code(client.exchange(Bind("", "s", (), (), ()), Sync())) == "26000"
    assert users(client.query(QUERY)) == {b"imp_alice"}
    client.query("SET SESSION AUTHORIZATION imp_bob")
    client.query("RESET ALL")
    assert users(client.query(QUERY)) == {b"imp_bob"}
    client.query("SET SESSION AUTHORIZATION imp_carol")
    assert users(client.query(QUERY)) == {b"imp_carol"}


def test_temporary_tables_stay_with_who_made_them(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    connection.execute("CREATE TEMP TABLE mine AS SELECT letter FROM tiny")
    with pytest.raises(psycopg.Error) as refused:
        connection.execute("SET ROLE imp_bob")
    assert refused.value.sqlstate == "55000"
    assert connection.execute("SHOW role").fetchone() == ("none",)
    connection.execute("DISCARD TEMP")
    connection.execute("BEGIN")
    connection.execute("SET LOCAL ROLE imp_bob")
    connection.execute("CREATE TEMP TABLE his AS SELECT letter, current_user AS who FROM tiny")
    assert connection.execute("SELECT DISTINCT who FROM his").fetchall() == [("imp_bob",)]
    connection.execute("COMMIT")
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM his")


def test_a_statement_for_another_user(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    run = connection.execute
    acting = (
        "SELECT current_user, count(*) FROM tiny WHERE __user = 'imp_bob' AND id < %s GROUP BY 1"
    )
    for _ in range(3):
        assert run(acting, (4,), prepare=True).fetchall() == [("imp_bob", 4)]
    assert run("SELECT current_user FROM tiny LIMIT 1").fetchone() == ("imp_alice",)
    run("SET ROLE imp_carol")
    assert run(acting, (4,), prepare=True).fetchall() == [("imp_bob", 4)]
    both = "SELECT current_user FROM tiny a WHERE a.__user = 'imp_alice' AND id IN (SELECT id FROM"
    both += " words UNION SELECT id FROM tiny WHERE __user = 'imp_alice') LIMIT 1"
    assert run(both).fetchone() == ("imp_alice",)
    with connection.cursor() as cursor:
        copied = "COPY (SELECT current_user FROM tiny WHERE __user='imp_bob' LIMIT 1) TO STDOUT"
        with cursor.copy(copied) as copy:
            assert b"".join(bytes(part) for part in copy) == b"imp_bob\n"
    run("BEGIN")
    run("DECLARE c CURSOR FOR SELECT current_user FROM tiny WHERE __user = 'imp_bob'")
    assert run("FETCH 1 FROM c").fetchone() == ("imp_bob",)
    run("COMMIT")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        run("SELECT id FROM tiny WHERE __user = 'imp_dave'")
    assert refused.value.diag.statement_position == "27"
    run("CREATE TEMP TABLE tt (__user text)")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        run("SELECT 1 FROM tiny, tt WHERE tt.__user = 'imp_bob'")
