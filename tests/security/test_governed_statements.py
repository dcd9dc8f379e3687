"""Policies on a running server: every way to have rows, what errors and plans say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.reliability.support import VIEWS, dsn, serving
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

Connection = psycopg.Connection[tuple[Any, ...]]

USERS: dict[str, dict[str, object]] = {
    "gov_ana": {"attributes": {"teams": ["red"], "team": "red", "most": 5, "ids": [1, 2]}},
    "gov_ben": {"attributes": {"teams": ["red", "blue"], "team": "blue", "most": "3", "ids": 3}},
    "gov_cy": {},
}
LEDGER = """
CREATE TABLE {0} (id BIGINT, team VARCHAR(10), word VARCHAR(20), amount INTEGER);
INSERT INTO {0} VALUES (1, 'red', '10', 5), (2, 'red', '20', 7), (3, 'blue', 'CANARY', 0),
  (4, 'green', 'CANARY4', 0), (5, NULL, 'CANARY5', 0)
"""


def ledger(name: str, table: str, source: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        **({"sql_table": table} if " " not in table else {"sql": table}),
        "data_source": source,
        "dimensions": [
            {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
            {"name": "team", "type": "string", "sql": "{CUBE}.team"},
            {"name": "word", "type": "string", "sql": "{CUBE}.word"},
            {"name": "amount", "type": "number", "sql": "{CUBE}.amount"},
        ],
        "measures": [{"name": "total", "type": "sum", "sql": "{CUBE}.amount"}],
        **more,
    }


def cubes(source: str, table: str) -> list[dict[str, object]]:
    team = {"member": "team", "operator": "equals", "values": ["{ user.teams }"]}
    rows = "SELECT * FROM " + table + " WHERE "
    mine = rows + "{SECURITY_CONTEXT.team.filter('team')}"
    these = rows + "{SECURITY_CONTEXT.ids.filter('id')} AND {FILTER_PARAMS.these_x.id.filter('id')}"
    required = rows + "{SECURITY_CONTEXT.team.requiredFilter('team')}"
    least = rows + "id <= {SECURITY_CONTEXT.most}"
    return [
        ledger(
            f"ledger_{source}",
            table,
            source,
            access_policy=[{"group": "*", "row_level": {"filters": [team]}}],
        ),
        ledger(f"mine_{source}", mine, source),
        ledger(f"these_{source}", these.replace("these_x", f"these_{source}"), source),
        ledger(f"required_{source}", required, source),
        ledger(f"least_{source}", least, source),
    ]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("governed")
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(LEDGER.format("governed_ledger").encode())
    (folder / "models").mkdir()
    model = {"cubes": [*cubes("default", "ledger"), *cubes("distant", "governed_ledger")]}
    (folder / "models" / "ledger.yml").write_text(json.dumps(model))
    users = {name: {"password": name, **user} for name, user in USERS.items()}
    options: dict[str, Any] = {
        "auth": {"users": users},
        "log__level": "info",
        "parser__parse_deadline": 20,
        "data_sources__default__setup": [*VIEWS, *LEDGER.format("ledger").strip().split(";\n")],
    }
    with serving(folder, oracle=oracle, **options) as running:
        yield running


@pytest.fixture(params=["default", "distant"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connect(server: RunningServer, user: str) -> Connection:
    return psycopg.connect(dsn(server, user), autocommit=True)


@pytest.mark.parametrize(
    ("user", "ids"), [("gov_ana", [1, 2]), ("gov_ben", [1, 2, 3]), ("gov_cy", [])]
)
def test_every_way_to_have_rows(
    server: RunningServer, source: str, user: str, ids: list[int]
) -> None:
    sql = f"SELECT id FROM ledger_{source} ORDER BY id"
    expected = [(number,) for number in ids]
    with connect(server, user) as session:
        assert session.execute(sql).fetchall() == expected
        assert session.execute(sql, prepare=True).fetchall() == expected
        bound = f"SELECT id FROM ledger_{source} WHERE id < %s AND word <> %s ORDER BY id"
        for _ in range(2):
            found = session.execute(bound, (100, "nothing"), prepare=True, binary=True).fetchall()
            assert found == expected
        with session.cursor() as cursor, cursor.copy(f"COPY ({sql}) TO STDOUT") as copy:
            assert b"".join(copy).split() == [str(number).encode() for number in ids]
        with session.transaction(), session.cursor("c") as named:
            named.itersize = 1
            assert named.execute(sql).fetchall() == expected
        # Longer texts are read in another process.
        numbers = ", ".join(str(number) for number in range(3500))
        long = f"SELECT id FROM ledger_{source} WHERE id IN ({numbers}) ORDER BY id"
        assert session.execute(long).fetchall() == expected
        session.execute(f"CREATE TEMP TABLE kept AS {sql}")
        assert session.execute("SELECT id FROM kept ORDER BY 1").fetchall() == expected
        joined = f"SELECT l.id FROM ledger_{source} l JOIN kept k ON k.id = l.id ORDER BY 1"
        assert session.execute(joined).fetchall() == expected


def test_plans_name_policies_and_no_values(server: RunningServer, source: str) -> None:
    sql = f"SELECT word FROM ledger_{source}"
    policy = f"ledger_{source}.access_policy[1] (group: *)"
    with connect(server, "gov_ben") as session:
        for explain in ("EXPLAIN", "EXPLAIN ANALYZE"):
            lines = [line for (line,) in session.execute(f"{explain} {sql}").fetchall()]
            assert f"Policies: {policy}" in lines
            assert "blue" not in "\n".join(lines)
        ((document,),) = session.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
        (plan,) = document if isinstance(document, list) else json.loads(document)
        assert plan["Policies"] == [policy]
        assert "blue" not in json.dumps(plan)


@pytest.mark.parametrize(
    ("expression", "sqlstate", "message"),
    [
        ("1 / amount", "22012", "division by zero"),
        ("word::int", "22P02", "invalid text representation"),
    ],
)
def test_what_a_warehouse_says_is_withheld(
    server: RunningServer, source: str, expression: str, sqlstate: str, message: str
) -> None:
    """Ben may see the row, but not what an error would say of those that he may not."""
    sql = f"SELECT {expression} FROM ledger_{source}"
    with connect(server, "gov_ben") as session:
        for run in (
            lambda: session.execute(sql),
            lambda: session.execute(sql, prepare=True, binary=True),
            lambda: session.execute(f"CREATE TEMP TABLE failed AS {sql}"),
        ):
            with pytest.raises(psycopg.Error) as caught:
                run()
            assert caught.value.sqlstate == sqlstate
            assert caught.value.diag.message_primary == message
            assert "CANARY" not in str(caught.value.diag.__reduce__())
    with connect(server, "gov_ana") as session:
        assert len(session.execute(sql).fetchall()) == 2
    assert "CANARY" not in "\n".join(server.log)


@pytest.mark.parametrize(
    ("cube", "user", "ids"),
    [
        ("mine", "gov_ana", [1, 2]), ("mine", "gov_ben", [3]), ("mine", "gov_cy", []),
        ("these", "gov_ana", [1, 2]), ("these", "gov_ben", [3]), ("these", "gov_cy", []),
        ("required", "gov_ben", [3]),
        ("least", "gov_ana", [1, 2, 3, 4, 5]), ("least", "gov_ben", [1, 2, 3]),
    ],
)  # fmt: skip
def test_attributes_in_the_sql_of_cubes(
    server: RunningServer, source: str, cube: str, user: str, ids: list[int]
) -> None:
    with connect(server, user) as session:
        found = session.execute(f"SELECT id FROM {cube}_{source} ORDER BY id").fetchall()
    assert found == [(number,) for number in ids]


@pytest.mark.parametrize("cube", ["required", "least"])
def test_a_cube_that_needs_an_attribute_is_closed_without_it(
    server: RunningServer, source: str, cube: str
) -> None:
    with connect(server, "gov_cy") as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            session.execute(f"SELECT id FROM {cube}_{source}")
        assert caught.value.diag.message_primary == f"permission denied for {cube}_{source}"
