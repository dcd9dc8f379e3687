"""Amazon's own client against an endpoint that speaks Athena's protocol: there is none here."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from connectors.tags import Tag, tagged
from tests.support.endpoint import Answer, Endpoint, Request, serve_http
from tests.support.waiting import until_async

pytest.importorskip("boto3", reason="make test-warehouses installs it")

PAGES = 5
PAGE_ROWS = 1000
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
COLUMNS = {
    "a": ("boolean", "true", True), "b": ("integer", "7", 7), "c": ("bigint", "-5", -5),
    "d": ("double", "1.0E300", 1e300), "e": ("decimal", "12.50", Decimal("12.50")),
    "f": ("varchar", "it's é", "it's é"), "g": ("date", "2024-02-29", datetime.date(2024, 2, 29)),
    "h": ("varchar", "2024-02-29 12:30:15.250000", MOMENT),
    "i": ("varchar", "2024-02-29 12:30:15.250000", MOMENT.replace(tzinfo=datetime.UTC)),
    "j": ("varchar", None, None), "k": ("varchar", "", ""),
}  # fmt: skip
KINDS = "bool, int4, int8, float8, numeric, text, date, timestamp, timestamptz, text, text"


def texts(values: list[str | None]) -> dict[str, object]:
    return {"Data": [{} if value is None else {"VarCharValue": value} for value in values]}


class Service:
    """Statements that are done at once, and their results by pages."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def answer(self, request: Request, _port: int) -> Answer:
        asked = json.loads(request.body)
        name = request.headers["x-amz-target"].rpartition(".")[2]
        body = getattr(self, name)(asked)
        status = 400 if "__type" in body else 200
        return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()

    def GetWorkGroup(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["WorkGroup"] == "closed":
            return {"__type": "UnrecognizedClientException", "message": "The token is invalid."}
        return {"WorkGroup": {"Name": asked["WorkGroup"]}}

    def StartQueryExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.started.append(asked)
        return {"QueryExecutionId": str(len(self.started) - 1)}

    def StopQueryExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.stopped.append(asked["QueryExecutionId"])
        return {}

    def GetQueryExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        sql = self.started[int(asked["QueryExecutionId"])]["QueryString"]
        status = {"State": "SUCCEEDED"}
        if "1 / 0" in sql:
            status = {"State": "FAILED", "StateChangeReason": "DIVISION_BY_ZERO: Division by zero"}
        elif "endless" in sql:
            status = {"State": "RUNNING"}
        return {"QueryExecution": {"Status": status}}

    def GetQueryResults(self, asked: dict[str, Any]) -> dict[str, Any]:
        sql = self.started[int(asked["QueryExecutionId"])]["QueryString"]
        assert asked["MaxResults"] == PAGE_ROWS
        if "numbers" in sql:
            return self._numbers(int(asked.get("NextToken", "0")))
        if "odd" in sql:
            return self._page({"m": "map"}, [texts(["m"])])
        kinds = {name: kind for name, (kind, _, _) in COLUMNS.items()}
        rows = [] if "LIMIT 0" in sql else [texts([text for _, text, _ in COLUMNS.values()])]
        return self._page(kinds, [texts(list(kinds)), *rows])

    def _numbers(self, page: int) -> dict[str, Any]:
        start = page * PAGE_ROWS
        rows = [texts([str(number)]) for number in range(start, start + PAGE_ROWS)]
        made = self._page({"a": "bigint"}, rows if page else [texts(["a"]), *rows[1:]])
        return made if page + 1 == PAGES else {**made, "NextToken": str(page + 1)}

    @staticmethod
    def _page(kinds: dict[str, str], rows: list[dict[str, object]]) -> dict[str, Any]:
        described = [
            {"Name": name, "Type": kind, "Precision": 6, "Scale": 2} for name, kind in kinds.items()
        ]
        return {"ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": described}}}


@contextmanager
def athena() -> Iterator[tuple[Service, Endpoint]]:
    service = Service()
    with serve_http(service.answer) as endpoint:
        yield service, endpoint


@asynccontextmanager
async def opened(endpoint: Endpoint, **options: object) -> AsyncIterator[Connector]:
    url = f"http://127.0.0.1:{endpoint.port}"
    known = {"region": "eu-north-1", "endpoint": url, "access_key": "k", "secret_key": "s"}
    connector = open_connector("athena", {**known, "request_seconds": 2, **options})
    try:
        await connector.start()
        yield connector
    finally:
        await connector.close()


