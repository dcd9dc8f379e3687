"""A server of SQL Server's protocol (TDS 7.4) in this process, which computes nothing.

What a statement is answered with is the caller's to say. Of the protocol there is what a client of
plain statements needs: logging in (over TLS where there is a certificate), batches, calls by name
with simple parameters, results, errors.
"""

from __future__ import annotations

import datetime
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

BATCH, RPC, REPLY, LOGIN, PRELOGIN = 1, 3, 4, 16, 18
_COLLATION = b"\x09\x04\xd0\x00\x34"
_PACKET = 4096 - 8
_LAST, _ERROR, _MORE = 0, 2, 1
_DONE, _DONE_IN_PROCEDURE, _DONE_PROCEDURE = 0xFD, 0xFF, 0xFE
_EPOCH = datetime.date(1, 1, 1).toordinal()


class TdsError(Exception):
    """What the server is to complain of."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True, slots=True)
class Result:
    """Names of columns with their types (``decimal(10,2)``), and the rows."""

    columns: Sequence[tuple[str, str]]
    rows: Iterator[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement or call: the procedure's name or nothing, the text, and values by name."""

    procedure: str
    text: str
    values: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class TdsServer:
    """A running server: where it is, what it was asked, and how many clients have hung up."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    logins: list[dict[str, str]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)


def _short_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _long_text(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def _token(kind: int, body: bytes) -> bytes:
    return struct.pack("<BH", kind, len(body)) + body


def _done(kind: int, status: int) -> bytes:
    return struct.pack("<BHHq", kind, status, 0xC1, 0)


def _complaint(error: TdsError) -> bytes:
    body = struct.pack("<IBB", error.number, 1, 16) + _long_text(str(error))
    return _token(0xAA, body + _short_text("server") + _short_text("") + struct.pack("<I", 1))


_INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
_FLOATS = {"real": (4, "<f"), "float": (8, "<d")}
_CLOCKS = {"datetime2": 0x2A, "datetimeoffset": 0x2B}


def _type_info(spelled: str) -> bytes:
    name, _, sizes = spelled.rstrip(")").partition("(")
    if name in _INTEGERS:
        return bytes([0x26, _INTEGERS[name]])
    if name in _FLOATS:
        return bytes([0x6D, _FLOATS[name][0]])
    if name == "bit":
        return bytes([0x68, 1])
    if name == "decimal":
        precision, scale = (int(size) for size in sizes.split(","))
        return bytes([0x6A, 17, precision, scale])
    if name == "date":
        return bytes([0x28])
    if name in _CLOCKS:
        return bytes([_CLOCKS[name], int(sizes)])
    if name == "varbinary":
        return bytes([0xA5, 0xFF, 0xFF])
    assert name == "nvarchar", spelled
    return b"\xe7\x40\x1f" + _COLLATION


def _clock(value: datetime.datetime) -> bytes:
    """Microseconds of the day and days, as a datetime2(6) has them."""
    midnight = value.replace(hour=0, minute=0, second=0, microsecond=0)
    microseconds = (value - midnight) // datetime.timedelta(microseconds=1)
    days = value.date().toordinal() - _EPOCH
    return microseconds.to_bytes(5, "little") + days.to_bytes(3, "little")


def _value(value: object, spelled: str) -> bytes:
    name = spelled.partition("(")[0]
    if name == "varbinary":
        if value is None:
            return b"\xff" * 8
        assert isinstance(value, bytes)
        chunk = struct.pack("<I", len(value)) + value if value else b""
        return struct.pack("<Q", len(value)) + chunk + bytes(4)
    if name == "nvarchar":
        if value is None:
            return b"\xff\xff"
        raw = str(value).encode("utf-16-le")
        return struct.pack("<H", len(raw)) + raw
    if value is None:
        return b"\x00"
    raw = _fixed(value, name)
    return bytes([len(raw)]) + raw


def _fixed(value: object, name: str) -> bytes:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return _clock(value)
        minutes = value.utcoffset() // datetime.timedelta(minutes=1)  # type: ignore[operator]
        utc = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return _clock(utc) + struct.pack("<h", minutes)
    if isinstance(value, datetime.date):
        return (value.toordinal() - _EPOCH).to_bytes(3, "little")
    if isinstance(value, Decimal):
        digits = int("".join(map(str, value.as_tuple().digits)))
        return bytes([int(value >= 0)]) + digits.to_bytes(16, "little")
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, float):
        return struct.pack(_FLOATS[name][1], value)
    assert isinstance(value, int)
    return value.to_bytes(_INTEGERS[name], "little", signed=name != "tinyint")


class _Reader:
    """The body of a call, piece by piece."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, count: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def text(self, characters: int) -> str:
        return self.take(2 * characters).decode("utf-16-le")

    def parameter(self) -> tuple[str, object]:
        name = self.text(self.number(1))
        self.take(1)
        kind = self.number(1)
        if kind == 0xE7:
            return name, self._characters()
        assert kind in (0x26, 0x68, 0x6D), hex(kind)
        self.take(1)
        raw = self.take(self.number(1))
        if kind == 0x6D:
            return name, struct.unpack("<d", raw)[0]
        found = int.from_bytes(raw, "little", signed=True)
        return name, bool(found) if kind == 0x68 else found

    def _characters(self) -> str:
        limit = self.number(2)
        self.take(5)
        if limit != 0xFFFF:
            return self.take(self.number(2)).decode("utf-16-le")
        self.take(8)
        chunks = b""
        while size := self.number(4):
            chunks += self.take(size)
        return chunks.decode("utf-16-le")


