"""What is MySQL's own: types, errors, packets, connections, secrets."""

from __future__ import annotations

import asyncio
import datetime
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.base import Parameter
from connectors.errors import WarehouseError
from connectors.mysql_errors import code_of
from connectors.mysql_flavours import MARIADB, MYSQL
from connectors.mysql_packets import ROW, PacketSplitter
from connectors.mysql_types import with_markers
from connectors.options import ConnectorOptionsError
from connectors.registry import open_connector
from tests.connectors.support import MARIADB as KIND
from tests.connectors.support import Warehouse, open_warehouse
from tests.support.mariadb import MariaDb, start_mariadb
from tests.support.waiting import until_async

UTC = datetime.UTC
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)

# Column type, a value as SQL, PostgreSQL's type and modifier, Arrow type, the value.
TYPES = [
    ("tinyint(1)", "1", "bool", -1, pa.bool_(), True),
    ("tinyint(1)", "2", "bool", -1, pa.bool_(), True),
    ("bit(1)", "b'0'", "bool", -1, pa.bool_(), False),
    ("tinyint", "-128", "int2", -1, pa.int16(), -128),
    ("tinyint(1) unsigned", "255", "int2", -1, pa.int16(), 255),
    ("smallint", "-32768", "int2", -1, pa.int16(), -32768),
    ("smallint unsigned", "65535", "int4", -1, pa.int32(), 65535),
    ("mediumint", "-8388608", "int4", -1, pa.int32(), -8388608),
    ("mediumint unsigned", "16777215", "int4", -1, pa.int32(), 16777215),
    ("int", "-2147483648", "int4", -1, pa.int32(), -(2**31)),
    ("int unsigned", "4294967295", "int8", -1, pa.int64(), 2**32 - 1),
    ("bigint", "-9223372036854775808", "int8", -1, pa.int64(), -(2**63)),
    ("bigint unsigned", "18446744073709551615", "numeric", (20 << 16) + 4, pa.decimal128(20, 0),
     Decimal(2**64 - 1)),
    ("year", "2155", "int2", -1, pa.int16(), 2155),
    ("decimal(6,2)", "-1234.50", "numeric", (6 << 16 | 2) + 4, pa.decimal128(6, 2),
     Decimal("-1234.50")),
    ("decimal(6,2) unsigned", "1234.50", "numeric", (6 << 16 | 2) + 4, pa.decimal128(6, 2),
     Decimal("1234.50")),
    ("decimal(65,30)", "-0." + "9" * 30, "numeric", (65 << 16 | 30) + 4, pa.string(),
     "-0." + "9" * 30),
    ("float", "0.1", "float4", -1, pa.float32(), 0.10000000149011612),
    ("double", "1e300", "float8", -1, pa.float64(), 1e300),
    ("date", "'9999-12-31'", "date", -1, pa.date32(), datetime.date(9999, 12, 31)),
    ("datetime", "'1000-01-01 00:00:00'", "timestamp", -1, pa.timestamp("us"),
     datetime.datetime(1000, 1, 1)),
    ("datetime(6)", "'2024-02-29 12:30:15.25'", "timestamp", -1, pa.timestamp("us"), MOMENT),
    ("timestamp(6) null", "'2024-02-29 12:30:15.25'", "timestamptz", -1, pa.timestamp("us", "UTC"),
     MOMENT.replace(tzinfo=UTC)),
    ("time(6)", "'12:30:15.25'", "time", -1, pa.time64("us"), MOMENT.time()),
    ("time", "'00:00:00'", "time", -1, pa.time64("us"), datetime.time()),
    ("char(5) charset utf8mb4", "'ab '", "text", -1, pa.string(), "ab"),
    ("varchar(9) charset latin1", "'héé '", "text", -1, pa.string(), "héé "),
    ("longtext charset utf8mb4", "repeat('\U0001f6eb', 70000)", "text", -1, pa.string(),
     "\U0001f6eb" * 70000),
    ("enum('a', 'b')", "'b'", "text", -1, pa.string(), "b"),
    ("set('x', 'y')", "'y,x'", "text", -1, pa.string(), "x,y"),
    ("varbinary(9)", "x'00ff'", "bytea", -1, pa.binary(), b"\x00\xff"),
    ("longblob", "repeat(x'01', 70000)", "bytea", -1, pa.binary(), b"\x01" * 70000),
]  # fmt: skip


@pytest.fixture
async def warehouse(mariadb_server: MariaDb, tmp_path: Path) -> AsyncIterator[Warehouse]:
    async with open_warehouse(KIND, tmp_path, mariadb_server) as opened:
        yield opened


