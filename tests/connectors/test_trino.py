"""Trino's own client against an endpoint that speaks its protocol: there is no Trino here."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from connectors.tags import Tag, tagged
from tests.support.endpoint import Answer, Endpoint, Request, serve_http

pytest.importorskip("trino", reason="the extra trino is not installed")

PAGES = 50
PAGE_ROWS = 1000
ROW = [
    True, 7, 9223372036854775807, 2.5, "12.50", "it's é", "2024-02-29",
    "2024-02-29 12:30:15.250000", "2024-02-29 12:30:15.250000 UTC", None,
]  # fmt: skip
KINDS = [
    "boolean", "integer", "bigint", "double", "decimal(6,2)", "varchar(20)", "date",
    "timestamp(6)", "timestamp(6) with time zone", "varchar",
]  # fmt: skip


def column(name: str, kind: str) -> dict[str, object]:
    plain, _, sizes = kind.partition("(")
    numbers = [int(item) for item in sizes.partition(")")[0].split(",")] if sizes else []
    raw = plain + sizes.partition(")")[2]
    numbers = numbers or ([2**31 - 1] if plain == "varchar" else [])
    arguments = [{"kind": "LONG", "value": number} for number in numbers]
    return {
        "name": name,
        "type": kind,
        "typeSignature": {"rawType": raw, "arguments": arguments},
    }


class Coordinator:
    """Answers as a coordinator does: a first answer, then pages by ``nextUri``."""

    def answer(self, request: Request, port: int) -> Answer:
        if request.headers.get("authorization"):
            return self._json(401, {})
        if request.method == "DELETE":
            return 204, {}, b""
        if request.path == "/v1/statement":
            return self._json(200, self._first(request.body.decode(), port))
        _, _, _, name, page = request.path.split("/")
        return self._json(200, self._page(name, int(page), port))

    @staticmethod
    def _json(status: int, body: object) -> Answer:
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _first(self, sql: str, port: int) -> dict[str, object]:
        name = next((n for n in ("endless", "numbers", "types", "odd", "fails") if n in sql), "one")
        return self._state(name, port, 0)

    def _state(self, name: str, port: int, page: int | None) -> dict[str, object]:
        body: dict[str, object] = {
            "id": name,
            "infoUri": "",
            "stats": {"state": "RUNNING"},
        }
        if page is not None:
            body["nextUri"] = f"http://127.0.0.1:{port}/v1/executing/{name}/{page}"
        return body

    def _page(self, name: str, page: int, port: int) -> dict[str, object]:
        if name == "endless":
            time.sleep(0.05)
            return self._state(name, port, page + 1)
        if name == "fails":
            error = {"message": "Division by zero", "errorCode": 8,
                     "errorName": "DIVISION_BY_ZERO", "errorType": "USER_ERROR"}  # fmt: skip
            return self._state(name, port, None) | {"error": error}
        last = page + 1 >= (PAGES if name == "numbers" else 1)
        body = self._state(name, port, None if last else page + 1)
        if name == "numbers":
            start = page * PAGE_ROWS
            data: list[object] = [[number] for number in range(start, start + PAGE_ROWS)]
            return body | {"columns": [column("a", "bigint")], "data": data}
        if name == "types":
            columns = [column(f"c{n}", kind) for n, kind in enumerate(KINDS)]
            return body | {"columns": columns, "data": [ROW]}
        if name == "odd":
            return body | {"columns": [column("m", "ipaddress")], "data": []}
        return body | {"columns": [column("a", "integer")], "data": [[1]]}


@contextmanager
def coordinator() -> Iterator[Endpoint]:
    with serve_http(Coordinator().answer) as endpoint:
        yield endpoint


@asynccontextmanager
async def opened(endpoint: Endpoint, **options: object) -> AsyncIterator[Connector]:
    given = {"host": "127.0.0.1", "port": endpoint.port, "user": "u", "catalog": "c", **options}
    connector = open_connector("trino", given)
    try:
        await connector.start()
        yield connector
    finally:
        await connector.close()


async def test_types() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            (batch,) = [b async for b in await connector.execute("SELECT * FROM types")]
    moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
    assert [column[0].as_py() for column in batch.columns] == [
        True, 7, 9223372036854775807, 2.5, Decimal("12.50"), "it's é", datetime.date(2024, 2, 29),
        moment, moment.replace(tzinfo=datetime.UTC), None,
    ]  # fmt: skip
    assert batch.schema.types == [
        pa.bool_(), pa.int32(), pa.int64(), pa.float64(), pa.decimal128(6, 2), pa.string(),
        pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string(),
    ]  # fmt: skip


async def test_pages_are_fetched_as_they_are_read() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            stream = await connector.execute("SELECT a FROM numbers")
            await anext(aiter(stream))
            fetched = sum("/numbers/" in request.path for request in endpoint.requests)
            assert 0 < fetched < PAGES / 2
            seen = sum([batch.num_rows async for batch in stream])
            assert sum("/numbers/" in request.path for request in endpoint.requests) == PAGES
            assert seen > PAGES * PAGE_ROWS / 2


async def test_cancel_reaches_the_coordinator() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            with pytest.raises(WarehouseError) as caught:
                await connector.execute("SELECT * FROM endless", timeout=0.5)
            assert caught.value.sqlstate == "57014"
            for _ in range(50):
                if any(request.method == "DELETE" for request in endpoint.requests):
                    break
                await asyncio.sleep(0.05)
            deleted = [request.path for request in endpoint.requests if request.method == "DELETE"]
            assert deleted
            assert "/endless/" in deleted[0]


async def test_parameters_are_written_by_the_client() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            values = [Parameter("text", "it's $1"), Parameter("int8", 5)]
            await connector.execute("SELECT '$1', $2, $1, $2 FROM one", values)
    sent = [request.body.decode() for request in endpoint.requests if request.method == "POST"]
    assert sent[-1] == ("EXECUTE IMMEDIATE 'SELECT ''$1'', ?, ?, ? FROM one' USING 5,'it''s $1',5")


async def test_tags() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint, tags=["user", "cube"]) as connector:
            with tagged(Tag("ada, b", ("orders", "lines"), "")):
                await connector.execute("SELECT a FROM one")
    sent = [item.headers.get("x-trino-client-tags") for item in endpoint.requests]
    assert "application:cubewire,user:ada__b,cube:orders_lines" in sent


async def test_probe() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            columns = await connector.probe("SELECT * FROM types")
            with pytest.raises(WarehouseError, match='column "m" is of type ipaddress') as caught:
                await connector.probe("SELECT * FROM odd")
    assert caught.value.sqlstate == "0A000"
    assert [item.type_name for item in columns] == [
        "bool", "int4", "int8", "float8", "numeric", "text", "date", "timestamp", "timestamptz",
        "text",
    ]  # fmt: skip
    assert columns[4].modifier == (6 << 16 | 2) + 4


async def test_errors() -> None:
    with coordinator() as endpoint:
        async with opened(endpoint) as connector:
            with pytest.raises(WarehouseError, match="Division by zero") as caught:
                await connector.execute("SELECT * FROM fails")
            assert caught.value.sqlstate == "22012"


async def test_nobody_there() -> None:
    with coordinator() as endpoint:
        pass
    with pytest.raises(WarehouseError) as caught:
        async with opened(endpoint):
            pass
    assert caught.value.sqlstate == "08001"


def test_no_password_in_the_clear() -> None:
    with pytest.raises(ValueError, match="over https only"):
        open_connector("trino", {"host": "h", "user": "u", "password": "p"})
