"""The driver of SQL Server against a server of its protocol: there is no SQL Server here."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from proxy.auth.certificate import self_signed
from tests.support.tds import Asked, Result, TdsError, TdsServer, serve_tds

pytest.importorskip("pytds", reason="make test-warehouses installs it")

MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
EAST = datetime.timezone(datetime.timedelta(hours=2))
COLUMNS = {
    "a": ("bit", True), "b": ("tinyint", 255), "c": ("bigint", -(2**63)), "d": ("float", 2.5),
    "e": ("decimal(10,2)", Decimal("-12.50")), "f": ("varbinary(max)", "it's é".encode()),
    "g": ("date", datetime.date(2024, 2, 29)), "h": ("datetime2(6)", MOMENT),
    "i": ("datetimeoffset(6)", MOMENT.replace(tzinfo=EAST)), "j": ("nvarchar(100)", None),
}  # fmt: skip
KINDS = "bool, int2, int8, float8, numeric, text, date, timestamp, timestamptz, text"
ODD = ("datetime", "time(7)", "xml", "sql_variant", "geography", "text")


def answer(asked: Asked) -> Result:
    sql = asked.text
    if sql.startswith("SET "):
        return Result([], iter(()))
    if asked.procedure == "sp_describe_first_result_set":
        found = {"m": sql.split()[-1]} if "odd" in sql else {n: k for n, (k, _) in COLUMNS.items()}
        rows = [[False, number, *item] for number, item in enumerate(found.items(), 1)]
        head = [("is_hidden", "bit"), ("column_ordinal", "int"), ("name", "nvarchar(128)")]
        return Result([*head, ("system_type_name", "nvarchar(256)")], iter(rows))
    if "1 / 0" in sql:
        raise TdsError(8134, "Divide by zero error encountered.")
    if "late" in sql:
        return Result([("n", "int")], failing())
    if "endless" in sql:
        return Result([("t", "nvarchar(1000)")], endless())
    if "numbers" in sql:
        return Result(
            [("n", "bigint"), ("t", "varbinary(max)")], ([n, b"x"] for n in range(20_000))
        )
    if "types" in sql:
        row = [value for _, value in COLUMNS.values()]
        return Result([(name, kind) for name, (kind, _) in COLUMNS.items()], iter([row]))
    return Result([("n", "int")], iter([[1]]))


def failing() -> Iterator[Sequence[object]]:
    yield [1]
    raise TdsError(8115, "Arithmetic overflow error.")


def endless() -> Iterator[Sequence[object]]:
    while True:
        time.sleep(0.02)
        yield ["x" * 1000]


@pytest.fixture
def server() -> Iterator[TdsServer]:
    with serve_tds(answer, "secret") as running:
        yield running


@asynccontextmanager
async def opened(server: TdsServer, **options: object) -> AsyncIterator[Connector]:
    known = {"host": "localhost", "port": server.port, "user": "u", "password": "secret"}
    connector = open_connector("sqlserver", {**known, "encrypt": False, **options})
    try:
        await connector.start()
        yield connector
    finally:
        await connector.close()


async def rows(connector: Connector, sql: str, *parameters: Parameter) -> pa.Table:
    stream = await connector.execute(sql, parameters)
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


async def test_types(server: TdsServer) -> None:
    async with opened(server) as connector:
        found = await rows(connector, f"/* {KINDS} */ SELECT * FROM types")
    expected = [value for _, value in COLUMNS.values()]
    expected[5] = "it's é"
    assert list(found.to_pylist()[0].values()) == expected
    assert found.schema.types == [
        pa.bool_(), pa.int16(), pa.int64(), pa.float64(), pa.decimal128(10, 2), pa.string(),
        pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string(),
    ]  # fmt: skip


async def test_types_that_no_statement_announces(server: TdsServer) -> None:
    async with opened(server) as connector:
        found = await rows(connector, "SELECT * FROM types")
    assert found.schema.field("f").type == pa.binary()
    assert found.schema.field("b").type == pa.int16()


async def test_probe(server: TdsServer) -> None:
    async with opened(server) as connector:
        columns = await connector.probe("SELECT * FROM types")
        for kind in ODD:
            with pytest.raises(WarehouseError, match='column "m" is of type') as caught:
                await connector.probe(f"SELECT * FROM odd AS {kind}")
            assert caught.value.sqlstate == "0A000"
    kinds = [column.type_name for column in columns]
    assert kinds == KINDS.replace("numeric, text", "numeric, bytea").split(", ")
    assert columns[4].modifier == (10 << 16 | 2) + 4


async def test_every_session_is_set_up(server: TdsServer) -> None:
    async with opened(server, database="shop", application="cw") as connector:
        await rows(connector, "SELECT 1 AS n")
    assert server.logins[-1] == {"user": "u", "database": "shop", "application": "cw"}
    texts = [asked.text for asked in server.asked]
    assert "ANSI_WARNINGS, ARITHABORT" in texts[texts.index("SELECT 1 AS n") - 1]


async def test_parameters(server: TdsServer) -> None:
    values = [Parameter("text", "it's $1 %s"), Parameter("int8", 5), Parameter("bool", True)]
    async with opened(server) as connector:
        await rows(connector, "SELECT '$1 %', [a'$2], $2, $1, $2 % 2, $3 FROM one", *values)
    asked = server.asked[-1]
    assert asked.text == "SELECT '$1 %', [a'$2], @P2, @P1, @P2 % 2, @P3 FROM one"
    assert asked.values == {"@P1": "it's $1 %s", "@P2": 5, "@P3": True}


async def test_a_session_serves_many_statements(server: TdsServer) -> None:
    async with opened(server) as connector:
        for number in range(3):
            await rows(connector, "SELECT $1 FROM one", Parameter("int8", number))
    # One of the start's, one for all statements.
    assert len(server.logins) == 2
    assert len([asked for asked in server.asked if "SET " in asked.text]) == 2


async def test_many_rows(server: TdsServer) -> None:
    async with opened(server) as connector:
        found = await rows(connector, "/* int8, text */ SELECT * FROM numbers")
    assert found.num_rows == 20_000
    assert found.column("t")[19_999].as_py() == "x"


@pytest.mark.parametrize(
    ("sqlstate", "sql"), [("22012", "SELECT 1 / 0"), ("22003", "SELECT * FROM late")]
)
async def test_errors(server: TdsServer, sqlstate: str, sql: str) -> None:
    async with opened(server) as connector:
        with pytest.raises(WarehouseError) as caught:
            await rows(connector, sql)
        assert caught.value.sqlstate == sqlstate
        assert (await rows(connector, "SELECT 1 AS n")).num_rows == 1


async def test_a_statement_that_is_stopped_is_hung_up_on(server: TdsServer) -> None:
    async with opened(server) as connector:
        with pytest.raises(WarehouseError) as caught:
            await connector.execute("SELECT * FROM endless", timeout=0.5)
        assert caught.value.sqlstate == "57014"
        assert await asyncio.to_thread(server.hung_up.wait, 60)


async def test_a_wrong_password(server: TdsServer) -> None:
    with pytest.raises(WarehouseError, match="Login failed for user 'u'") as caught:
        async with opened(server, password="wrong"):
            pass
    assert caught.value.sqlstate == "08001"
    assert "wrong" not in str(caught.value)


async def test_nobody_there() -> None:
    with serve_tds(answer, "secret") as server:
        pass
    with pytest.raises(WarehouseError) as caught:
        async with opened(server):
            pass
    assert caught.value.sqlstate == "08001"


def certificate(directory: Path, host: str) -> Path:
    found, key = self_signed(directory, (host,), datetime.datetime.now(datetime.UTC))
    both = directory / "both.pem"
    both.write_bytes(found.read_bytes() + key.read_bytes())
    return both


# The driver's own: pyOpenSSL would like it to ask cryptography.
@pytest.mark.filterwarnings("ignore:X509:DeprecationWarning")
async def test_encrypted(tmp_path: Path) -> None:
    trusted = certificate(tmp_path / "a", "localhost")
    other = certificate(tmp_path / "b", "elsewhere.example")
    with serve_tds(answer, "secret", str(trusted)) as server:
        async with opened(server, encrypt=True, ca_file=str(trusted)) as connector:
            found = await rows(connector, "/* int8, text */ SELECT * FROM numbers")
            assert found.num_rows == 20_000
        with pytest.raises(WarehouseError):
            async with opened(server, encrypt=True, ca_file=str(other)):
                pass
    with serve_tds(answer, "secret", str(other)) as server, pytest.raises(WarehouseError):
        async with opened(server, encrypt=True, ca_file=str(other)):
            pass
    with serve_tds(answer, "secret") as server, pytest.raises(WarehouseError):
        async with opened(server, encrypt=True, ca_file=str(trusted)):
            pass
    assert not server.logins
