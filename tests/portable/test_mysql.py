"""What is MySQL's own: columns that PostgreSQL has no like of, and the text of its kin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connectors.errors import WarehouseError
from connectors.registry import open_connector
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType
from tests.portable.bench import Bench
from tests.support.mariadb import is_installed, shared_mariadb

COLUMNS = {
    "id": PostgresType("int4"),
    "small": PostgresType("int8"),
    "year": PostgresType("int2"),
    "huge": PostgresType("numeric", (20 << 16) + 4),
    "flag": PostgresType("bool"),
    "old": PostgresType("text"),
    "kind": PostgresType("text"),
    "seen": PostgresType("timestamptz"),
    "day": PostgresType("date"),
    "at": PostgresType("timestamp"),
    "name": PostgresType("text"),
    "price": PostgresType("numeric", (10 << 16 | 2) + 4),
}
TABLE = [
    "SET sql_mode = '', time_zone = '+00:00'",
    "CREATE OR REPLACE TABLE t (id int, small int unsigned, year year, huge bigint unsigned,"
    " flag tinyint(1), old varchar(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci,"
    " kind enum('b', 'A'), seen timestamp(6) NULL, day date, at datetime(6))",
    "INSERT INTO t VALUES"
    " (1, 1, 2024, 18446744073709551615, 1, 'é', 'b', '2024-01-01 10:00', '2024-01-31',"
    " '2024-01-31 10:00'),"
    " (2, 3, 1999, 1, 2, 'É', 'A', '2038-01-19 03:14:07', '2024-02-29', '2024-02-29 10:00'),"
    " (3, 0, 2001, 0, 0, 'e ', 'A', NULL, '0000-00-00', '0000-00-00')",
]

ANSWERS = [
    # Unsigned integers make no unsigned ones.
    ("small - 5", "int8", "", [-4, -2, -5]),
    ("-small", "int8", "", [-1, -3, 0]),
    ("huge * huge", "numeric", "WHERE id = 1", [str(18446744073709551615**2)]),
    ("huge - 2", "numeric", "WHERE id > 1", ["-1", "-2"]),
    ("count(*)", "int8", "WHERE year = 24", [0]),
    ("count(*)", "int8", "WHERE year = 2024", [1]),
    ("count(*)", "int8", "WHERE flag", [2]),
    ("count(DISTINCT flag)", "int8", "", [2]),
    # Text of other character sets, and what is no text there, by its bytes.
    ("count(DISTINCT old)", "int8", "", [3]),
    ("id", "int4", "WHERE old = 'É'", [2]),
    ("id", "int4", "WHERE old = 'e'", []),
    ("id", "int4", "ORDER BY old", [3, 2, 1]),
    ("max(kind)", "text", "", ["b"]),
    ("id", "int4", "ORDER BY kind, id", [2, 3, 1]),
    # Beyond what a TIMESTAMP holds.
    ("count(*)", "int8", "WHERE seen < '2050-01-01 00:00:00+00'", [2]),
    ("count(*)", "int8", "WHERE seen > '1950-01-01 00:00:00+00'", [2]),
    ("extract(year FROM seen + interval '100 years')", "numeric", "WHERE id = 2", ["2138"]),
]  # fmt: skip

NO_DATES = [
    ("extract(year FROM day)", "numeric"),
    ("date_part('dow', at)", "float8"),
    ("date_trunc('month', at)", "timestamp"),
    ("date_trunc('year', at)", "timestamp"),
    ("date_trunc('week', at)", "timestamp"),
    ("day + 1", "date"),
    ("day + interval '1 month'", "timestamp"),
    ("day - date '2024-01-01'", "int4"),
    ("day::text", "text"),
    ("at::text", "text"),
    ("at::date", "date"),
    ("day::timestamp", "timestamp"),
    ("day", "date"),
    ("min(day)", "date"),
]  # fmt: skip

needs_server = pytest.mark.skipif(not is_installed(), reason="mariadb-server is not installed")


def bench(dialect: str) -> Bench:
    """What writes statements, without warehouses."""
    return Bench(cast("Any", None), cast("Any", SimpleNamespace(dialect=dialect)), COLUMNS)


@pytest.fixture
async def mariadb() -> AsyncIterator[Bench]:
    server = shared_mariadb()
    server.run(TABLE)
    connector = open_connector("mariadb", server.options)
    await connector.start()
    yield Bench(cast("Any", None), connector, COLUMNS)
    await connector.close()


@needs_server
async def test_columns(mariadb: Bench) -> None:
    for text, name, rest, expected in ANSWERS:
        kind = PostgresType(name)
        sql = mariadb.emitted(text, kind, rest or "")
        found = await mariadb.actual(sql, kind)
        shown = [str(value) for value in found] if name == "numeric" else found
        assert shown == expected, sql


@needs_server
async def test_zero_dates_are_no_dates(mariadb: Bench) -> None:
    for text, name in NO_DATES:
        kind = PostgresType(name)
        rest = "" if text.startswith("min") else "WHERE id = 3"
        sql = mariadb.emitted(text, kind, rest)
        with pytest.raises(WarehouseError) as caught:
            await mariadb.actual(sql, kind)
        assert caught.value.sqlstate == "22008", sql
        await mariadb.actual(mariadb.emitted(text, kind, "WHERE id < 3"), kind)


@needs_server
@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("id / (id - 1)", "22012", "division by zero"),
        ("id % (id - 1)", "22012", "division by zero"),
        ("substring(old FROM 1 FOR -1)", "22011", "negative substring length not allowed"),
        ("day + 3000000", "22008", "date out of range"),
    ],
)
async def test_errors_are_told(mariadb: Bench, text: str, sqlstate: str, message: str) -> None:
    kinds = {"id": "int4", "su": "text", "da": "date"}
    kind = PostgresType(kinds[text[:2]])
    with pytest.raises(WarehouseError) as caught:
        await mariadb.actual(mariadb.emitted(text, kind, "WHERE id < 3"), kind)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)


_NAME = "(CONVERT( name USING utf8mb4) COLLATE utf8mb4_0900_bin)"
WRITTEN = [
    ("mysql", "count(DISTINCT name) FILTER (WHERE flag)", "int8",
     "WHERE name LIKE 'a!_%' ESCAPE '!' OR name = 'it''s \\'",
     f"/* int8 */ SELECT COUNT(DISTINCT (CASE WHEN (flag <> 0) THEN {_NAME} END) ) AS `x` FROM t"
     f" WHERE (({_NAME} LIKE 'a!_%' ESCAPE '!') OR ({_NAME} = 'it''s \\\\'))"),
    ("mysql", "row_number() OVER (PARTITION BY flag ORDER BY name)", "int8", "",
     "/* int8 */ SELECT (row_number() OVER (PARTITION BY (flag <> 0) ORDER BY"
     f" ({_NAME} IS NULL) ASC, {_NAME} ASC)) AS `x` FROM t"),
    ("starrocks", "sum(id)", "int8",
     "WHERE day >= '2024-01-01' GROUP BY name ORDER BY name DESC NULLS LAST",
     "/* int8 */ SELECT CAST(SUM(CAST( id AS DECIMAL(38,0))) AS BIGINT) AS `x` FROM t"
     " WHERE (day >= CAST( '2024-01-01' AS DATE)) GROUP BY name ORDER BY name DESC"),
    ("starrocks", "date_trunc('month', at)", "timestamp", "WHERE price > 1.5",
     "/* timestamp */ SELECT (DATE_TRUNC('month', at )) AS `x` FROM t"
     " WHERE (price > CAST( CAST( 1.5 AS DECIMAL(2,1) ) AS DECIMAL(10,2) ))"),
    ("doris", "date_trunc('month', at)", "timestamp", "",
     "/* timestamp */ SELECT (DATE_TRUNC( `at` , 'month')) AS `x` FROM t"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text", "kind", "rest", "expected"), WRITTEN)
def test_text(dialect: str, text: str, kind: str, rest: str, expected: str) -> None:
    """Of servers that none of these tests runs."""
    assert bench(dialect).emitted(text, PostgresType(kind), rest) == expected


@pytest.mark.parametrize("dialect", ["starrocks", "doris"])
@pytest.mark.parametrize("text", ["lower(name)", "name LIKE 'a%'", "id + 1", "max(at::text)"])
def test_what_is_not_known_of_them_is_refused(dialect: str, text: str) -> None:
    with pytest.raises(UnsupportedError):
        bench(dialect).emitted(text, PostgresType("text"), "")
