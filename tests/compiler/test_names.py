"""Names as PostgreSQL gives them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

import semantic.compiler.bind  # noqa: F401 (settles how the parser reads functions)
from semantic.compiler.names import Names, output_name, truncate
from semantic.compiler.parse import parse
from tests.support.oracle import OraclePostgres

EXPRESSIONS = """
a
"A"
t.a
(a)
a + 1
-a
a::text
a::int8
1::int
'x'::text
'x'::bytea
'1'::numeric(3,1)
date '2020-01-01'
timestamp with time zone '2020-01-01'
interval '1 day'
CAST(a AS double precision)
CAST(NULL AS varchar(3))
lower('x')
UPPER('x')
"lower"('x')
pg_catalog.lower('x')
count(*)
count(DISTINCT a)
sum(a) OVER ()
sum(a) FILTER (WHERE true)
max(a) FILTER (WHERE true) OVER ()
string_agg('x', ',')
percentile_cont(0.5) WITHIN GROUP (ORDER BY a)
coalesce(a, 1)
nullif(a, 1)
greatest(a, 2)
least(a, 2)
CASE WHEN true THEN 1 END
CASE WHEN true THEN 1 ELSE a END
CASE a WHEN 1 THEN 'y' ELSE lower('x') END
CASE WHEN true THEN 1 ELSE 2::int END
extract(year FROM now())
date_part('year', now())
date_trunc('month', now())
substring('abc', 1, 2)
substring('abc' FROM 1 FOR 2)
position('a' IN 'abc')
trim('x')
trim(both 'x' from 'y')
trim(leading 'x' from 'y')
overlay('abc' placing 'x' from 1)
current_date
current_timestamp
current_user
session_user
localtimestamp
now()
now() AT TIME ZONE 'UTC'
a IN (1, 2)
a IS NULL
a BETWEEN 1 AND 2
NOT true
true
NULL
'x'
1.5
ARRAY[1, 2]
ARRAY(SELECT 1)
(ARRAY[1, 2])[1]
EXISTS (SELECT 1)
(SELECT 1)
(SELECT 1 AS one)
(SELECT b FROM (SELECT 1 AS b) AS q)
'a' || 'b'
'a' LIKE 'b'
'a' ~ 'b'
row_number() OVER ()
lag(a) OVER (ORDER BY a)
grouping(a)
round(1.5, 1)
length('x')
char_length('x')
strpos('a', 'b')
left('abc', 1)
to_char(now(), 'YYYY')
to_timestamp(0)
random()
bool_and(true)
every(true)
stddev(a)
variance(a)
var_pop(a)
generate_series(1, 2)
md5('x')
a COLLATE "C"
ceil(1.5)
ceiling(1.5)
power(2, 3)
2 ^ 3
mod(5, 2)
5 % 2
json_build_object('a', 1)
'{"a": 1}'::json -> 'a'
""".strip().splitlines()


@pytest.fixture(scope="module")
def connection(oracle: OraclePostgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(oracle.dsn, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_output_name(expression: str, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    if expression == 'a COLLATE "C"':
        source = "(SELECT 'x'::text AS a) AS t"
    elif expression == '"A"':
        source = '(SELECT 1 AS "A") AS t'
    else:
        source = "(SELECT 1 AS a) AS t"
    group = " GROUP BY a" if expression.startswith("grouping") else ""
    sql = f"SELECT {expression} FROM {source}{group}"
    result = connection.pgconn.prepare(b"", sql.encode())
    assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message
    expected = (connection.pgconn.describe_prepared(b"").fname(0) or b"").decode()
    parsed = parse(sql)
    assert output_name(parsed.tree.expressions[0], sql) == expected


def test_names_differ_whatever_the_case() -> None:
    names = Names()
    assert [names.take(name) for name in ("a", "A", "a", "a_2", "")] == [
        "a",
        "A_2",
        "a_3",
        "a_2_2",
        "column",
    ]


def test_truncate() -> None:
    assert truncate("a" * 70) == "a" * 63
    assert truncate("é" * 40) == "é" * 31
    assert truncate("short") == "short"


def test_long_names_differ_in_what_postgres_keeps_of_them() -> None:
    names = Names()
    taken = [names.take("é" * 40 + end) for end in ("a", "b", "c")]
    assert len(set(taken)) == 3
    assert all(len(name.encode()) <= 63 for name in taken)
