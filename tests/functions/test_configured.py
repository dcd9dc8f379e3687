"""Functions of the warehouses that the configuration adds: typed, quoted, and for whom they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from proxy.cli import main
from proxy.config import load_config
from proxy.configured_functions import FunctionsError, configured_functions
from tests.reliability.support import VIEWS, dsn, serving
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

FUNCTIONS = {
    "score": {
        "arguments": ["numeric", "text"],
        "returns": "numeric",
        "data_sources": {"default": "main.Score", "distant": "Odd.Score"},
    },
    "twice": {
        "arguments": ["bigint"],
        "returns": "bigint",
        "strict": True,
        "leakproof": True,
        "data_sources": {"distant": "Odd.twice"},
    },
    "dice": {
        "returns": "double precision",
        "volatile": True,
        "data_sources": {"default": "main.dice"},
    },
}
SETUP = (
    *VIEWS,
    "CREATE MACRO score(a, b) AS a * 10 + length(b)",
    "CREATE MACRO dice() AS random()",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("functions")


@pytest.fixture(scope="module")
def server(folder: Path, oracle: OraclePostgres) -> Iterator[RunningServer]:
    with psycopg.connect(oracle.dsn, autocommit=True) as admin:
        admin.execute('DROP SCHEMA IF EXISTS "Odd" CASCADE; CREATE SCHEMA "Odd"')
        admin.execute(
            'CREATE FUNCTION "Odd"."Score"(numeric, text) RETURNS numeric LANGUAGE sql '
            "AS 'SELECT $1 * 10 + length($2)'"
        )
        admin.execute(
            "CREATE FUNCTION \"Odd\".twice(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 * 2'"
        )
    sources = {
        "default": {"type": "duckdb", "setup": SETUP},
        "distant": {"type": "postgres", "dsn": oracle.dsn},
    }
    (folder / "models").mkdir()
    cube = {
        "name": "one",
        "sql": "SELECT 1::bigint AS id, 'abc'::text AS word",
        "data_source": "distant",
        "dimensions": [
            {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
            {"name": "word", "type": "string", "sql": "{CUBE}.word"},
        ],
    }
    (folder / "models" / "one.yml").write_text(json.dumps({"cubes": [cube]}))
    settings = {"data_sources": sources, "functions": FUNCTIONS, "cache": {"ttl": 60}}
    with serving(folder, **settings) as running:
        yield running


@pytest.fixture
def connection(server: RunningServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn(server), autocommit=True) as opened:
        yield opened


Connection = psycopg.Connection[tuple[object, ...]]

ANSWERS = {
    "SELECT id, score(id, letter) FROM tiny ORDER BY 1 LIMIT 2": [(0, 1), (1, 11)],
    "SELECT max(SCORE(id, 'ab')) FROM tiny": [(92,)],
    "SELECT id FROM tiny WHERE score(id, letter) > 80 ORDER BY score(id, '') DESC": [(9,), (8,)],
    "SELECT count(*) FROM tiny GROUP BY score(id, '') > 75 ORDER BY 1": [(2,), (8,)],
    "SELECT score(count(*), 'x') FROM tiny": [(101,)],
    "SELECT score(id, NULL) FROM tiny LIMIT 1": [(None,)],
    "SELECT dice() = dice() FROM tiny LIMIT 1": [(False,)],
    "SELECT score(id, word), twice(id) FROM one": [(13, 2)],
    "SELECT twice(id + 20) FROM one WHERE score(id, word) = 13": [(42,)],
}

REFUSED = {
    "SELECT twice(id) FROM tiny": "42501",
    "SELECT dice() FROM one": "42501",
    'SELECT "score"(1, letter) FROM tiny': "42501",
    "SELECT public.score(1, letter) FROM tiny": "42501",
    "SELECT main.score(1, letter) FROM tiny": "42501",
    "SELECT * FROM tiny, score(1, 'a')": "42501",
    "SELECT score(id) FROM tiny": "42883",
    "SELECT score(letter, letter) FROM tiny": "42883",
    "SELECT score(1, 'a')": "0A000",
    "SELECT twice(1) FROM pg_class": "0A000",
}


@pytest.mark.parametrize("sql", ANSWERS)
def test_answers(connection: Connection, sql: str) -> None:
    assert connection.execute(sql).fetchall() == ANSWERS[sql]


def test_volatile_results_are_not_cached(connection: Connection) -> None:
    seen = {connection.execute("SELECT dice() FROM tiny LIMIT 1").fetchone() for _ in range(4)}
    assert len(seen) == 4
    (plan,) = connection.execute(
        "EXPLAIN (FORMAT JSON, ANALYZE) SELECT dice() FROM tiny"
    ).fetchone()
    assert "bypass" in json.dumps(plan)
    (plan,) = connection.execute("EXPLAIN (FORMAT JSON, ANALYZE) SELECT id FROM tiny").fetchone()
    assert "bypass" not in json.dumps(plan)


def test_parameters_have_the_types_of_the_arguments(connection: Connection) -> None:
    sql = "SELECT score(%s, letter) FROM tiny LIMIT 1"
    assert connection.execute(sql, (Decimal("1.25"),)).fetchone() == (Decimal("13.50"),)


@pytest.mark.parametrize("sql", REFUSED)
def test_refusals(connection: Connection, sql: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(sql)
    assert refused.value.sqlstate == REFUSED[sql]


def test_names_are_quoted_in_the_warehouses_sql(connection: Connection) -> None:
    (lines,) = zip(*connection.execute("EXPLAIN SELECT twice(id) FROM one").fetchall(), strict=True)
    assert '"Odd"."twice"(' in lines[-1]


def test_the_catalog_shows_them(connection: Connection) -> None:
    found = connection.execute(
        "SELECT proname, provolatile, proisstrict, proleakproof, pg_get_function_result(oid) "
        "FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
    ).fetchall()
    assert found == [
        ("dice", "v", False, False, "double precision"),
        ("score", "s", False, False, "numeric"),
        ("twice", "s", True, True, "bigint"),
    ]


def test_the_command_lists_them(
    server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(folder / "cubewire.yml")
    assert main(["functions", "score", "--config", config]) == 0
    assert "score(numeric, text) numeric: main.Score on default" in capsys.readouterr().out
    assert main(["functions", "twice", "--config", config, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["data_sources"] == {"distant": "Odd.twice"}


WRONG = {
    "lower": "a function or a key word",
    "measure": "a function or a key word",
    "ceiling": "a function or a key word",
    "unnest": "a function or a key word",
    "coalesce": "a function or a key word",
    "select": "a function or a key word",
    "levenshtein": "a function or a key word",
    "Score": "lower-case",
    "a b": "lower-case",
}


@pytest.mark.parametrize("name", WRONG)
def test_names_that_cannot_be_taken(name: str) -> None:
    function = {"returns": "text", "data_sources": {"default": "main.f"}}
    overrides = {"functions": {name: function}, "data_sources": {"default": {"type": "duckdb"}}}
    config = load_config(None, {}, {}).model_copy(deep=True)
    config = type(config).model_validate({**config.model_dump(exclude={"auth"}), **overrides})
    with pytest.raises(FunctionsError, match=WRONG[name]):
        configured_functions(config)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"returns": "point"}, "no plain type"),
        ({"arguments": ["text[]"]}, "no plain type"),
        ({"data_sources": {"default": "f"}}, "with its schema"),
        ({"data_sources": {"default": 'a."b'}}, "with its schema"),
        ({"data_sources": {}}, "at least 1"),
    ],
)
def test_what_is_no_function(change: dict[str, object], problem: str) -> None:
    function = {"returns": "text", "data_sources": {"default": "main.f"}, **change}
    config = load_config(None, {}, {})
    with pytest.raises(ValueError, match=problem):
        type(config).model_validate({"functions": {"f": function}})


def test_an_unknown_data_source() -> None:
    function = {"returns": "text", "data_sources": {"elsewhere": "main.f"}}
    config = type(load_config(None, {}, {})).model_validate({"functions": {"f": function}})
    with pytest.raises(FunctionsError, match="no data source 'elsewhere'"):
        configured_functions(config)
