"""Databricks' protocol (Thrift over HTTP) in this process, for its driver; it computes nothing.

What a statement is answered with is the caller's to say: a table, or a text of the errors' form.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as t
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from tests.support.endpoint import Answer, Endpoint, Request, serve_http

PATH = "/sql/1.0/warehouses/w"
TOKENS = "/oidc/v1/token"
PIECE = 1000
"""Rows of an answer to one request."""
_NEVER = 1 << 40


class StatementError(Exception):
    """What the warehouse complains of: ``[CONDITION] text SQLSTATE: 22012``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement with its parameters, each a type and a text, and what came along with it."""

    text: str
    values: dict[str, tuple[str, str | None]]
    overlay: dict[str, str]


@dataclass(slots=True)
class _Operation:
    batches: list[pa.RecordBatch] = field(default_factory=list)
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    place: int = 0
    running: bool = False
    error: str = ""
    canceled: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class DatabricksServer:
    """A running server, and what it was asked."""

    endpoint: Endpoint
    asked: list[Asked] = field(default_factory=list)
    sessions: list[dict[str, str]] = field(default_factory=list)
    canceled: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.endpoint.port}"


Execute = Callable[[Asked], pa.Table | None]
"""The answer; None for one that never comes."""
_DONE = t.TStatus(statusCode=t.TStatusCode.SUCCESS_STATUS)


class _Handler:
    """The calls of the service that the driver makes, by their names."""

    def __init__(self, server: DatabricksServer, execute: Execute, *, links: bool) -> None:
        self._server, self._execute, self._links = server, execute, links
        self._numbers = itertools.count(1)
        self._operations: dict[bytes, _Operation] = {}

    def _identifier(self) -> Any:
        number = next(self._numbers).to_bytes(16, "big")
        return t.THandleIdentifier(guid=number, secret=number)

    def OpenSession(self, request: Any) -> Any:
        self._server.sessions.append(dict(request.configuration or {}))
        return t.TOpenSessionResp(
            status=_DONE,
            serverProtocolVersion=t.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7,
            sessionHandle=t.TSessionHandle(sessionId=self._identifier()),
            initialNamespace=request.initialNamespace,
        )

    def CloseSession(self, _request: Any) -> Any:
        return t.TCloseSessionResp(status=_DONE)

    def ExecuteStatement(self, request: Any) -> Any:
        values = {
            item.name: (item.type, item.value.stringValue if item.value else None)
            for item in request.parameters or ()
        }
        asked = Asked(request.statement, values, dict(request.confOverlay or {}))
        self._server.asked.append(asked)
        handle = t.TOperationHandle(
            operationId=self._identifier(),
            operationType=t.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        operation = self._operations[handle.operationId.guid] = _Operation()
        try:
            table = self._execute(asked)
        except StatementError as error:
            operation.error = str(error)
        else:
            operation.running = table is None
            if table is not None:
                operation.schema = table.schema
                operation.batches = table.combine_chunks().to_batches(max_chunksize=PIECE)
        return t.TExecuteStatementResp(status=_DONE, operationHandle=handle)

    @staticmethod
    def _state(state: int) -> Any:
        return t.TGetOperationStatusResp(status=_DONE, operationState=state)

    def _metadata(self, operation: _Operation) -> Any:
        kinds = t.TSparkRowSetType
        text = t.TTypeEntry(primitiveEntry=t.TPrimitiveTypeEntry(type=t.TTypeId.STRING_TYPE))
        columns = [
            t.TColumnDesc(columnName=name, typeDesc=t.TTypeDesc(types=[text]), position=place)
            for place, name in enumerate(operation.schema.names, 1)
        ]
        return t.TGetResultSetMetadataResp(
            status=_DONE,
            schema=t.TTableSchema(columns=columns),
            resultFormat=kinds.URL_BASED_SET if self._links else kinds.ARROW_BASED_SET,
            lz4Compressed=False,
            arrowSchema=operation.schema.serialize().to_pybytes(),
        )

    def _piece(self, operation: _Operation) -> Any:
        place = operation.place
        found = operation.batches[place : place + 1]
        operation.place += 1
        rows = t.TRowSet(startRowOffset=place * PIECE, rows=[])
        if self._links:
            rows.resultLinks = [self._link(operation, place) for _ in found]
        else:
            batches = [(item.serialize().to_pybytes(), item.num_rows) for item in found]
            rows.arrowBatches = [
                t.TSparkArrowBatch(batch=batch, rowCount=count) for batch, count in batches
            ]
        more = operation.place < len(operation.batches)
        return t.TFetchResultsResp(status=_DONE, hasMoreRows=more, results=rows)

    def _link(self, operation: _Operation, place: int) -> Any:
        name = next(name for name, item in self._operations.items() if item is operation)
        batch = operation.batches[place]
        return t.TSparkArrowResultLink(
            fileLink=f"{self._server.url}/files/{name.hex()}/{place}",
            expiryTime=int(time.time() * 1000) + _NEVER,
            startRowOffset=place * PIECE,
            rowCount=batch.num_rows,
            bytesNum=len(self.file(name.hex(), place)),
        )

    def file(self, name: str, place: int) -> bytes:
        """What the cloud's storage keeps."""
        operation = self._operations[bytes.fromhex(name)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, operation.schema) as writer:
            writer.write_batch(operation.batches[place])
        return bytes(sink.getvalue())

    def _of(self, request: Any) -> _Operation:
        return self._operations[request.operationHandle.operationId.guid]

    def GetOperationStatus(self, request: Any) -> Any:
        operation = self._of(request)
        states = t.TOperationState
        if operation.canceled.is_set():
            return self._state(states.CANCELED_STATE)
        if operation.error:
            return t.TGetOperationStatusResp(
                status=_DONE,
                operationState=states.ERROR_STATE,
                displayMessage=operation.error,
                errorMessage=operation.error,
            )
        return self._state(states.RUNNING_STATE if operation.running else states.FINISHED_STATE)

    def GetResultSetMetadata(self, request: Any) -> Any:
        return self._metadata(self._of(request))

    def FetchResults(self, request: Any) -> Any:
        operation = self._of(request)
        found = self._piece(operation)
        found.resultSetMetadata = self._metadata(operation)
        return found

    def CancelOperation(self, request: Any) -> Any:
        self._of(request).canceled.set()
        self._server.canceled.set()
        return t.TCancelOperationResp(status=_DONE)

    def CloseOperation(self, _request: Any) -> Any:
        return t.TCloseOperationResp(status=_DONE)


