"""What every connector returns: types, order, batches, parameters, time zone, probing."""

from __future__ import annotations

import datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest

from connectors.base import Parameter
from connectors.errors import WarehouseError
from tests.connectors.support import CLICKHOUSE, POSTGRES, Warehouse

UTC = datetime.UTC
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
TEXT_UUID = "00000000-0000-0000-0000-00000000002a"

# PostgreSQL type, DuckDB expression, PostgreSQL expression ("" for the same), Arrow type, value.
# Numbers of type numeric may also come as PostgreSQL's text.
SCALARS = [
    ("bool", "true", "", pa.bool_(), True),
    ("int2", "(-7)::int2", "", pa.int16(), -7),
    ("int4", "2147483647::int4", "", pa.int32(), 2147483647),
    ("int8", "9223372036854775807::int8", "", pa.int64(), 9223372036854775807),
    ("float4", "1.5::float4", "", pa.float32(), 1.5),
    ("float8", "1e300::float8", "", pa.float64(), 1e300),
    ("numeric", "12.50::decimal(6,2)", "", pa.decimal128(6, 2), Decimal("12.50")),
    ("text", "'héllo \U0001f6eb'::text", "", pa.string(), "héllo \U0001f6eb"),
    ("varchar", "'abc'::varchar(5)", "", pa.string(), "abc"),
    ("bpchar", "'ab '::varchar", "'ab'::char(3)", pa.string(), "ab "),
    ("name", "'n'::varchar", "'n'::name", pa.string(), "n"),
    ("date", "date '2024-02-29'", "", pa.date32(), datetime.date(2024, 2, 29)),
    ("time", "time '12:30:15.25'", "", pa.time64("us"), MOMENT.time()),
    ("timetz", "(timetz '12:30:15+02')::varchar", "timetz '12:30:15+02'", pa.string(),
     "12:30:15+02"),
    ("timestamp", "timestamp '2024-02-29 12:30:15.25'", "", pa.timestamp("us"), MOMENT),
    (
        "timestamptz",
        "timestamptz '2024-02-29 12:30:15.25Z'",
        "",
        pa.timestamp("us", "UTC"),
        MOMENT.replace(tzinfo=UTC),
    ),
    (
        "interval",
        "interval '1 month' + interval '2 days' + interval '3.5 seconds'",
        "",
        pa.month_day_nano_interval(),
        pa.MonthDayNano([1, 2, 3_500_000_000]),
    ),
    ("uuid", f"'{TEXT_UUID}'::uuid", "", pa.string(), TEXT_UUID),
    ("json", "'{\"a\":[1,null]}'::json", "", pa.string(), '{"a":[1,null]}'),
    ("jsonb", "'{\"a\": 1}'::json", "'{\"a\":1}'::jsonb", pa.string(), '{"a": 1}'),
    ("bytea", "'\\x00\\xFF'::blob", "'\\x00ff'::bytea", pa.binary(), b"\x00\xff"),
    ("_int4", "[1, NULL, 3]::int4[]", "'{1,NULL,3}'::int4[]", pa.list_(pa.int32()), [1, None, 3]),
    ("_int8", "[]::int8[]", "'{}'::int8[]", pa.list_(pa.int64()), []),
    ("_text", "['a,\"b', NULL, 'NULL']", "array['a,\"b', NULL, 'NULL']", pa.list_(pa.string()),
     ["a,\"b", None, "NULL"]),
    ("_bool", "[true, false]", "array[true, false]", pa.list_(pa.bool_()), [True, False]),
    ("_float8", "[0.5::float8]", "array[0.5::float8]", pa.list_(pa.float64()), [0.5]),
    ("_date", "[date '2024-02-29']", "array[date '2024-02-29']", pa.list_(pa.date32()),
     [datetime.date(2024, 2, 29)]),
    ("_timestamp", "[timestamp '2024-02-29 12:30:15.25']",
     "array[timestamp '2024-02-29 12:30:15.25']", pa.list_(pa.timestamp("us")), [MOMENT]),
    ("_interval", "[interval '2 days']", "array[interval '2 days']",
     pa.list_(pa.month_day_nano_interval()), [pa.MonthDayNano([0, 2, 0])]),
    ("_uuid", f"['{TEXT_UUID}'::uuid]", f"array['{TEXT_UUID}'::uuid]", pa.list_(pa.string()),
     [TEXT_UUID]),
    ("_bytea", "['\\x01'::blob]", "array['\\x01'::bytea]", pa.list_(pa.binary()), [b"\x01"]),
    ("_numeric", "[1.5::decimal(4,1), NULL]", "array[1.5, NULL]", pa.list_(pa.decimal128(4, 1)),
     [Decimal("1.5"), None]),
]  # fmt: skip


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return _same_type(found.value_type, expected.value_type)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(expected):
        return found.unit == expected.unit and (found.tz is None) == (expected.tz is None)
    return found == expected or (pa.types.is_decimal(expected) and found == pa.string())


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize(
    ("duckdb", "postgres", "arrow", "value"),
    [case[1:] for case in SCALARS],
    ids=[case[0] for case in SCALARS],
)
async def test_type(
    postgres_like: Warehouse, duckdb: str, postgres: str, arrow: pa.DataType, value: object
) -> None:
    expression = postgres_like.sql(duckdb, postgres or duckdb)
    # What stands around the value shows that what comes after it is read from the right place.
    table = await postgres_like.table(
        f"SELECT * FROM (SELECT 1 AS o, {expression} AS x, 'after' AS z"
        f" UNION ALL SELECT 2, NULL, NULL UNION ALL SELECT 3, {expression}, 'end') AS q ORDER BY o"
    )
    assert _same_type(table.schema.field("x").type, arrow), table.schema
    found = [_plain(item) for item in table["x"].to_pylist()]
    assert found == [_plain(value), None, _plain(value)]
    assert table["z"].to_pylist() == ["after", None, "end"]


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 100_000])
async def test_all_rows_in_order(warehouse: Warehouse, rows: int) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(rows))
    assert stream.schema.names == ["a", "b", "c", "d", "e"]
    seen = 0
    async for batch in stream:
        assert batch.num_rows > 0
        assert batch.schema == stream.schema
        assert batch["a"].to_pylist() == list(range(seen + 1, seen + 1 + batch.num_rows))
        seen += batch.num_rows
    assert seen == rows
    assert [batch async for batch in stream] == []


