"""Who acts for another has that user's rows, members and relations, and nothing of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.reliability.support import dsn
from tests.support.server import RunningServer

Connection = psycopg.Connection[tuple[object, ...]]
QUERY = "SELECT letter, secret FROM letters ORDER BY 1"
BOB = [("b", "?"), ("c", "?")]
CAROL = [("c", "?"), ("d", "?")]


@pytest.fixture
def alice(server: RunningServer) -> Iterator[Connection]:
    with psycopg.connect(dsn(server, "imp_alice"), autocommit=True) as opened:
        yield opened


def rows(connection: Connection, sql: str = QUERY, **options: bool) -> list[tuple[object, ...]]:
    return connection.execute(sql, **options).fetchall()


def test_the_rows_of_whom_it_acts_for(alice: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(alice)
    for user, expected in (("imp_bob", BOB), ("imp_carol", CAROL), ("imp_bob", BOB)):
        alice.execute(f"SET ROLE {user}")
        assert rows(alice) == expected
        assert rows(alice, "SELECT MEASURE(total) FROM letters") == [(2,)]
    alice.execute("RESET ROLE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(alice)


def test_the_catalog_of_whom_it_acts_for(alice: Connection) -> None:
    listed = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'letters'"
    assert rows(alice, listed) == [(0,)]
    alice.execute("SET ROLE imp_bob")
    assert rows(alice, listed) == [(1,)]
    alice.execute("BEGIN")
    alice.execute("SET LOCAL ROLE NONE")
    assert rows(alice, listed) == [(0,)]
    alice.execute("ROLLBACK")
    assert rows(alice, listed) == [(1,)]


def test_prepared_statements(alice: Connection) -> None:
    alice.execute("SET ROLE imp_bob")
    for _ in range(3):
        assert rows(alice, prepare=True) == BOB
    alice.execute("SET ROLE imp_carol")
    assert rows(alice, prepare=True) == CAROL
    alice.execute("PREPARE q AS " + QUERY)
    alice.execute("SET ROLE imp_bob")
    assert rows(alice, "EXECUTE q") == BOB
    alice.execute("RESET ROLE")
    for again in (lambda: rows(alice, "EXECUTE q"), lambda: rows(alice, prepare=True)):
        with pytest.raises(psycopg.errors.UndefinedTable):
            again()


def test_cursors(alice: Connection) -> None:
    alice.execute("SET ROLE imp_bob")
    alice.execute("BEGIN")
    alice.execute(f"DECLARE c CURSOR WITH HOLD FOR {QUERY}")
    assert rows(alice, "FETCH 1 FROM c") == BOB[:1]
    alice.execute("COMMIT")
    alice.execute("SET ROLE imp_carol")
    with pytest.raises(psycopg.errors.InvalidCursorName):
        rows(alice, "FETCH ALL FROM c")


def test_one_statement_for_another(alice: Connection) -> None:
    acting = "SELECT letter, secret FROM letters WHERE __user = 'imp_bob' ORDER BY 1"
    for _ in range(3):
        assert rows(alice, acting) == BOB
        assert rows(alice, acting.replace("bob", "carol")) == CAROL
        assert rows(alice, acting, prepare=True) == BOB
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(alice, acting.replace("bob", "alice"))
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(alice)
    (plan,) = rows(alice, f"EXPLAIN (FORMAT JSON) {acting}")
    assert "letters.access_policy[1]" in json.dumps(plan)


def test_a_role_that_ends_with_its_transaction(alice: Connection) -> None:
    alice.execute("BEGIN")
    alice.execute("SET LOCAL ROLE imp_bob")
    assert rows(alice) == BOB
    alice.execute("COMMIT")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            rows(alice)


def test_the_trail_names_the_policies(alice: Connection, folder: Path) -> None:
    pid = alice.info.backend_pid
    alice.execute("SET ROLE imp_carol")
    rows(alice)
    rows(alice)  # from the cache
    found: list[dict[str, object]] = []
    end = time.monotonic() + 10
    while len(found) < 2 and time.monotonic() < end:
        lines = (folder / "audit.jsonl").read_text().splitlines()
        found = [
            row
            for row in map(json.loads, lines)
            if row["event"] == "policy" and str(row["statement"]).startswith(f"{pid}-")
        ]
    for row in found:
        assert (row["user"], row["login"]) == ("imp_carol", "imp_alice")
        assert row["policies"] == ["letters.access_policy[1] (group: west)"]
        assert row["masked"] == ["letters.secret"]
        assert row["restricted"] == ["letters"]
    text = (folder / "audit.jsonl").read_text()
    assert "secret of" not in text
