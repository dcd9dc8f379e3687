"""Types that the model declares for columns of a PostgreSQL that has others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.reliability.support import dsn
from tests.support.one_cube import serving_cube
from tests.support.oracle import OraclePostgres
from tests.support.tables import fresh_database

VIEW = """CREATE VIEW declared AS
  SELECT 1::bigint AS id, 'DE'::text AS country, 2.5::float8 AS price,
    '{"b": 1, "a": 2}'::json AS document, 'x'::text AS letter, '\\x00ff'::text AS bytes,
    '{1,2}'::bigint[] AS list, '{a,b}'::text[] AS names, 7::bigint AS small"""
DECLARED = {
    "country": ("varchar(2)", "DE"),
    "price": ("numeric", "2.5"),
    "document": ("jsonb", '{"a": 2, "b": 1}'),
    "letter": ("bpchar", "x"),
    "bytes": ("bytea", "\\x00ff"),
    "list": ("integer[]", "{1,2}"),
    "names": ("varchar(5)[]", "{a,b}"),
    "small": ("smallint", "7"),
}
KINDS = {"price": "number", "small": "number"}


@pytest.fixture(scope="module")
def client(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("declared")
    fresh_database(oracle, "declared")
    source = oracle.dsn.replace("/postgres", "/declared")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(VIEW)  # type: ignore[arg-type]
    dimensions = [{"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True}] + [
        {
            "name": name,
            "type": KINDS.get(name, "string"),
            "sql": f"{{CUBE}}.{name}",
            "data_type": kind,
        }
        for name, (kind, _) in DECLARED.items()
    ]
    described = {"name": "declared", "sql_table": "declared", "dimensions": dimensions}
    with serving_cube(folder, described, {"type": "postgres", "dsn": source}) as server:
        yield dsn(server, "demo")


@pytest.mark.parametrize("name", DECLARED)
def test_rows_have_the_declared_type(client: str, name: str) -> None:
    kind, text = DECLARED[name]
    with psycopg.connect(client, autocommit=True) as connection:
        (oid,) = connection.execute(f"SELECT '{kind}'::regtype::oid::int".encode()).fetchone() or (
            0,
        )
        for columns in (name, f"{name}, id"):
            found = connection.pgconn.exec_(f"SELECT {columns} FROM declared".encode())
            assert not found.error_message, found.error_message
            assert (found.ftype(0), found.get_value(0, 0)) == (oid, text.encode())
        binary = connection.pgconn.exec_params(
            f"SELECT {name} FROM declared".encode(), [], result_format=1
        )
        assert not binary.error_message, binary.error_message