async def rows(connector: Connector, sql: str, *parameters: Parameter) -> pa.Table:
    stream = await connector.execute(sql, parameters)
    return pa.Table.from_batches([batch async for batch in stream], stream.schema)


async def test_types() -> None:
    with athena() as (_, endpoint):
        async with opened(endpoint) as connector:
            found = await rows(connector, f"/* {KINDS} */ SELECT * FROM types")
    assert list(found.to_pylist()[0].values()) == [value for _, _, value in COLUMNS.values()]
    assert found.schema.types == [
        pa.bool_(), pa.int32(), pa.int64(), pa.float64(), pa.decimal128(6, 2), pa.string(),
        pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string(), pa.string(),
    ]  # fmt: skip


async def test_pages_are_fetched_as_they_are_read() -> None:
    with athena() as (_, endpoint):
        async with opened(endpoint) as connector:
            stream = await connector.execute("/* int8 */ SELECT a FROM numbers")
            first = await anext(aiter(stream))
            before = len(endpoint.requests)
            rest = [batch async for batch in stream]
    assert len(endpoint.requests) - before == PAGES - 1
    # The names take the first row's place.
    assert first["a"][0].as_py() == 1
    assert first.num_rows + sum(batch.num_rows for batch in rest) == PAGES * PAGE_ROWS - 1


async def test_what_a_statement_is_sent_with() -> None:
    place = {"work_group": "w", "output": "s3://b/f/", "catalog": "c", "database": "d"}
    values = [
        Parameter("text", "it's $1 ?"),
        Parameter("int8", 5),
        Parameter("float8", float("-inf")),
    ]
    with athena() as (service, endpoint):
        async with opened(endpoint, **place) as connector:
            await rows(connector, f"/* {KINDS} */ SELECT '$1', $2, $1, $3 FROM one", *values)
            with pytest.raises(WarehouseError) as caught:
                await rows(connector, "SELECT $1 FROM one", Parameter("text", "x" * 2000))
    assert caught.value.sqlstate == "0A000"
    (sent,) = service.started
    comment = " /*application='cubewire'*/"
    assert sent["QueryString"].endswith(f"SELECT '$1', ?, ?, ? FROM one{comment}")
    assert sent["ExecutionParameters"] == ["5", "'it''s $1 ?'", "double '-Infinity'"]
    assert sent["QueryExecutionContext"] == {"Catalog": "c", "Database": "d"}
    assert (sent["WorkGroup"], sent["ResultConfiguration"]) == (
        "w",
        {"OutputLocation": "s3://b/f/"},
    )


async def test_tags() -> None:
    with athena() as (service, endpoint):
        async with opened(endpoint) as connector:
            with tagged(Tag("ada", ("orders",), "SELECT 1")):
                await rows(connector, f"/* {KINDS} */ SELECT * FROM types")
    (sent,) = service.started
    fingerprint = Tag("", (), "SELECT 2").fingerprint()
    assert sent["QueryString"].endswith(
        f" /*application='cubewire',cube='orders',statement='{fingerprint}',user='ada'*/"
    )


async def test_probe() -> None:
    with athena() as (_, endpoint):
        async with opened(endpoint) as connector:
            columns = await connector.probe("SELECT * FROM types")
            with pytest.raises(WarehouseError, match='column "m" is of type map') as caught:
                await connector.probe("SELECT * FROM odd")
    assert caught.value.sqlstate == "0A000"
    assert [item.type_name for item in columns][:7] == KINDS.split(", ")[:7]
    assert columns[4].modifier == (6 << 16 | 2) + 4


async def test_cancel_reaches_athena() -> None:
    with athena() as (service, endpoint):
        async with opened(endpoint) as connector:
            with pytest.raises(WarehouseError) as caught:
                await connector.execute("SELECT * FROM endless", timeout=0.3)
            assert caught.value.sqlstate == "57014"
            await until_async(lambda: service.stopped)


async def test_errors() -> None:
    with athena() as (_, endpoint):
        async with opened(endpoint) as connector:
            with pytest.raises(WarehouseError, match="Division by zero") as caught:
                await rows(connector, "SELECT 1 / 0")
    assert caught.value.sqlstate == "22012"


async def test_nobody_there_and_nobody_let_in() -> None:
    with athena() as (_, endpoint), pytest.raises(WarehouseError, match="The token is invalid"):
        async with opened(endpoint, work_group="closed"):
            pass
    with pytest.raises(WarehouseError) as caught:
        async with opened(endpoint):
            pass
    assert caught.value.sqlstate == "08001"