async def test_order_by_is_kept(warehouse: Warehouse) -> None:
    table = await warehouse.table("SELECT id FROM flights ORDER BY day DESC, id DESC")
    expected = sorted(range(1, 100_001), key=lambda i: (i % 7, i), reverse=True)
    assert table["id"].to_pylist() == expected


async def test_first_batch_is_small(warehouse: Warehouse) -> None:
    stream = await warehouse.connector.execute(warehouse.numbers(100_000))
    sizes = [batch.num_rows async for batch in stream]
    assert sizes[0] <= 20_000
    assert sum(sizes) == 100_000
    await stream.close()


async def test_long_values(warehouse: Warehouse) -> None:
    big = warehouse.sql(*["repeat('x', 3000000)"] * 3, "repeat(repeat('x', 3000), 1000)")
    table = await warehouse.table(f"SELECT {big} AS big, 1 AS one UNION ALL SELECT 'small', 2")
    assert sorted(len(value) for value in table["big"].to_pylist()) == [5, 3_000_000]


async def test_duplicate_and_odd_column_names(warehouse: Warehouse) -> None:
    sql = 'SELECT 1 AS a, 2 AS a, 3 AS "o dd""name", 4 AS "É"'
    stream = await warehouse.connector.execute(
        # One name means one thing in ClickHouse.
        warehouse.sql(
            sql,
            sql,
            'SELECT 1 AS a, 2 AS a, 3 AS `o dd"name`, 4 AS `É`',
            'SELECT 1 AS a, 1 AS a, 3 AS `o dd"name`, 4 AS `É`',
        )
    )
    assert stream.schema.names == ["a", "a", 'o dd"name', "É"]
    batches = [batch async for batch in stream]
    second = 1 if warehouse.kind == CLICKHOUSE else 2
    assert [column[0].as_py() for column in batches[0].columns] == [1, second, 3, 4]


PARAMETERS = [
    ("bool", True, True),
    ("int2", -3, -3),
    ("int4", 2**31 - 1, 2**31 - 1),
    ("int8", -(2**63), -(2**63)),
    ("float4", 0.5, 0.5),
    ("float8", float("inf"), float("inf")),
    ("numeric", Decimal("12345678901234.5678"), "12345678901234.5678"),
    ("text", "it's \\ \" $1 --", "it's \\ \" $1 --"),
    ("text", "", ""),
    ("varchar", "ünï", "ünï"),
    ("date", datetime.date(1999, 12, 31), datetime.date(1999, 12, 31)),
    ("time", datetime.time(1, 2, 3, 4), datetime.time(1, 2, 3, 4)),
    ("timestamp", MOMENT, MOMENT),
    ("timestamptz", MOMENT.replace(tzinfo=UTC), MOMENT.replace(tzinfo=UTC)),
    (
        "timestamptz",
        MOMENT.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
        (MOMENT + datetime.timedelta(hours=5)).replace(tzinfo=UTC),
    ),
    ("interval", "1 mon 2 days 00:00:03.5", pa.MonthDayNano([1, 2, 3_500_000_000])),
    ("interval", "-1 years -2 mons +3 days -04:05:06", None),
    ("uuid", UUID(TEXT_UUID), TEXT_UUID),
    ("json", '{"a":1}', '{"a":1}'),
    ("bytea", b"\x00\xff'\\", b"\x00\xff'\\"),
    ("_int4", [1, None, 3], [1, None, 3]),
    ("_int8", [], []),
    ("_text", ['a,"b', None, "NULL", "\\", ""], ['a,"b', None, "NULL", "\\", ""]),
    ("_date", [datetime.date(1999, 12, 31)], [datetime.date(1999, 12, 31)]),
    ("_bool", [True, None], [True, None]),
    ("_timestamp", [MOMENT], [MOMENT]),
]