def _given_out(request: Request, secret: str, token: str) -> Answer:
    form = parse_qs(request.body.decode())
    known = form["grant_type"] == ["client_credentials"] and request.headers[
        "authorization"
    ].endswith(secret)
    body = {"access_token": token, "expires_in": 3600} if known else {"error": "invalid_client"}
    return 200 if known else 401, {"Content-Type": "application/json"}, json.dumps(body).encode()


@contextmanager
def serve_databricks(
    execute: Execute, token: str, *, secret: str = "", links: bool = False
) -> Iterator[DatabricksServer]:
    """Serve on a free port of the loopback.

    Args:
        execute: what answers statements.
        token: whoever brings it is let in.
        secret: ``id:secret`` in base64, for which the token is given out.
        links: results are links to files.
    """

    def answer(request: Request, _port: int) -> Answer:
        if request.path == TOKENS:
            return _given_out(request, secret, token)
        if request.path.startswith("/files/"):
            _, _, name, place = request.path.split("/")
            return 200, {}, handler.file(name, int(place))
        if request.path != PATH or request.headers.get("authorization") != f"Bearer {token}":
            return 403, {"X-Databricks-Reason-Phrase": "Invalid access token."}, b""
        wanted, made = TMemoryBuffer(request.body), TMemoryBuffer()
        TCLIService.Processor(handler).process(TBinaryProtocol(wanted), TBinaryProtocol(made))
        return 200, {"Content-Type": "application/x-thrift"}, made.getvalue()

    with serve_http(answer) as endpoint:
        server = DatabricksServer(endpoint)
        handler = _Handler(server, execute, links=links)
        yield server