async def test_types(warehouse: Warehouse, mariadb_server: MariaDb) -> None:
    """In one table, so that each value is read from where the one before ends."""
    columns = ", ".join(f"c{number} {case[0]}" for number, case in enumerate(TYPES))
    values = ", ".join(case[1] for case in TYPES)
    nulls = ", ".join("NULL" for _ in TYPES)
    mariadb_server.run([
        "SET time_zone = '+00:00'",
        f"CREATE TABLE types (n int, {columns})",
        f"INSERT INTO types VALUES (1, {values}), (2, {nulls}), (3, {values})",
    ])  # fmt: skip
    try:
        probed = await warehouse.connector.probe("SELECT * FROM types")
        table = await warehouse.table("SELECT * FROM types ORDER BY n")
    finally:
        mariadb_server.run(["DROP TABLE types"])
    for number, (declared, _, name, modifier, arrow, value) in enumerate(TYPES):
        column = probed[number + 1]
        assert (column.type_name, column.modifier) == (name, modifier), declared
        found = table[f"c{number}"]
        assert found.type == arrow, declared
        assert found.to_pylist() == [value, None, value], declared


PARAMETERS = [
    ("int2", -3, -3),
    ("int8", -(2**63), -(2**63)),
    ("float8", 1e-300, 1e-300),
    ("numeric", Decimal("12345678901234567890.5678"), Decimal("12345678901234567890.5678")),
    ("text", "it's \\ \" $1 -- \U0001f6eb\r\n", "it's \\ \" $1 -- \U0001f6eb\r\n"),
    ("text", "", ""),
    ("text", "x" * 70_000, "x" * 70_000),
    ("date", datetime.date(1999, 12, 31), datetime.date(1999, 12, 31)),
    ("time", datetime.time(1, 2, 3, 4), datetime.time(1, 2, 3, 4)),
    ("timestamp", MOMENT, MOMENT),
    ("timestamptz", MOMENT.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
     MOMENT + datetime.timedelta(hours=5)),
    ("bytea", b"\x00\xff'\\", b"\x00\xff'\\"),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "value", "expected"), PARAMETERS)
async def test_parameter(
    warehouse: Warehouse, type_name: str, value: object, expected: object
) -> None:
    row = await warehouse.values(
        "SELECT $1 AS x, $2 AS y, '$1' AS z",
        [Parameter(type_name, value), Parameter(type_name, None)],
    )
    assert row == [expected, None, "$1"]