def _cast(type_name: str) -> str:
    if type_name == "numeric":
        return "decimal(30,4)"
    return type_name[1:] + "[]" if type_name.startswith("_") else type_name


@pytest.mark.parametrize(("type_name", "value", "expected"), PARAMETERS)
async def test_parameter(
    postgres_like: Warehouse, type_name: str, value: object, expected: object
) -> None:
    cast = _cast(type_name)
    found, other = await postgres_like.values(
        f"SELECT $1::{cast} AS x, $2::{cast} AS y",
        [Parameter(type_name, value), Parameter(type_name, None)],
    )
    if expected is None:
        expected = pa.MonthDayNano([-14, 3, -(4 * 3600 + 5 * 60 + 6) * 10**9])
    assert _plain(found) == expected
    assert other is None


async def test_parameters_in_any_order_and_repeated(warehouse: Warehouse) -> None:
    text = "SELECT $2::text AS a, $1::int8 AS b, $2::text AS c WHERE $1::int8 = 5"
    sql = warehouse.sql(
        text,
        text,
        "SELECT $2 AS a, $1 AS b, $2 AS c FROM dual WHERE $1 = 5",
        "SELECT $2 AS a, $1 AS b, $2 AS c WHERE $1 = 5",
    )
    row = await warehouse.values(sql, [Parameter("int8", 5), Parameter("text", "x")])
    assert row == ["x", 5, "x"]


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "2024-07-01 12:00:00"),
        ("Europe/Berlin", "2024-07-01 14:00:00"),
        ("America/New_York", "2024-07-01 08:00:00"),
        ("<+02>-02", "2024-07-01 14:00:00"),
    ],
)
async def test_time_zone_is_of_the_statement(
    postgres_like: Warehouse, zone: str, shown: str
) -> None:
    sql = "SELECT (timestamptz '2024-07-01 12:00:00+00')::timestamp::text AS t"
    assert await postgres_like.values(sql, time_zone=zone) == [shown]
    assert await postgres_like.values(sql) == ["2024-07-01 12:00:00"]


async def test_unknown_time_zone(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table("SELECT 1 AS a", time_zone="Mars/Olympus'--")
    assert caught.value.sqlstate == "22023"
    assert await warehouse.values("SELECT 1 AS a") == [1]


async def test_probe(warehouse: Warehouse) -> None:
    text = (
        "SELECT id, day, carrier, late, id::decimal(12,3) AS price, date '2024-01-01' AS d,"
        " timestamptz '2024-01-01 00:00Z' AS t, interval '1 day' AS i FROM flights"
    )
    mariadb = (
        "SELECT id, day, carrier, late, cast(id AS decimal(12,3)) AS price, date '2024-01-01' AS d,"
        " from_unixtime(0) AS t, time '00:00' AS i FROM flights"
    )
    clickhouse = (
        "SELECT id, day, carrier, late, CAST(id AS Decimal(12, 3)) AS price, toDate('2024-01-01')"
        " AS d, toDateTime('2024-01-01 00:00:00', 'UTC') AS t, toUUID(carrier) AS i FROM flights"
    )
    columns = await warehouse.connector.probe(warehouse.sql(text, text, mariadb, clickhouse))
    assert [(column.name, column.type_name) for column in columns] == [
        ("id", "int8"),
        ("day", "int4"),
        ("carrier", "text"),
        ("late", "bool"),
        ("price", "numeric"),
        ("d", "date"),
        ("t", warehouse.sql("timestamptz", "timestamptz", "timestamp")),
        ("i", warehouse.sql("interval", "interval", "time", "uuid")),
    ]
    assert columns[4].modifier == (12 << 16 | 3) + 4
    assert columns[0].modifier == -1


@pytest.mark.parametrize(
    ("duckdb", "postgres", "type_name"),
    [
        ("[1, 2]::int4[]", "array[1, 2]", "_int4"),
        ("['a']", "array['a']", "_text"),
        ("'{}'::json", "'{}'::json", "json"),
        ("'a'::enum('a', 'b')", "'a'::text", "text"),
        (f"'{TEXT_UUID}'::uuid", f"'{TEXT_UUID}'::uuid", "uuid"),
        ("''::blob", "''::bytea", "bytea"),
        ("1::utinyint", "1::int2", "int2"),
        ("1::hugeint", "1::numeric", "numeric"),
        ("{'a': 1}", "'{}'::json", "json"),
    ],
)
async def test_probe_type(
    postgres_like: Warehouse, duckdb: str, postgres: str, type_name: str
) -> None:
    expression = postgres_like.sql(duckdb, postgres)
    (column,) = await postgres_like.connector.probe(f"SELECT {expression} AS x")
    assert column.type_name == type_name


async def test_probe_does_not_run(warehouse: Warehouse) -> None:
    columns = await warehouse.connector.probe(warehouse.endless)
    assert [column.name for column in columns] == ["n"]


async def test_dialect_and_capabilities(warehouse: Warehouse) -> None:
    assert warehouse.connector.dialect == warehouse.sql(
        "duckdb", "postgres", "mariadb", "clickhouse"
    )
    assert warehouse.connector.capabilities.encoded_rows is (warehouse.kind == POSTGRES)
