"""Who may see different rows is never given another's, and who sees the same shares them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cache.support import configuration, connect, lines, running
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

USERS: dict[str, dict[str, Any]] = {
    "ann": {"groups": ["readers"], "attributes": {"tenant": "a"}},
    "amy": {"groups": ["others", "readers"], "attributes": {"tenant": "a", "city": "Rome"}},
    "bob": {"groups": ["readers"], "attributes": {"tenant": "b"}},
    "boss": {"groups": ["everything"], "act_as": ["*"]},
    "nobody": {"groups": ["readers"]},
}
ROWS = {"ann": [1], "amy": [1], "bob": [2], "boss": [1, 2], "nobody": []}

GOVERNED = {
    "name": "governed",
    "sql_table": "isolated.people",
    "refresh_key": {"immutable": True},
    "dimensions": [
        {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
        {"name": "tenant", "type": "string", "sql": "{CUBE}.tenant", "mask": "?"},
        {"name": "born", "type": "time", "sql": "{CUBE}.born", "data_type": "timestamptz"},
        {"name": "ratio", "type": "number", "sql": "{CUBE}.ratio", "data_type": "float8"},
    ],
    "measures": [{"name": "total", "type": "count"}],
    "access_policy": [
        {
            "group": "readers",
            "member_masking": {"includes": ["tenant"]},
            "row_level": {
                "filters": [
                    {"member": "tenant", "operator": "equals", "values": ["{ user.tenant }"]}
                ]
            },
        },
        {"group": "everything", "row_level": {"allow_all": True}},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("isolated")


@pytest.fixture(scope="module")
def server(folder: Path, oracle: OraclePostgres) -> Iterator[RunningServer]:
    config = configuration(folder, oracle, "isolated")
    (folder / "models" / "governed.yml").write_text(json.dumps({"cubes": [GOVERNED]}))
    config["auth"] = {"users": {name: {"password": name, **user} for name, user in USERS.items()}}
    with running(folder, config) as made:
        yield made


@pytest.fixture(scope="module")
def clients(server: RunningServer) -> Iterator[dict[str, psycopg.Connection[Any]]]:
    made = {name: connect(server, name, prepare_threshold=1) for name in USERS}
    yield made
    for client in made.values():
        client.close()


STATEMENTS = (
    ("SELECT id FROM governed ORDER BY id", ()),
    ("SELECT id FROM governed WHERE id < %s ORDER BY id", (9,)),
    ("WITH g AS (SELECT id FROM governed) SELECT id FROM g ORDER BY 1", ()),
)


@pytest.mark.parametrize(("sql", "values"), STATEMENTS)
def test_users(
    clients: dict[str, psycopg.Connection[Any]], sql: str, values: tuple[object, ...]
) -> None:
    for _ in range(4):
        for name, client in clients.items():
            rows = client.execute(sql.encode(), values or None).fetchall()
            assert [row[0] for row in rows] == ROWS[name], name


def test_masks_and_counts(clients: dict[str, psycopg.Connection[Any]]) -> None:
    sql = b"SELECT tenant, MEASURE(total) FROM governed GROUP BY 1 ORDER BY 1"
    for _ in range(4):
        assert clients["ann"].execute(sql).fetchall() == [("?", 1)]
        assert clients["bob"].execute(sql).fetchall() == [("?", 1)]
        assert clients["boss"].execute(sql).fetchall() == [("a", 1), ("b", 1)]
        assert clients["nobody"].execute(sql).fetchall() == []


def test_acting_for_others(server: RunningServer) -> None:
    sql = b"SELECT id FROM governed ORDER BY id"
    with connect(server, "boss", prepare_threshold=1) as client:
        for _ in range(3):
            for name in ("ann", "bob", "boss"):
                client.execute(f"SET ROLE {name}" if name != "boss" else "RESET ROLE")
                for _ in range(3):
                    assert [row[0] for row in client.execute(sql).fetchall()] == ROWS[name], name


def test_who_sees_the_same_shares_it(
    clients: dict[str, psycopg.Connection[Any]], folder: Path
) -> None:
    sql = b"SELECT id AS shared FROM governed"
    for name in ("ann", "amy", "bob"):
        clients[name].execute(sql).fetchall()
    expected = [("ann", "miss"), ("amy", "memory"), ("bob", "miss")]

    def told() -> list[tuple[str, str]]:
        cube = [line for line in lines(folder) if line.get("kind") == "cube"]
        return [(line["user"], line["cache"]) for line in cube[-3:]]

    until(lambda: told() == expected)


SETTINGS = {
    "TimeZone": ("UTC", "Asia/Tokyo", "America/New_York"),
    "DateStyle": ("ISO", "German", "SQL"),
    "extra_float_digits": ("1", "-10"),
    "search_path": ("public", "pg_catalog, public"),
}


def test_settings(clients: dict[str, psycopg.Connection[Any]]) -> None:
    sql = b"SELECT born::text, ratio / 3 FROM governed"
    client = clients["ann"]
    with client.cursor() as cursor:
        for name, values in SETTINGS.items():
            texts: dict[str, object] = {}
            for _ in range(3):
                for value in values:
                    cursor.execute(f"SELECT set_config('{name}', '{value}', false)")
                    cursor.execute("SET cubewire.cache = 'off'")
                    fresh = client.pgconn.exec_(sql)
                    plain = [fresh.get_value(0, column) for column in range(2)]
                    cursor.execute("SET cubewire.cache = 'on'")
                    found = client.pgconn.exec_(sql)
                    cached = [found.get_value(0, column) for column in range(2)]
                    assert cached == plain, (name, value)
                    assert texts.setdefault(value, cached) == cached
            cursor.execute(f"RESET {name}")
            if name in ("TimeZone", "extra_float_digits"):
                assert len({str(text) for text in texts.values()}) == len(values), name


def test_values_and_their_types(clients: dict[str, psycopg.Connection[Any]]) -> None:
    client = clients["boss"]
    for _ in range(3):
        for value, expected in ((1, [1]), (2, [2]), (3, [])):
            sql = b"SELECT id FROM governed WHERE id = %s"
            assert [row[0] for row in client.execute(sql, (value,)).fetchall()] == expected
        for text, expected in (("1", "1"), ("1.0", "1.0"), ("1.00", "1.00")):
            row = client.execute("SELECT %s::numeric::text FROM governed LIMIT 1", (text,))
            assert row.fetchone() == (expected,)
