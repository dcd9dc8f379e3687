"""ClickHouse's HTTP interface over the engine in this process (chdb): a server for tests.

The engine is the real one; what is here is the part of its HTTP handler that a driver sees: GET and
POST, settings and parameters in the URL, database, query_id, formats, errors before the first byte
and in the middle of an answer, KILL QUERY, and statements that end with their connection.

    python -m tests.support.clickhouse_http DIRECTORY [PASSWORD]

prints its port, and ends with its standard input.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
import select
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb
import pyarrow as pa
from chdb.state.sqlitelike import Connection

FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)\.")
STREAMED = re.compile(r"[\s(]*(SELECT|WITH)\b", re.IGNORECASE)
KILL_BY_ID = re.compile(r"\bquery_id\b")
# Parameters of the interface itself; all others are settings.
NOT_SETTINGS = {"query", "query_id", "database", "default_format", "session_id", "user", "password"}
# Settings of HTTP that the engine alone has no use for.
NOT_FOR_THE_ENGINE = {"wait_end_of_query", "client_protocol_version"}
STATUS = {60: 404, 81: 404, 516: 403, 164: 500, 62: 400, 47: 404, 46: 404}
WATCH_SECONDS = 0.05


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def setting(name: str, value: str) -> str:
    return f"{name} = {literal(value)}"


class Handler(BaseHTTPRequestHandler):
    """One request of the HTTP interface."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    directory = ""
    password = ""
    keeper: Connection

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/ping":
            self._answer(200, b"Ok.\n")
            return
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        arguments = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not self._known_caller():
            self._fail(
                "Code: 516. DB::Exception: default: Authentication failed: password is"
                " incorrect, or there is no such user. (AUTHENTICATION_FAILED)"
            )
            return
        if self.headers.get("Content-Type", "").startswith("multipart/form-data"):
            arguments.update(self._form(body))
            body = b""
        query = arguments.pop("query", "")
        text = "\n".join(part for part in (query, body.decode()) if part)
        self._run(text, arguments)

    def do_POST(self) -> None:
        self.do_GET()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _form(self, body: bytes) -> dict[str, str]:
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
        found = {}
        for part in body.split(b"--" + boundary)[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]+)"', head)
            assert name is not None
            found[name[1].decode()] = value.removesuffix(b"\r\n").decode()
        return found

    def _known_caller(self) -> bool:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            given = base64.b64decode(token).decode().partition(":")[2]
        else:
            given = self.headers.get("X-ClickHouse-Key", "")
        return given == self.password

    def _run(self, text: str, arguments: dict[str, str]) -> None:
        query_id = arguments.get("query_id") or str(uuid.uuid4())
        found = FORMAT.search(text)
        output = found[1] if found else arguments.get("default_format", "TabSeparated")
        text = text[: found.start()] if found else text
        if re.match(r"\s*KILL\s+QUERY\b", text, re.IGNORECASE):
            # The engine names its statements itself; ours is where every statement carries it.
            text = KILL_BY_ID.sub("Settings['log_comment']", text)
        connection = Connection(self.directory)
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stop, query_id), daemon=True)
        try:
            self._set_up(connection, arguments, query_id)
            watcher.start()
            self._stream(connection, text, output, query_id)
        except BrokenPipeError:
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the answer
            self._fail(str(error))
        finally:
            stop.set()
            connection.close()

    def _set_up(self, connection: Connection, arguments: dict[str, str], query_id: str) -> None:
        values = {
            name: value
            for name, value in arguments.items()
            if name not in NOT_SETTINGS | NOT_FOR_THE_ENGINE
        }
        values["log_comment"] = query_id
        # Read-only comes last: after it nothing else may be set with 1.
        read_only = values.pop("readonly", None)
        if database := arguments.get("database"):
            connection.query(f"USE `{database}`")
        connection.query("SET " + ", ".join(setting(*item) for item in values.items()))
        if read_only is not None:
            connection.query(f"SET readonly = {int(read_only)}")

    def _stream(self, connection: Connection, text: str, output: str, query_id: str) -> None:
        running: object = None

        def whole() -> bytes:
            return connection.query(text, output).bytes()

        if STREAMED.match(text):
            running = connection.send_query(text, output)
            first = running.fetch()
            pieces = self._pieces(running, None if first is None else first.bytes())
            if output == "ArrowStream":
                pieces = arrow(pieces, whole)
            elif first is None:
                pieces = iter((whole(),))
        else:
            pieces = iter((whole(),))
        begin = next(pieces, b"")
        tag = uuid.uuid4().hex[:16]
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-ClickHouse-Format", output)
        self.send_header("X-ClickHouse-Query-Id", query_id)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("X-ClickHouse-Exception-Tag", tag)
        self.end_headers()
        try:
            self._chunk(begin)
            for piece in pieces:
                self._chunk(piece)
        except BrokenPipeError:
            with contextlib.suppress(Exception):
                running.cancel()  # type: ignore[attr-defined]
            raise
        except Exception as error:  # noqa: BLE001 - written where the next piece would stand
            message = f"{engine_text(error)}\n"
            self._chunk(
                f"\r\n__exception__\r\n{tag}\r\n{message}{len(message)} {tag}"
                "\r\n__exception__\r\n".encode()
            )
            # As the server does: the answer has no proper end.
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _pieces(running: object, first: bytes | None) -> Iterator[bytes]:
        piece = first
        while piece:
            yield piece
            following = running.fetch()  # type: ignore[attr-defined]
            piece = None if following is None else following.bytes()

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")

    def _watch(self, stop: threading.Event, query_id: str) -> None:
        """End the statement when its client has gone."""
        while not stop.wait(WATCH_SECONDS):
            readable, _, _ = select.select([self.connection], [], [], 0)
            gone = False
            if readable:
                try:
                    gone = self.connection.recv(1, socket.MSG_PEEK) == b""
                except OSError:
                    gone = True
            if gone:
                with contextlib.suppress(Exception):
                    kill(self.directory, query_id)

    def _fail(self, text: str) -> None:
        message = engine_text(text) + "\n"
        code = CODE.search(message)
        number = int(code[1]) if code else 49
        self._answer(STATUS.get(number, 500), message.encode(), code=str(number))

    def _answer(self, status: int, body: bytes, *, code: str = "") -> None:
        with contextlib.suppress(BrokenPipeError):
            self.send_response(status)
            if code:
                self.send_header("X-ClickHouse-Exception-Code", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def engine_text(error: object) -> str:
    """An exception's text as the server writes it."""
    text = str(error)
    start = text.find("Code: ")
    text = text[max(start, 0) :].strip()
    return f"{text} (version {chdb.engine_version} (official build))"


def arrow(pieces: Iterator[bytes], empty: object) -> Iterator[bytes]:
    """One Arrow stream of many: the engine hands out each block as a stream of its own."""
    sink = io.BytesIO()
    writer = None
    for piece in pieces:
        reader = pa.ipc.open_stream(piece)
        if writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writer = pa.ipc.new_stream(sink, reader.schema, options=options)
        for batch in reader:
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    if writer is None:
        yield empty()  # type: ignore[operator]
        return
    writer.close()
    yield sink.getvalue()


def kill(directory: str, query_id: str) -> None:
    connection = Connection(directory)
    try:
        connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {literal(query_id)} ASYNC")
    finally:
        connection.close()


def main() -> None:
    Handler.directory = sys.argv[1]
    Handler.password = sys.argv[2] if len(sys.argv) > 2 else ""
    # The engine lives as long as its first connection.
    Handler.keeper = Connection(Handler.directory)
    Handler.keeper.query("CREATE DATABASE IF NOT EXISTS `default` ENGINE = Atomic")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
