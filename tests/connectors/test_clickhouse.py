"""What is ClickHouse's own: types, settings, broken answers, the server's own end."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.options import ConnectorOptionsError
from connectors.registry import open_connector
from tests.connectors.support import all_rows
from tests.support.clickhouse import INSTALLED, REASON, ClickHouseServer

pytestmark = pytest.mark.skipif(not INSTALLED, reason=REASON)

MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
UUID_TEXT = "00112233-4455-6677-8899-aabbccddeeff"
PASSWORD = "s3cret-of-the-warehouse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    started = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"), PASSWORD)
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def connector(server: ClickHouseServer) -> AsyncIterator[Connector]:
    opened = open_connector("clickhouse", {"url": server.url, "password": PASSWORD})
    await opened.start()
    yield opened
    await opened.close()


async def rows(connector: Connector, sql: str, *args: object, **options: object) -> pa.Table:
    return await all_rows(await connector.execute(sql, *args, **options))  # type: ignore[arg-type]


# ClickHouse's expression, PostgreSQL's type and digits, Arrow's type, value.
TYPES = [
    ("true", "bool", None, pa.bool_(), True),
    ("toInt8(-128)", "int2", None, pa.int16(), -128),
    ("toUInt8(255)", "int2", None, pa.int16(), 255),
    ("toInt16(-32768)", "int2", None, pa.int16(), -32768),
    ("toUInt16(65535)", "int4", None, pa.int32(), 65535),
    ("toInt32(-2147483648)", "int4", None, pa.int32(), -(2**31)),
    ("toUInt32(4294967295)", "int8", None, pa.int64(), 2**32 - 1),
    ("toInt64(-9223372036854775807) - 1", "int8", None, pa.int64(), -(2**63)),
    ("toUInt64(18446744073709551615)", "numeric", (20, 0), pa.decimal128(20, 0),
     Decimal(2**64 - 1)),
    ("toInt128('-170141183460469231731687303715884105728')", "numeric", None,
     pa.decimal256(39, 0), Decimal(-(2**127))),
    ("toUInt128('340282366920938463463374607431768211455')", "numeric", None,
     pa.decimal256(39, 0), Decimal(2**128 - 1)),
    ("toFloat32(1.5)", "float4", None, pa.float32(), 1.5),
    ("-inf", "float8", None, pa.float64(), float("-inf")),
    ("toDecimal32('-1.25', 2)", "numeric", (9, 2), pa.decimal128(9, 2), Decimal("-1.25")),
    ("toDecimal64('1.25', 4)", "numeric", (18, 4), pa.decimal128(18, 4), Decimal("1.2500")),
    ("toDecimal128('0.1', 38)", "numeric", (38, 38), pa.decimal128(38, 38),
     Decimal("0.10000000000000000000000000000000000000")),
    ("toDecimal256('1e40', 2)", "numeric", (76, 2), pa.decimal256(76, 2), Decimal(10**40)),
    ("'héllo \U0001f6eb'", "text", None, pa.string(), "héllo \U0001f6eb"),
    ("toLowCardinality('x')", "text", None, pa.string(), "x"),
    ("toFixedString('ab', 4)", "varchar", None, pa.string(), "ab"),
    ("toFixedString('0123456789abcdef', 16)", "varchar", None, pa.string(), "0123456789abcdef"),
    (r"CAST('it\'s, b', 'Enum8(\'a\' = -1, \'it\\\'s, b\' = 2)')", "varchar", None, pa.string(),
     "it's, b"),
    ("CAST('b', 'Enum16(\\'a\\' = 1, \\'b\\' = 2000)')", "varchar", None, pa.string(), "b"),
    (f"toUUID('{UUID_TEXT}')", "uuid", None, pa.string(), UUID_TEXT),
    ("toDate('2149-06-06')", "date", None, pa.date32(), datetime.date(2149, 6, 6)),
    ("toDate32('1900-01-01')", "date", None, pa.date32(), datetime.date(1900, 1, 1)),
    ("toDateTime('2024-02-29 12:30:15')", "timestamp", None, pa.timestamp("us"),
     MOMENT.replace(microsecond=0)),
    ("toDateTime('2024-02-29 12:30:15', 'Europe/Berlin')", "timestamptz", None,
     pa.timestamp("us", "UTC"), datetime.datetime(2024, 2, 29, 11, 30, 15, tzinfo=datetime.UTC)),
    ("toDateTime64('2024-02-29 12:30:15', 0)", "timestamp", None, pa.timestamp("us"),
     MOMENT.replace(microsecond=0)),
    ("toDateTime64('2024-02-29 12:30:15.25', 3)", "timestamp", None, pa.timestamp("us"), MOMENT),
    ("toDateTime64('1901-02-03 04:05:06.000007', 6)", "timestamp", None, pa.timestamp("us"),
     datetime.datetime(1901, 2, 3, 4, 5, 6, 7)),
    ("toDateTime64('2024-02-29 12:30:15.25', 6, 'UTC')", "timestamptz", None,
     pa.timestamp("us", "UTC"), MOMENT.replace(tzinfo=datetime.UTC)),
    ("[toInt8(1), NULL, 3]", "_int2", None, pa.list_(pa.int16()), [1, None, 3]),
    ("[[toUInt32(1)], []]", "_int8", None, pa.list_(pa.list_(pa.int64())), [[1], []]),
    ("[CAST('a', 'Enum8(\\'a\\' = 1)')]", "_varchar", None, pa.list_(pa.string()), ["a"]),
    ("emptyArrayString()", "_text", None, pa.list_(pa.string()), []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "name", "digits", "arrow", "value"), TYPES, ids=[case[0] for case in TYPES]
)
async def test_type(
    connector: Connector,
    expression: str,
    name: str,
    digits: tuple[int, int] | None,
    arrow: pa.DataType,
    value: object,
) -> None:
    sql = f"SELECT 1::Int32 AS o, {expression} AS x, 'after' AS z"
    (_, column, _) = await connector.probe(sql)
    modifier = -1 if digits is None else (digits[0] << 16 | digits[1]) + 4
    assert (column.name, column.type_name, column.modifier) == ("x", name, modifier)
    table = await rows(connector, sql)
    assert table.schema.field("x").type == arrow
    assert table.to_pylist() == [{"o": 1, "x": value, "z": "after"}]


@pytest.mark.parametrize(
    "expression",
    [case[0] for case in TYPES if not case[1].startswith("_") and "LowCard" not in case[0]],
)
async def test_null_of_each_type(connector: Connector, expression: str) -> None:
    sql = f"SELECT if(number = 1, NULL, {expression}) AS x FROM numbers(3) ORDER BY number"
    values = (await rows(connector, sql))["x"].to_pylist()
    assert values[1] is None
    assert values[0] == values[2] is not None


@pytest.mark.parametrize(
    "expression",
    [
        "map('a', 1)",
        "(1, 'a')",
        "toInt256(1)",
        "toIPv4('1.2.3.4')",
        "toDateTime64('2024-02-29 12:30:15', 9)",
        "INTERVAL 3 DAY",
        "CAST('a', 'Variant(Int8, String)')",
        "[map('a', 1)]",
    ],
)
async def test_types_without_counterpart_are_refused_by_name(
    connector: Connector, expression: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        await connector.probe(f"SELECT 1 AS a, {expression} AS odd")
    assert caught.value.sqlstate == "0A000"
    assert '"odd"' in caught.value.message
    if expression.startswith("INTERVAL"):
        return  # its rows are integers, which nothing tells from others
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, f"SELECT {expression} AS odd, toInt8(1) AS a")
    assert caught.value.sqlstate == "0A000"


async def test_text_that_is_not_utf8_is_an_error(connector: Connector) -> None:
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, "SELECT unhex('ff') AS x")
    assert caught.value.sqlstate == "22021"
    assert (await rows(connector, "SELECT 42 AS a")).num_rows == 1


PARAMETERS = [
    ("int8", -(2**63), -(2**63)),
    ("int2", -3, -3),
    ("float8", float("-inf"), float("-inf")),
    ("float8", 1e300, 1e300),
    ("numeric", Decimal("1E+3"), Decimal(1000)),
    ("numeric", Decimal("-12345678901234567890.1234"), Decimal("-12345678901234567890.1234")),
    ("text", "it's \\ \" $1 {p1:Int64} \n\t --", "it's \\ \" $1 {p1:Int64} \n\t --"),
    ("text", "", ""),
    ("text", "\\N", "\\N"),
    ("bool", False, False),
    ("date", datetime.date(1950, 1, 2), datetime.date(1950, 1, 2)),
    ("timestamp", MOMENT, MOMENT),
    ("timestamptz",
     MOMENT.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
     (MOMENT + datetime.timedelta(hours=5)).replace(tzinfo=datetime.UTC)),
    ("uuid", UUID_TEXT, UUID_TEXT),
    ("_text", ["a,'b\"\\", None, "NULL", ""], ["a,'b\"\\", None, "NULL", ""]),
    ("_int8", [1, None, -2], [1, None, -2]),
    ("_numeric", [Decimal("1.5"), None], [Decimal("1.5"), None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), PARAMETERS)
async def test_parameter(connector: Connector, name: str, value: object, expected: object) -> None:
    sql = "SELECT $2 AS x, $1 AS y, '$1 it''s \\\\' AS z, $tag$ $2 $tag$ AS t -- $3"
    other = None if not name.startswith("_") else []
    table = await rows(connector, sql, [Parameter(name, other), Parameter(name, value)])
    assert table.to_pylist() == [{"x": expected, "y": other, "z": "$1 it's \\", "t": " $2 "}]


@pytest.mark.parametrize(
    ("sql", "parameter", "sqlstate"),
    [
        ("SELECT $2", Parameter("int8", 1), "42P02"),
        ("SELECT $1", Parameter("bytea", b"x"), "0A000"),
        ("SELECT $1", Parameter("interval", "1 day"), "0A000"),
        ("SELECT $1", Parameter("numeric", Decimal("NaN")), "0A000"),
        ("SELECT $1", Parameter("text", "a\x00b"), "22021"),
        ("SELECT $1", Parameter("date", datetime.date(1850, 1, 1)), "22008"),
        ("SELECT $1", Parameter("timestamp", datetime.datetime(2300, 1, 1)), "22008"),
    ],
)
async def test_parameter_that_cannot_be_sent(
    connector: Connector, sql: str, parameter: Parameter, sqlstate: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        await rows(connector, sql, [parameter])
    assert caught.value.sqlstate == sqlstate
    assert not caught.value.reached


SEMANTICS = [
    # A left join without a match, an aggregate of nothing, NULL in grouping sets.
    ("SELECT b.x AS x FROM (SELECT 1 AS k) AS a LEFT JOIN (SELECT 2 AS k, 3 AS x) AS b"
     " ON a.k = b.k", [None]),
    ("SELECT sum(number) AS x FROM numbers(0)", [None]),
    ("SELECT count() AS x FROM numbers(0)", [0]),
    ("SELECT k AS x FROM (SELECT 1 AS k) GROUP BY ROLLUP (k) ORDER BY k NULLS LAST", [1, None]),
    # The column and not the alias of the same name.
    ("SELECT number + 1 AS number FROM numbers(3) WHERE number = 0", [1]),
    ("SELECT 1 AS x UNION SELECT 1", [1]),
    ("SELECT 1 AS x FROM numbers(2) INTERSECT SELECT 1", [1]),
    ("SELECT if(number = 0, 1, 10 DIV number) AS x FROM numbers(2) ORDER BY number", [1, 10]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), SEMANTICS)
async def test_settings_give_the_meaning_of_sql(
    connector: Connector, sql: str, expected: list[object]
) -> None:
    table = await rows(connector, sql)
    assert [row["x" if "x" in row else "number"] for row in table.to_pylist()] == expected


async def test_a_limit_of_the_server_never_shortens_a_result(server: ClickHouseServer) -> None:
    options = {
        "url": server.url,
        "password": PASSWORD,
        "settings": ["max_result_rows=10", "max_threads=1"],
    }
    opened = open_connector("clickhouse", options)
    await opened.start()
    with pytest.raises(WarehouseError) as caught:
        await rows(opened, "SELECT number FROM numbers(1000)")
    assert caught.value.sqlstate == "54000"
    await opened.close()


@pytest.mark.parametrize(
    "options",
    [
        {"url": "clickhouse://host"},
        {"url": "http://"},
        {"url": "http://host", "settings": ["readonly=0"]},
        {"url": "http://host", "settings": ["max_threads"]},
        {"url": "http://host", "pool_size": 0},
        {"url": "http://host", "read_seconds": 0},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ConnectorOptionsError):
        open_connector("clickhouse", options)


async def test_password(server: ClickHouseServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-but-a-secret"
    opened = open_connector("clickhouse", {"url": server.url, "password": wrong})
    with pytest.raises(WarehouseError) as caught:
        await opened.start()
    assert caught.value.sqlstate == "28P01"
    await opened.close()
    in_url = server.url.replace("//", f"//default:{PASSWORD}@")
    opened = open_connector("clickhouse", {"url": in_url, "retry_seconds": 0})
    await opened.start()
    await opened.close()
    for secret in (wrong, PASSWORD):
        assert secret not in caplog.text
        assert secret not in str(caught.value.__dict__)
        assert secret not in repr(opened._options)  # type: ignore[attr-defined]


async def test_server_that_is_not_there() -> None:
    options = {"url": "http://127.0.0.1:1/default", "retry_seconds": 0.2, "connect_seconds": 1}
    opened = open_connector("clickhouse", options)
    started = time.monotonic()
    with pytest.raises(WarehouseError) as caught:
        await opened.start()
    assert caught.value.sqlstate == "08006"
    assert not caught.value.reached
    assert time.monotonic() - started < 5
    await opened.close()


async def test_server_that_dies_in_the_middle(tmp_path: Path) -> None:
    server = ClickHouseServer(tmp_path)
    server.start()
    opened = open_connector("clickhouse", {"url": server.url, "retry_seconds": 0})
    try:
        await opened.start()
        stream = await opened.execute("SELECT number, toString(number) FROM numbers(1000000000)")
        await anext(aiter(stream))
        server.kill()
        with pytest.raises(WarehouseError) as caught:
            await all_rows(stream)
        assert caught.value.sqlstate == "08006"
        await stream.close()
        with pytest.raises(WarehouseError) as caught:
            await opened.health()
        assert caught.value.sqlstate == "08006"
        started = time.monotonic()
        await opened.close()
        assert time.monotonic() - started < 10
    finally:
        server.stop()


async def test_a_stopped_statement_leaves_the_server(
    connector: Connector, server: ClickHouseServer
) -> None:
    sql = "SELECT count() FROM numbers(100000000000) WHERE number * number % 7 = 3"
    task = asyncio.create_task(rows(connector, sql))
    running = "SELECT count() FROM system.processes WHERE query LIKE '%100000000000%7 = 3%'"
    for _ in range(100):
        await asyncio.sleep(0.05)
        if server.query(f"{running} AND query NOT LIKE '%processes%'") == "1\n":
            break
    else:
        raise AssertionError("the statement never ran")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if server.query(f"{running} AND query NOT LIKE '%processes%'") == "0\n":
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("the statement went on")