def _asked(kind: int, body: bytes) -> Asked:
    reader = _Reader(body)
    reader.take(int.from_bytes(body[:4], "little"))
    if kind == BATCH:
        return Asked("", reader.text((len(body) - reader.place) // 2))
    size = reader.number(2)
    name = "sp_executesql" if size == 0xFFFF and reader.number(2) == 10 else reader.text(size)
    reader.take(2)
    found = []
    while reader.place < len(body):
        found.append(reader.parameter())
    return Asked(name, str(found[0][1]), dict(found[2:]))


class _Tls:
    """TLS whose handshake comes in packets, and nothing but what it makes of them after it."""

    def __init__(self, link: socket.socket, certificate: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._link = link
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def sendall(self, data: bytes) -> None:
        self.session.write(data)
        self._link.sendall(self.outgoing.read())

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self.session.read(size)
            except ssl.SSLWantReadError:
                raw = self._link.recv(65536)
                if not raw:
                    return b""
                self.incoming.write(raw)


class _Client:
    """One connection."""

    def __init__(
        self,
        link: socket.socket,
        server: TdsServer,
        answer: Callable[[Asked], Result],
        certificate: str,
        password: str,
    ) -> None:
        self.link: socket.socket | _Tls = link
        self._raw, self._certificate, self._password = link, certificate, password
        self._server, self._answer = server, answer
        self._pending = b""

    def serve(self) -> None:
        try:
            while True:
                kind, body = self._message()
                if kind == PRELOGIN:
                    self._greet()
                elif kind == LOGIN:
                    self._log_in(body)
                else:
                    self._run(_asked(kind, body))
        except (ConnectionError, ssl.SSLError):
            self._server.hung_up.set()

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            piece = self.link.recv(size - len(found))
            if not piece:
                raise ConnectionError
            found += piece
        return found

    def _message(self) -> tuple[int, bytes]:
        body = b""
        while True:
            kind, status, size = struct.unpack(">BBH4x", self._read(8))
            body += self._read(size - 8)
            if status & 1:
                return kind, body

    def _send(self, data: bytes, kind: int = REPLY, *, last: bool = True) -> None:
        """Packets are full, as a server's are, but for the last one."""
        self._pending += data
        while len(self._pending) > _PACKET or (last and self._pending):
            piece, self._pending = self._pending[:_PACKET], self._pending[_PACKET:]
            status = int(last and not self._pending)
            self.link.sendall(struct.pack(">BBH4x", kind, status, len(piece) + 8) + piece)

    def _greet(self) -> None:
        version, encryption = bytes([16, 0, 0, 0, 0, 0]), bytes([1 if self._certificate else 2])
        places = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF)
        self._send(places + version + encryption)
        if self._certificate:
            self._shake_hands()

    def _shake_hands(self) -> None:
        tls = _Tls(self._raw, self._certificate)
        while True:
            _, body = self._message()
            tls.incoming.write(body)
            try:
                tls.session.do_handshake()
            except ssl.SSLWantReadError:
                self._send(tls.outgoing.read(), PRELOGIN)
                continue
            self._send(tls.outgoing.read(), PRELOGIN)
            self.link = tls
            return

    def _log_in(self, body: bytes) -> None:
        def part(place: int) -> bytes:
            start, size = struct.unpack_from("<HH", body, place)
            return body[start : start + 2 * size]

        # As the protocol hides it: halves of bytes changed over, then some bits turned.
        hidden = (byte ^ 0xA5 for byte in part(44))
        password = bytes((byte >> 4 | byte << 4) & 0xFF for byte in hidden).decode("utf-16-le")
        names = {"user": 40, "application": 48, "database": 68}
        found = {name: part(place).decode("utf-16-le") for name, place in names.items()}
        self._server.logins.append(found)
        if password != self._password:
            complaint = _complaint(TdsError(18456, f"Login failed for user '{found['user']}'."))
            self._send(complaint + _done(_DONE, _ERROR))
            return
        database = b"\x01" + _short_text(found["database"] or "master") + _short_text("")
        collation = b"\x07" + bytes([5]) + _COLLATION + b"\x00"
        accepted = (
            b"\x01\x74\x00\x00\x04" + _short_text("Microsoft SQL Server") + bytes([16, 0, 0, 0])
        )
        self._send(
            _token(0xE3, database) + _token(0xE3, collation) + _token(0xAD, accepted)
            + _done(_DONE, _LAST)
        )  # fmt: skip

    def _run(self, asked: Asked) -> None:
        self._server.asked.append(asked)
        try:
            result = self._answer(asked)
            self._send_rows(result)
        except TdsError as error:
            self._send(_complaint(error) + _done(_DONE, _ERROR))
            return
        if asked.procedure:
            self._send(
                _done(_DONE_IN_PROCEDURE, _MORE) + b"\x79" + bytes(4)
                + _done(_DONE_PROCEDURE, _LAST)
            )  # fmt: skip
        else:
            self._send(_done(_DONE, _LAST))

    def _send_rows(self, result: Result) -> None:
        if not result.columns:
            return
        head = struct.pack("<BH", 0x81, len(result.columns))
        for name, kind in result.columns:
            head += struct.pack("<IH", 0, 9) + _type_info(kind) + _short_text(name)
        self._send(head, last=False)
        kinds = [kind for _, kind in result.columns]
        for row in result.rows:
            self._send(b"\xd1" + b"".join(map(_value, row, kinds)), last=False)


@contextmanager
def serve_tds(
    answer: Callable[[Asked], Result], password: str, certificate: str = ""
) -> Iterator[TdsServer]:
    """Serve on a free port of the loopback; with a certificate (PEM, key and all) over TLS."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            _Client(self.request, running, answer, certificate, password).serve()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        running = TdsServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
