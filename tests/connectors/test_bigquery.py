"""Google's own client against an endpoint that speaks BigQuery's REST: there is no BigQuery."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

from connectors.base import Connector, Parameter
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from connectors.tags import Tag, tagged
from tests.support.endpoint import Answer, Endpoint, Request, serve_http

pytest.importorskip("google.cloud.bigquery", reason="make test-warehouses installs it")

PAGES = 5
FIELDS = {
    "a": ("INTEGER", "7", 7), "b": ("STRING", "it's é", "it's é"), "c": ("BOOLEAN", "true", True),
    "d": ("FLOAT", "2.5", 2.5), "e": ("DATE", "2024-02-29", datetime.date(2024, 2, 29)),
    "f": ("DATETIME", "2024-02-29T12:30:15.250000",
          datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)),
    "g": ("TIMESTAMP", "1709209815250000",
          datetime.datetime(2024, 2, 29, 12, 30, 15, 250000, datetime.UTC)),
    "h": ("NUMERIC", "12", Decimal(12)),
}  # fmt: skip


def schema(names: dict[str, str]) -> dict[str, object]:
    return {"fields": [{"name": n, "type": kind, "mode": "NULLABLE"} for n, kind in names.items()]}


class Service:
    """Jobs that are done at once, and their results by pages."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, object]] = {}

    def answer(self, request: Request, _port: int) -> Answer:
        parts = urlsplit(request.path)
        if request.method == "POST" and parts.path.endswith("/jobs"):
            return self._insert(json.loads(request.body))
        name = parts.path.rsplit("/", 1)[1]
        if request.method == "POST":
            return self._json(200, {"job": self.jobs[parts.path.split("/")[-2]]})
        if "/queries/" in parts.path:
            return self._results(name, parse_qs(parts.query))
        return self._json(200, self.jobs[name])

    @staticmethod
    def _json(status: int, body: object) -> Answer:
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _insert(self, job: dict[str, object]) -> Answer:
        configuration = job["configuration"]
        assert isinstance(configuration, dict)
        sql = configuration["query"]["query"]
        if "1 / 0" in sql:
            error = {"reason": "invalidQuery", "message": "division by zero: 1 / 0"}
            return self._json(400, {"error": {"code": 400, "message": "x", "errors": [error]}})
        names = {name: kind for name, (kind, _, _) in FIELDS.items()} if "types" in sql else {
            "a": "GEOGRAPHY" if "odd" in sql else "INTEGER"
        }  # fmt: skip
        reference = job["jobReference"]
        assert isinstance(reference, dict)
        done = {
            **job, "id": "j", "status": {"state": "DONE"},
            "statistics": {"query": {"schema": schema(names), "statementType": "SELECT"}},
        }  # fmt: skip
        self.jobs[reference["jobId"]] = done
        return self._json(200, done)

    def _results(self, name: str, query: dict[str, list[str]]) -> Answer:
        job = self.jobs[name]
        configuration = job["configuration"]
        assert isinstance(configuration, dict)
        sql = configuration["query"]["query"]
        body: dict[str, object] = {
            "jobReference": job["jobReference"], "jobComplete": True, "totalRows": "1",
            "schema": schema({"a": "INTEGER"}),
        }  # fmt: skip
        if "types" in sql:
            body["schema"] = schema({n: kind for n, (kind, _, _) in FIELDS.items()})
            body["rows"] = [{"f": [{"v": text} for _, text, _ in FIELDS.values()]}]
        elif "numbers" in sql:
            page = int(query.get("pageToken", ["0"])[0])
            body["rows"] = [{"f": [{"v": str(n)}]} for n in range(page * 100, page * 100 + 100)]
            body["totalRows"] = str(PAGES * 100)
            if page + 1 < PAGES:
                body["pageToken"] = str(page + 1)
        else:
            body["rows"] = [{"f": [{"v": "1"}]}]
        if query.get("maxResults") == ["0"]:
            body.pop("rows", None)
            body.pop("pageToken", None)
        return self._json(200, body)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Connector, Endpoint]]:
    with serve_http(Service().answer) as endpoint:
        where = f"http://127.0.0.1:{endpoint.port}"
        options = {"project": "p", "dataset": "d", "endpoint": where, "maximum_bytes": 1000}
        connector = open_connector("bigquery", options)
        await connector.start()
        try:
            yield connector, endpoint
        finally:
            await connector.close()


def sent_jobs(endpoint: Endpoint) -> list[dict[str, Any]]:
    inserted = (r for r in endpoint.requests if urlsplit(r.path).path.endswith("/jobs"))
    return [json.loads(request.body) for request in inserted]


async def test_types() -> None:
    kinds = "int4, text, bool, float8, date, timestamp, timestamptz, numeric"
    async with opened() as (connector, _):
        stream = await connector.execute(f"/* {kinds} */ SELECT * FROM types")
        found = pa.Table.from_batches([batch async for batch in stream], stream.schema)
    assert list(found.to_pylist()[0].values()) == [value for _, _, value in FIELDS.values()]
    assert found.schema.types == [
        pa.int32(), pa.string(), pa.bool_(), pa.float64(), pa.date32(), pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.decimal128(38, 0),
    ]  # fmt: skip


async def test_pages() -> None:
    async with opened() as (connector, _):
        stream = await connector.execute("SELECT a FROM numbers")
        rows = [value async for batch in stream for value in batch[0].to_pylist()]
    assert rows == list(range(PAGES * 100))


async def test_what_is_sent() -> None:
    async with opened() as (connector, endpoint):
        values = [Parameter("int8", 5), Parameter("text", "it's $1")]
        await connector.execute("SELECT '$1', $2, $1 FROM one", values)
        query = sent_jobs(endpoint)[-1]["configuration"]["query"]
    assert query["query"] == "SELECT '$1', ?, ? FROM one"
    assert [item["parameterValue"]["value"] for item in query["queryParameters"]] == [
        "it's $1",
        "5",
    ]
    assert query["maximumBytesBilled"] == "1000"
    assert query["useLegacySql"] is False
    assert query["defaultDataset"] == {"projectId": "p", "datasetId": "d"}


async def test_tags() -> None:
    async with opened() as (connector, endpoint):
        with tagged(Tag("Ada@x", ("orders", "lines"), "SELECT 1")):
            await connector.execute("SELECT a FROM one")
    labels = sent_jobs(endpoint)[-1]["configuration"]["labels"]
    fingerprint = labels.pop("statement")
    assert labels == {"application": "cubewire", "user": "ada_x", "cube": "orders_lines"}
    assert len(fingerprint) == 16


async def test_probe_is_a_dry_run() -> None:
    async with opened() as (connector, endpoint):
        columns = await connector.probe("SELECT * FROM types")
        job = sent_jobs(endpoint)[-1]
        with pytest.raises(WarehouseError, match='column "a" is of type GEOGRAPHY') as caught:
            await connector.probe("SELECT * FROM odd")
    assert job["configuration"]["dryRun"] is True
    assert caught.value.sqlstate == "0A000"
    assert [column.type_name for column in columns] == [
        "int8", "text", "bool", "float8", "date", "timestamp", "timestamptz", "numeric",
    ]  # fmt: skip


async def test_errors() -> None:
    async with opened() as (connector, _):
        with pytest.raises(WarehouseError) as caught:
            await connector.execute("SELECT 1 / 0 FROM one")
    assert caught.value.sqlstate == "22012"
