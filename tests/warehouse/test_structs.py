"""Structs and maps of a DuckDB are JSON to clients, which parse it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.reliability.support import cube, dsn
from tests.support.one_cube import serving_cube

TABLE = """CREATE TABLE nested AS SELECT 1::BIGINT AS id, {'a': 1, 'b': 'x'} AS struct,
    map {'k': [1, 2]} AS map, '{"b": 1,  "a": 2}'::JSON AS document"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("nested")
    with duckdb.connect(str(folder / "nested.duckdb")) as connection:
        connection.execute(TABLE)
    members = dict.fromkeys(("struct", "map", "document"), "string")
    source = {"type": "duckdb", "path": str(folder / "nested.duckdb"), "read_only": True}
    with serving_cube(folder, cube("nested", **members), source) as server:
        yield dsn(server, "demo")


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("struct", '{"a":1,"b":"x"}'),
        ("map", '{"k":[1,2]}'),
        ("document", '{"b": 1,  "a": 2}'),
    ],
)
def test_they_are_shown_as_json(client: str, member: str, text: str) -> None:
    with psycopg.connect(client, autocommit=True) as connection:
        for binary in (False, True):
            cursor = connection.execute(f"SELECT {member} FROM nested".encode(), binary=binary)
            assert cursor.fetchone() == (json.loads(text),)
        texts = connection.execute(f"SELECT {member}::text, '' || {member} FROM nested".encode())
        assert texts.fetchone() == (text, text)
        inner = f"SELECT x, array_agg(x) OVER () FROM (SELECT {member} AS x FROM nested) q"
        assert connection.execute(inner.encode()).fetchone() == (
            json.loads(text),
            [json.loads(text)],
        )