@pytest.mark.parametrize(
    ("parameter", "sqlstate"),
    [
        (Parameter("float8", float("inf")), "22003"),
        (Parameter("numeric", Decimal("NaN")), "22003"),
        (Parameter("_int4", [1]), "0A000"),
        (Parameter("interval", "1 day"), "0A000"),
        (Parameter("text", "\udcff"), "22021"),
    ],
)
async def test_parameter_that_cannot_be_sent(
    warehouse: Warehouse, parameter: Parameter, sqlstate: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table("SELECT $1 AS x", [parameter])
    assert caught.value.sqlstate == sqlstate
    assert not caught.value.reached


def test_marks() -> None:
    first, second = Parameter("text", "a"), Parameter("text", "b")
    sql = "SELECT '$1\\'$1', `$1`, \"$1\", $2 /* $1 */, $1 -- $1\n, $2"
    marked, ordered = with_markers(sql, (first, second))
    assert marked == "SELECT '$1\\'$1', `$1`, \"$1\", ? /* $1 */, ? -- $1\n, ?"
    assert ordered == (second, first, second)
    with pytest.raises(WarehouseError) as caught:
        with_markers("SELECT $3", (first, second))
    assert caught.value.sqlstate == "42P02"


@pytest.mark.parametrize(
    ("expression", "sqlstate", "said"),
    [
        ("(SELECT d FROM zeros)", "22008", '"0000-00-00"'),
        ("(SELECT t FROM zeros)", "22008", '"2024-00-10"'),
        ("time '-01:00:00'", "22008", "no time of day"),
        ("time '24:00:00'", "22008", "no time of day"),
        ("point(1, 2)", "0A000", 'column "x"'),
        ("(SELECT b FROM zeros)", "0A000", "BIT"),
        ("9223372036854775807 + 1", "22003", "out of range"),
        ("(SELECT id FROM flights)", "21000", "more than 1 row"),
        ("abs(1, 2)", "42883", "abs"),
        ("'a' COLLATE utf8mb4_bin = 'b' COLLATE utf8mb4_general_ci", "42P22", "collation"),
    ],
)
async def test_what_has_no_answer(
    warehouse: Warehouse, mariadb_server: MariaDb, expression: str, sqlstate: str, said: str
) -> None:
    mariadb_server.run([
        "SET sql_mode = ''",
        "CREATE OR REPLACE TABLE zeros (d date, t datetime, b bit(3))",
        "INSERT INTO zeros VALUES ('0000-00-00', '2024-00-10', 1)",
    ])  # fmt: skip
    with pytest.raises(WarehouseError) as caught:
        await warehouse.table(f"SELECT {expression} AS x")
    assert caught.value.sqlstate == sqlstate
    assert said.lower() in caught.value.message.lower()
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_session_is_the_same_whatever_the_server_is_set_to(warehouse: Warehouse) -> None:
    """The server of the tests is in another time zone and compares text without its case."""
    row = await warehouse.values(
        "SELECT 'a' = 'A', 'a' = 'a ', @@time_zone, @@sql_auto_is_null, @@tx_read_only,"
        " @@sql_mode LIKE '%NO_BACKSLASH_ESCAPES%', 'it\\'s'"
    )
    assert row == [0, 0, "+00:00", 0, 1, 0, "it's"]


async def test_row_of_several_packets(warehouse: Warehouse) -> None:
    """16 MB and more are sent in pieces; so are long statements."""
    size = 0xFFFFFF - 30_000
    table = await warehouse.table(
        "SELECT repeat('x', $1) AS a, repeat('y', $2) AS b, seq AS n FROM seq_1_to_2 ORDER BY n",
        [Parameter("int8", size), Parameter("int8", 60_000)],
    )
    assert table["n"].to_pylist() == [1, 2]
    assert [len(value) for value in table["a"].to_pylist()] == [size, size]
    assert set(table["b"].to_pylist()) == {"y" * 60_000}


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_packets_in_pieces(piece: int) -> None:
    data = b"\x03\x00\x00\x01\x00ab" + b"\x02\x00\x00\x02\x00c" + b"\x01\x00\x00\x03\xfe"
    splitter = PacketSplitter()
    received = [
        packet
        for start in range(0, len(data), piece)
        for packet in splitter.feed(data[start : start + piece])
    ]
    rows = [
        packet.data[start : start + 2]
        for packet in received
        if packet.kind == ROW
        for start in packet.starts
    ]
    assert rows == [b"\x00a", b"\x00c"]
    assert received[-1].is_eof


@pytest.mark.parametrize(
    ("number", "sqlstate", "expected"),
    [(1045, "28000", "28P01"), (1690, "22003", "22003"), (1105, "HY000", "XX000"),
     (1317, "70100", "57014"), (1146, "42S02", "42P01"), (9999, "42000", "42000")],
)  # fmt: skip
def test_codes(number: int, sqlstate: str, expected: str) -> None:
    assert code_of(number, sqlstate) == expected


@pytest.mark.parametrize(
    ("flavour", "version", "said"),
    [
        (MYSQL, "10.11.6-MariaDB-0+deb12u1", "mariadb"),
        (MARIADB, "8.0.36", "mysql"),
        (MARIADB, "5.5.5-10.5.44-MariaDB", "10.6 or newer"),
        (MYSQL, "5.7.44-log", "8.0 or newer"),
    ],
)
def test_wrong_server(flavour: object, version: str, said: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        flavour.check(version)  # type: ignore[attr-defined]
    assert caught.value.sqlstate == "08006"
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_right_servers() -> None:
    MYSQL.check("8.0.36")
    MYSQL.check("9.1.0-cloud")
    MARIADB.check("5.5.5-10.11.6-MariaDB-0+deb12u1")
    MARIADB.check("11.4.2-MariaDB")


async def test_a_foreign_kill_is_a_cancelled_statement(
    warehouse: Warehouse, mariadb_server: MariaDb
) -> None:
    running = asyncio.create_task(warehouse.table(warehouse.endless))
    await until_async(lambda: _running(mariadb_server) == 1)
    admin = mariadb_server.connect()
    try:
        with admin.cursor() as cursor:
            cursor.execute("KILL QUERY USER reader")
    finally:
        admin.close()
    with pytest.raises(WarehouseError) as caught:
        await running
    assert caught.value.sqlstate == "57014"
    assert await warehouse.values("SELECT 42 AS a") == [42]


async def test_what_is_cancelled_ends_in_the_server(
    warehouse: Warehouse, mariadb_server: MariaDb
) -> None:
    running = asyncio.create_task(warehouse.table(warehouse.endless))
    await until_async(lambda: _running(mariadb_server) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_async(lambda: _running(mariadb_server) == 0)


def _running(server: MariaDb) -> int:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM information_schema.processlist"
                " WHERE user = 'reader' AND info LIKE '%seq_1_to_100000000000%'"
            )
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("changed", "sqlstate"),
    [
        ({"password": "wrong secret"}, "28P01"),
        ({"user": "nobody"}, "28P01"),
        ({"database": "nowhere"}, "42501"),
        ({"port": 1, "retry_seconds": 0.1}, "08006"),
    ],
)
async def test_refused_connection(
    mariadb_server: MariaDb,
    changed: dict[str, object],
    sqlstate: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = open_connector("mariadb", {**mariadb_server.options, **changed})
    with pytest.raises(WarehouseError) as caught:
        await connector.start()
    await connector.close()
    assert caught.value.sqlstate == sqlstate, caught.value.message
    assert not caught.value.reached
    told = f"{caught.value.message} {caught.value.detail} {caplog.text} {connector._options}"  # type: ignore[attr-defined]
    assert "secret" not in told


def test_wrong_option() -> None:
    with pytest.raises(ConnectorOptionsError, match="ssl_mode must be one of"):
        open_connector("mysql", {"ssl_mode": "prefer"})


async def test_over_the_socket_of_this_machine(mariadb_server: MariaDb) -> None:
    connector = open_connector(
        "mariadb",
        {**mariadb_server.options, "socket": str(mariadb_server.directory / "socket"), "port": 1},
    )
    await connector.start()
    await connector.health()
    await connector.close()


async def test_server_without_tls_is_told_nothing() -> None:
    received = b""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        # Protocol 10, version, thread, salt; CLIENT_PROTOCOL_41 and no CLIENT_SSL.
        greeting = b"\x0a11.4.2-MariaDB\x00\x01\x00\x00\x00saltsalt\x00\x00\x82\x2d\x02\x00"
        greeting += b"\x08\x00\x15" + bytes(10) + b"morsaltmorsa\x00mysql_clear_password\x00"
        writer.write(len(greeting).to_bytes(3, "little") + b"\x00" + greeting)
        received = await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"port": port, "user": "reader", "password": "a secret", "retry_seconds": 0}
    for mode, said in (("required", "does not support TLS"), ("disabled", "without encryption")):
        connector = open_connector("mariadb", {**options, "ssl_mode": mode})
        with pytest.raises(WarehouseError) as caught:
            await connector.start()
        assert said in caught.value.message
        await connector.close()
        assert b"secret" not in received
    server.close()


@pytest.mark.parametrize(
    ("changed", "works"),
    [
        ({"ssl_mode": "required"}, True),
        ({"ssl_mode": "verify-identity", "host": "localhost"}, True),
        ({"ssl_mode": "verify-ca", "host": "127.0.0.1"}, True),
        ({"ssl_mode": "verify-identity", "host": "127.0.0.1"}, False),
        ({"ssl_mode": "verify-identity", "host": "localhost", "ssl_ca": ""}, False),
    ],
)
async def test_tls(mariadb_server: MariaDb, changed: dict[str, object], works: bool) -> None:
    certificate = str(mariadb_server.certificate)
    options = {**mariadb_server.options, "ssl_ca": certificate, "retry_seconds": 0.1, **changed}
    connector = open_connector("mariadb", options)
    if not works:
        with pytest.raises(WarehouseError) as caught:
            await connector.start()
        assert caught.value.sqlstate == "08006"
        assert caught.value.message == "TLS with the data source failed"
        await connector.close()
        return
    await connector.start()
    stream = await connector.execute(
        "SELECT variable_value <> '' AS encrypted, seq FROM seq_1_to_100000,"
        " information_schema.session_status WHERE variable_name = 'ssl_cipher'"
    )
    rows = [batch async for batch in stream]
    assert sum(batch.num_rows for batch in rows) == 100_000
    assert rows[0]["encrypted"][0].as_py() == 1
    await connector.close()


@pytest.fixture
def mortal_server() -> Iterator[MariaDb]:
    """A server that a test may kill."""
    server = start_mariadb()
    yield server
    server.stop()


@pytest.mark.slow
async def test_server_that_dies(mortal_server: MariaDb) -> None:
    server = mortal_server
    connector = open_connector("mariadb", {**server.options, "retry_seconds": 0.2})
    await connector.start()
    stream = await connector.execute("SELECT seq FROM seq_1_to_1000000000")
    await anext(aiter(stream))
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    with pytest.raises(WarehouseError) as caught:
        async for _ in stream:
            pass
    assert caught.value.sqlstate == "08006"
    with pytest.raises(WarehouseError) as caught:
        await connector.health()
    assert caught.value.sqlstate == "08006"
    assert not caught.value.reached
    await connector.close()
