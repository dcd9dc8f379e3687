"""Databricks' own connector against an endpoint that speaks its protocol: there is none here.

Statements about values are computed by Spark, where that is installed.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from connectors.tags import Tag, tagged
from tests.support.spark import needs_spark, spark_server

pytest.importorskip("databricks.sql", reason="make test-warehouses installs it")

from tests.support.databricks import (
    PATH,
    PIECE,
    Asked,
    DatabricksServer,
    StatementError,
    serve_databricks,
)

ROWS = 12 * PIECE
SECRET = base64.b64encode(b"app:secret").decode()


def answer(asked: Asked) -> pa.Table | None:
    if "endless" in asked.text:
        return None
    if "CAST('ANSI' AS INT)" in asked.text:
        raise StatementError("[CAST_INVALID_INPUT] The value cannot be cast. SQLSTATE: 22018")
    if "1 / 0" in asked.text:
        raise StatementError("[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n== SQL ==")
    if "numbers" in asked.text:
        return pa.table({"a": pa.array(range(ROWS), pa.int64())})
    if "nothing" in asked.text:
        return pa.table({"a": pa.array([], pa.int32())})
    return pa.table({"a": pa.array([1], pa.int32())})


@pytest.fixture
def server() -> Iterator[DatabricksServer]:
    with serve_databricks(answer, "pat", secret=SECRET) as running:
        yield running


@asynccontextmanager
async def opened(server: DatabricksServer, **options: object) -> AsyncIterator[Connector]:
    known = {"host": "h.example", "http_path": PATH, "endpoint": server.url, "request_seconds": 5}
    login = {} if "client_id" in options else {"token": "pat"}
    connector = open_connector("databricks", {**known, **login, **options})
    try:
        await connector.start()
        yield connector
    finally:
        await connector.close()


async def rows(connector: Connector, sql: str, *parameters: Parameter, **options: Any) -> pa.Table:
    stream = await connector.execute(sql, parameters, **options)
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


async def test_pieces_are_fetched_as_they_are_read(server: DatabricksServer) -> None:
    async with opened(server) as connector:
        stream = await connector.execute("SELECT a FROM numbers")
        first = await anext(aiter(stream))
        before = len(server.endpoint.requests)
        rest = [batch async for batch in stream]
    assert first.num_rows + sum(batch.num_rows for batch in rest) == ROWS
    assert len(server.endpoint.requests) - before > 5


async def test_results_in_the_clouds_storage() -> None:
    with serve_databricks(answer, "pat", links=True) as server:
        async with opened(server) as connector:
            found = await rows(connector, "SELECT a FROM numbers")
        assert found["a"].to_pylist() == list(range(ROWS))
        files = [item for item in server.endpoint.requests if item.path.startswith("/files/")]
        assert len(files) >= ROWS / PIECE
        # The storage is none of the warehouse's.
        assert not any("authorization" in item.headers for item in files)


async def test_no_rows(server: DatabricksServer) -> None:
    async with opened(server) as connector:
        found = await rows(connector, "SELECT a FROM nothing")
    assert found.num_rows == 0
    assert found.schema.types == [pa.int32()]


async def test_sessions(server: DatabricksServer) -> None:
    async with opened(server, settings=("ansi_mode=true",)) as connector:
        for _ in range(3):
            await rows(connector, "SELECT 1")
    # One of the start's, one for all statements.
    assert [session["ansi_mode"] for session in server.sessions] == ["true", "true"]
    assert [asked.text for asked in server.asked].count("SET TIME ZONE 'UTC'") == 2


async def test_a_session_by_other_rules_is_refused() -> None:
    def lax(asked: Asked) -> pa.Table | None:
        return pa.table({"a": [None]}) if "ANSI" in asked.text else answer(asked)

    with (
        serve_databricks(lax, "pat") as server,
        pytest.raises(WarehouseError, match="not in ANSI mode"),
    ):
        async with opened(server):
            pass


async def test_cancel_reaches_the_warehouse(server: DatabricksServer) -> None:
    async with opened(server) as connector:
        with pytest.raises(WarehouseError) as caught:
            await connector.execute("SELECT * FROM endless", timeout=0.3)
        assert caught.value.sqlstate == "57014"
        assert await asyncio.to_thread(server.canceled.wait, 60)


async def test_tags(server: DatabricksServer) -> None:
    async with opened(server, tags=["user", "cube"]) as connector:
        with tagged(Tag("ada:b", ("orders", "lines"), "")):
            await rows(connector, "SELECT 1")
    sent = server.asked[-1].overlay["query_tags"]
    assert sent == r"application:cubewire,user:ada\:b,cube:orders\,lines"


async def test_errors(server: DatabricksServer) -> None:
    async with opened(server) as connector:
        with pytest.raises(WarehouseError) as caught:
            await rows(connector, "SELECT 1 / 0")
        assert caught.value.sqlstate == "22012"
        assert (await rows(connector, "SELECT 1")).num_rows == 1


async def test_a_service_principals_token(server: DatabricksServer) -> None:
    async with opened(server, client_id="app", client_secret="secret") as connector:
        assert (await rows(connector, "SELECT 1")).num_rows == 1
    asked = [item for item in server.endpoint.requests if "token" in item.path]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "login", [{"token": "wrong"}, {"client_id": "app", "client_secret": "wrong"}]
)
async def test_a_wrong_secret(server: DatabricksServer, login: dict[str, str]) -> None:
    with pytest.raises(WarehouseError) as caught:
        async with opened(server, **login):
            pass
    assert caught.value.sqlstate == "08001"
    assert "wrong" not in f"{caught.value} {caught.value.detail}"
    assert "refuses the credentials" in caught.value.message


async def test_nobody_there() -> None:
    with serve_databricks(answer, "pat") as server:
        pass
    with pytest.raises(WarehouseError) as caught:
        async with opened(server, request_seconds=1):
            pass
    assert caught.value.sqlstate == "08001"
    assert "cannot be reached" in caught.value.message


READERS: dict[str, Callable[[str], object]] = {
    "BOOLEAN": lambda text: text.lower() == "true", "TINYINT": int, "SMALLINT": int, "INT": int,
    "BIGINT": int, "DOUBLE": float, "FLOAT": float, "DATE": datetime.date.fromisoformat,
}  # fmt: skip


@contextmanager
def by_spark(url: str) -> Iterator[Callable[[Asked], pa.Table]]:
    """What Spark answers, as Databricks would."""
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.functions import lit
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(url).create()

    def execute(asked: Asked) -> pa.Table:
        values = {
            name: lit(None if text is None else READERS.get(kind, str)(text))
            for name, (kind, text) in asked.values.items()
        }
        try:
            return session.sql(asked.text, values).toArrow()
        except PySparkException as error:
            raise StatementError(str(error)) from error

    try:
        yield execute
    finally:
        # It would go on calling a server that has gone.
        session.client.close()


MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
VALUES = [
    ("bool", "true", pa.bool_(), True),
    ("int2", "CAST(-7 AS TINYINT)", pa.int16(), -7),
    ("int8", "9223372036854775807L", pa.int64(), 9223372036854775807),
    ("float8", "1e300D", pa.float64(), 1e300),
    ("numeric", "CAST(12.5 AS DECIMAL(6,2))", pa.decimal128(6, 2), Decimal("12.50")),
    ("text", "'héllo \\' \\\\'", pa.string(), "héllo ' \\"),
    ("date", "DATE'2024-02-29'", pa.date32(), datetime.date(2024, 2, 29)),
    ("timestamp", "TIMESTAMP_NTZ'2024-02-29 12:30:15.25'", pa.timestamp("us"), MOMENT),
    ("timestamptz", "TIMESTAMP'2024-02-29 12:30:15.25Z'", pa.timestamp("us", "UTC"),
     MOMENT.replace(tzinfo=datetime.UTC)),
    ("bytea", "X'00FF'", pa.binary(), b"\x00\xff"),
    ("_int4", "ARRAY(1, NULL, 3)", pa.list_(pa.int32()), [1, None, 3]),
]  # fmt: skip
PARAMETERS = [
    ("bool", "BOOLEAN", True), ("int8", "BIGINT", -(2**63)), ("float8", "DOUBLE", 2.5),
    ("numeric", "DECIMAL(30,4)", Decimal("12345678901234.5678")), ("text", "STRING", "it's \\ $1"),
    ("date", "DATE", datetime.date(1999, 12, 31)), ("timestamp", "TIMESTAMP_NTZ", MOMENT),
    ("timestamptz", "TIMESTAMP", MOMENT.replace(tzinfo=datetime.UTC)), ("int4", "INT", None),
]  # fmt: skip


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_spark_computes(tmp_path: Any) -> None:
    with (
        spark_server(tmp_path) as url,
        by_spark(url) as execute,
        serve_databricks(execute, "pat") as server,
    ):
        async with opened(server, request_seconds=60) as connector:
            listed = ", ".join(f"{item[1]} AS x{place}" for place, item in enumerate(VALUES))
            found = await rows(connector, f"SELECT {listed}")
            assert found.schema.types == [item[2] for item in VALUES]
            assert list(found.to_pylist()[0].values()) == [item[3] for item in VALUES]
            probed = await connector.probe(f"SELECT {listed}")
            assert [item.type_name for item in probed] == [item[0] for item in VALUES]
            values = [Parameter(kind, value) for kind, _, value in PARAMETERS]
            listed = ", ".join(
                f"CAST(${place} AS {item[1]}) AS x{place}"
                for place, item in enumerate(PARAMETERS, 1)
            )
            found = await rows(connector, f"SELECT {listed}, '$1' AS a, $5 AS b", *values)
            expected = [item[2] for item in PARAMETERS]
            assert list(found.to_pylist()[0].values()) == [*expected, "$1", expected[4]]
            with pytest.raises(WarehouseError, match='column "odd"') as caught:
                await connector.probe("SELECT MAP('a', 1) AS odd")
            assert caught.value.sqlstate == "0A000"
            with pytest.raises(WarehouseError) as caught:
                await rows(connector, "SELECT nowhere FROM range(1)")
            assert caught.value.sqlstate == "42703"
