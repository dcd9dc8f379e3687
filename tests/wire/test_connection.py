"""The server's end of a connection: phases, limits, and what each kind of fault leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import backend
from proxy.wire import frontend as f
from proxy.wire.connection import Phase, ServerConnection, WireLimits
from proxy.wire.errors import InvalidMove, ProtocolViolation
from proxy.wire.message import Message
from tests.support.mini_server import MemoryWire, MiniServer
from tests.support.raw_client import RawClient

START = f.StartupMessage(3, 0, {"user": "ada", "database": "cubes"})


def encoded(messages: Sequence[Message]) -> bytes:
    return b"".join(message.encode() for message in messages)


def phase_of(connection: ServerConnection) -> Phase:
    """Asked through a function, because it changes between two looks."""
    return connection.phase


def is_full(connection: ServerConnection) -> bool:
    """As `phase_of`."""
    return connection.full


def ready_connection(limits: WireLimits | None = None) -> ServerConnection:
    """A connection after login."""
    connection = ServerConnection() if limits is None else ServerConnection(limits)
    connection.feed(START.encode())
    assert connection.next_event() == START
    connection.authenticated()
    connection.ready()
    return connection


def refusal(connection: ServerConnection, data: bytes) -> ProtocolViolation:
    """The fault that these bytes raise."""
    connection.feed(data)
    with pytest.raises(ProtocolViolation) as caught:
        connection.next_event()
    return caught.value


# ------------------------------------------------------------------ two peers joined in memory

EXCHANGES: dict[str, Sequence[Message]] = {
    "simple": (START, f.Query("select 'alive'"), f.Query("fail"), f.Query(""), f.Terminate()),
    "encryption in one order": (f.SSLRequest(), f.GSSENCRequest(), START, f.Query("set x")),
    "encryption in the other": (f.GSSENCRequest(), f.SSLRequest(), START, f.Query("set x")),
    "newer": (f.StartupMessage(3, 7, {"user": "ada", "_pq_.x": "1"}), f.Sync()),
    "cancel": (f.CancelRequest(7, b"\0\0\0\0"),),
    "extended": (
        START,
        f.Parse("s", "select 'alive'", (23, 25)),
        f.Bind("", "s", (0, 1), (b"1", None), (1,)),
        f.Describe("S", "s"),
        f.Describe("P", ""),
        f.Execute("", 10),
        f.Flush(),
        f.Close("P", ""),
        f.Sync(),
    ),
    "skipping": (
        START,
        f.Parse("", "fail"),
        f.Bind("", ""),
        f.Execute(""),
        f.Bind("", ""),
        f.Query("select 'alive'"),
        f.FunctionCall(1),
        f.CopyData(b"stray"),
        f.Flush(),
        f.Sync(),
        f.Query("select 'alive'"),
    ),
    "a query ends a sequence": (START, f.Parse("", ""), f.Query("select 'alive'"), f.Sync()),
    "stray copy": (START, f.CopyData(b"1"), f.CopyDone(), f.CopyFail("no"), f.Sync()),
    "function call": (START, f.FunctionCall(1, (1,), (b"x", None), 1)),
    "malformed in between": (START, f.Describe("S", "none"), f.Sync(), f.Query("select 'alive'")),
}


def _whole(server: MiniServer, parts: Sequence[bytes]) -> None:
    for part in parts:
        server.feed(part)


def _bytewise(server: MiniServer, parts: Sequence[bytes]) -> None:
    for part in parts:
        for byte in part:
            server.feed(bytes((byte,)))


def _with_trailing(server: MiniServer, parts: Sequence[bytes]) -> None:
    """Each message comes with the beginning of the next, but a request for encryption alone:
    what is sent behind it is an attack."""
    held = b""
    for part in parts:
        alone = len(part) == len(f.SSLRequest().encode())
        cut = len(part) // (1 if alone else 2)
        server.feed(held + part[:cut])
        held = part[cut:]
    server.feed(held)
    before = bytes(server.outgoing)
    server.feed(b"Q\0\0")
    assert bytes(server.outgoing) == before
    assert server.wire.buffered in (0, 3)


Chunking = Callable[[MiniServer, Sequence[bytes]], None]
CHUNKINGS: tuple[Chunking, ...] = (_whole, _bytewise, _with_trailing)


@pytest.mark.parametrize("chunking", CHUNKINGS)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_chunks_do_not_matter(exchange: str, chunking: Chunking) -> None:
    reference, server = MiniServer(), MiniServer()
    parts = [message.encode() for message in EXCHANGES[exchange]]
    _whole(reference, parts)
    chunking(server, parts)
    assert server.events == reference.events
    assert server.outgoing == reference.outgoing
    assert server.wire.phase is reference.wire.phase
    assert reference.events[0] == EXCHANGES[exchange][0]


@pytest.mark.parametrize("chunking", [_whole, _bytewise])
def test_all_of_a_session_in_one_write(chunking: Chunking) -> None:
    server = MiniServer()
    chunking(server, [encoded(EXCHANGES["extended"])])
    assert server.events == list(EXCHANGES["extended"])


def test_two_peers_joined_in_memory() -> None:
    server = MiniServer(password="secret")
    with RawClient(MemoryWire(server)) as client:
        said = client.startup("ada", "cubes", "secret", minor=2)
        assert said[-1] == backend.ReadyForQuery("I")
        assert client.key == backend.BackendKeyData(7, bytes(32))
        assert backend.DataRow((b"alive",)) in client.query("select 'alive'")
        answers = client.exchange(f.Parse("", "fail"), f.Bind("", ""), f.Execute(""), f.Sync())
        assert [type(answer).__name__ for answer in answers] == [
            "ParseComplete",
            "BindComplete",
            "ErrorResponse",
            "ReadyForQuery",
        ]
        client.close()
    assert server.closed


@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
def test_random_bytes_only_raise_violations(noise: bytes, cut: int) -> None:
    for connection in (ServerConnection(), ready_connection()):
        for chunk in (noise[:cut], noise[cut:]):
            connection.feed(chunk)
            try:
                while connection.next_event() is not None:
                    if phase_of(connection) is Phase.ANSWERING:
                        connection.ready()
            except ProtocolViolation as violation:
                assert violation.fatal == (phase_of(connection) is Phase.CLOSED)  # noqa: PT017
                if phase_of(connection) is Phase.ANSWERING:
                    connection.ready()


# ------------------------------------------------------------------------------- before login


def test_a_session_from_start_to_end() -> None:
    connection = ServerConnection()
    assert connection.next_event() is None
    connection.feed(START.encode())
    assert connection.next_event() == START
    assert phase_of(connection) is Phase.STARTED
    connection.feed(f.PasswordMessage("x").encode())
    assert connection.next_event() is None, "held until we ask"
    connection.authentication_started()
    assert isinstance(connection.next_event(), f.AuthenticationResponse)
    assert phase_of(connection) is Phase.AUTHENTICATION
    connection.authenticated()
    connection.feed(f.Query("select 1").encode() + f.Terminate().encode() + b"rest")
    assert connection.next_event() is None, "held until ReadyForQuery"
    connection.ready()
    assert connection.next_event() == f.Query("select 1")
    assert connection.next_event() is None, "held until the first is answered"
    connection.ready()
    assert connection.next_event() == f.Terminate()
    assert phase_of(connection) is Phase.CLOSED
    connection.feed(b"more")
    assert connection.next_event() is None


@pytest.mark.parametrize(
    ("version", "options", "minor", "negotiation"),
    [
        ((3, 0), {}, 0, None),
        ((3, 1), {}, 1, None),
        ((3, 2), {}, 2, None),
        ((3, 3), {}, 2, backend.NegotiateProtocolVersion(2)),
        ((3, 9999), {}, 2, backend.NegotiateProtocolVersion(2)),
        ((3, 0), {"_pq_.a": "1"}, 0, backend.NegotiateProtocolVersion(0, ("_pq_.a",))),
        ((3, 5), {"_pq_.a": ""}, 2, backend.NegotiateProtocolVersion(2, ("_pq_.a",))),
    ],
)
def test_negotiation(
    version: tuple[int, int],
    options: dict[str, str],
    minor: int,
    negotiation: backend.NegotiateProtocolVersion | None,
) -> None:
    connection = ServerConnection()
    connection.feed(f.StartupMessage(*version, {"user": "ada", **options}).encode())
    connection.next_event()
    assert connection.protocol_minor == minor
    assert connection.negotiation == negotiation


def test_negotiation_names_the_whole_version() -> None:
    assert backend.NegotiateProtocolVersion(2, ("_pq_.a",)).encode()[5:9] == b"\0\3\0\2"


@pytest.mark.parametrize(
    ("data", "sqlstate", "message"),
    [
        (f.StartupMessage(2, 0, {}).encode(), "0A000", "unsupported frontend protocol 2.0"),
        (f.StartupMessage(0, 0, {}).encode(), "0A000", "server supports 3.0 to 3.2"),
        (f.StartupMessage(1234, 1, {}).encode(), "0A000", "unsupported frontend protocol 1234.1"),
        (f.StartupMessage(3, 0, {}).encode(), "28000", "no PostgreSQL user name specified"),
        (f.StartupMessage(3, 0, {"user": ""}).encode(), "28000", "no PostgreSQL user name"),
        (START.encode()[:-1] + b"!", "08P01", "expected terminator as last byte"),
        (b"\xff\xff\xff\xff", "08P01", "startup_bytes is 10000"),
        (b"\0\0\0\7", "08P01", "invalid length of startup packet"),
        (b"GET / HTTP/1.1\r\n", "08P01", "invalid length of startup packet"),
        (b"\x16\x03\x01\0", "08P01", "invalid length of startup packet"),
        ((10_005).to_bytes(4, "big"), "08P01", "invalid length of startup packet"),
        (b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\1", "08P01", "invalid length of cancel request"),
    ],
)
def test_openings_that_end_the_connection(data: bytes, sqlstate: str, message: str) -> None:
    connection = ServerConnection()
    violation = refusal(connection, data)
    assert violation.sqlstate == sqlstate
    assert message in violation.message
    assert violation.fatal
    assert phase_of(connection) is Phase.CLOSED
    assert connection.buffered == 0


def test_the_largest_startup() -> None:
    connection = ServerConnection()
    room = 10_004 - len(START.encode()) - len("x") - 2
    largest = f.StartupMessage(3, 0, {**START.parameters, "x": "y" * room})
    assert len(largest.encode()) == 10_004
    connection.feed(largest.encode())
    assert connection.next_event() == largest


@pytest.mark.parametrize("request_", [f.SSLRequest(), f.GSSENCRequest()])
def test_encryption_is_asked_for_once(request_: Message) -> None:
    connection = ServerConnection()
    connection.feed(request_.encode())
    assert connection.next_event() == request_
    connection.encryption_declined()
    violation = refusal(connection, request_.encode())
    assert violation.sqlstate == "0A000"
    assert type(request_).__name__ in violation.message


def test_tls_after_a_request() -> None:
    connection = ServerConnection()
    connection.feed(f.SSLRequest().encode())
    connection.next_event()
    connection.tls_started()
    assert phase_of(connection) is Phase.TLS_HANDSHAKE
    connection.feed(START.encode())
    assert connection.next_event() == START


def test_tls_without_a_request() -> None:
    connection = ServerConnection()
    connection.tls_started()
    connection.feed(START.encode())
    assert connection.next_event() == START


def test_bytes_stuffed_before_tls_are_never_read() -> None:
    connection = ServerConnection()
    connection.feed(f.SSLRequest().encode() + START.encode())
    connection.next_event()
    with pytest.raises(ProtocolViolation, match="unencrypted data after SSL request") as caught:
        connection.tls_started()
    assert caught.value.fatal
    assert "man-in-the-middle" in str(caught.value.detail)
    assert phase_of(connection) is Phase.CLOSED
    assert connection.next_event() is None


def test_a_client_that_does_not_wait_for_our_no_is_sent_away() -> None:
    connection = ServerConnection()
    connection.feed(f.GSSENCRequest().encode() + START.encode())
    connection.next_event()
    with pytest.raises(ProtocolViolation, match="unencrypted data"):
        connection.encryption_declined()


@pytest.mark.parametrize(
    "message", [START, f.SSLRequest(), f.Query("select 1"), f.Terminate(), f.Sync()]
)
def test_only_proofs_while_authenticating(message: Message) -> None:
    connection = ServerConnection()
    connection.feed(START.encode())
    connection.next_event()
    connection.authentication_started()
    violation = refusal(connection, message.encode())
    assert violation.sqlstate == "08P01"
    assert "phase authentication" in violation.message
    assert violation.fatal


def test_proofs_are_limited() -> None:
    connection = ServerConnection(WireLimits(authentication_bytes=100))
    connection.feed(START.encode())
    connection.next_event()
    connection.authentication_started()
    connection.feed(f.AuthenticationResponse(b"x" * 96).encode())
    assert connection.next_event() is not None
    violation = refusal(connection, f.AuthenticationResponse(b"x" * 97).encode()[:5])
    assert violation.message == (
        "invalid length 101 of AuthenticationResponse: limit authentication_bytes is 100"
    )


# -------------------------------------------------------------------------------- after login


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 3])
def test_lengths_below_the_least(length: int) -> None:
    violation = refusal(ready_connection(), b"Q" + length.to_bytes(4, "big", signed=True))
    assert violation.message == f"invalid length {length} of Query"
    assert violation.fatal


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        (f.Query("x" * 60), "server.max_message_bytes is 50"),
        (f.Parse("", "x" * 60), "server.max_message_bytes is 50"),
        (f.Bind("", "", (), (b"x" * 60,)), "server.max_message_bytes is 50"),
        (f.FunctionCall(1, (), (b"x" * 60,)), "server.max_message_bytes is 50"),
        (f.CopyData(b"x" * 60), "server.max_message_bytes is 50"),
        (f.Describe("S", "x" * 60), "command_bytes is 40"),
        (f.Execute("x" * 60), "command_bytes is 40"),
        (f.Close("P", "x" * 60), "command_bytes is 40"),
        (f.CopyFail("x" * 60), "command_bytes is 40"),
    ],
)
def test_limits_are_named(message: Message, limit: str) -> None:
    limits = WireLimits(message_bytes=50, command_bytes=40)
    violation = refusal(ready_connection(limits), message.encode()[:5])
    assert violation.sqlstate == "08P01"
    assert violation.message.endswith(f"of {type(message).__name__}: limit {limit}")


def test_unknown_types_are_refused_at_their_first_byte() -> None:
    violation = refusal(ready_connection(), b"!")
    assert violation.message == "invalid frontend message type 33 in phase ready"
    assert refusal(ready_connection(), b"!\0\0\0\4").message == violation.message
    assert refusal(ready_connection(), f.AuthenticationResponse(b"").encode()).message == (
        "unexpected AuthenticationResponse in phase ready"
    )


@pytest.mark.parametrize("broken", [b"Q\0\0\0\4", b"F\0\0\0\4", b"S\0\0\0\5!"])
def test_faults_that_are_answered_at_once(broken: bytes) -> None:
    connection = ready_connection()
    violation = refusal(connection, broken)
    assert not violation.fatal
    assert phase_of(connection) is Phase.ANSWERING
    connection.ready()
    connection.feed(f.Query("select 1").encode())
    assert connection.next_event() == f.Query("select 1")


@pytest.mark.parametrize("code", "PBDECH")
def test_faults_that_skip_to_sync(code: str) -> None:
    connection = ready_connection()
    body = b"!" if code == "H" else b""
    violation = refusal(connection, code.encode() + (4 + len(body)).to_bytes(4, "big") + body)
    assert not violation.fatal
    assert phase_of(connection) is Phase.SKIPPING
    connection.feed(f.Query("skipped").encode() + b"B\0\0\0\4" + f.Sync().encode())
    assert connection.next_event() == f.Sync()
    assert phase_of(connection) is Phase.ANSWERING


def test_skipping_is_for_the_extended_protocol() -> None:
    connection = ready_connection()
    with pytest.raises(InvalidMove, match="skip_until_sync is not allowed in phase ready"):
        connection.skip_until_sync()
    connection.feed(f.Parse("", "x").encode() + f.Terminate().encode())
    connection.next_event()
    connection.skip_until_sync()
    connection.skip_until_sync()
    assert connection.next_event() == f.Terminate()


def test_large_messages_in_small_pieces_take_linear_time() -> None:
    connection = ready_connection()
    raw = f.Query("x" * 4_000_000).encode()
    for start in range(0, len(raw), 1_000):
        assert connection.next_event() is None
        connection.feed(raw[start : start + 1_000])
    event = connection.next_event()
    assert isinstance(event, f.Query)
    assert len(event.sql) == 4_000_000
    assert connection.buffered == 0


def test_reading_should_pause_when_enough_waits() -> None:
    query = f.Query("x" * 50).encode()
    connection = ready_connection(WireLimits(backlog_bytes=100))
    connection.feed(query)
    assert not is_full(connection)
    connection.next_event()
    connection.feed(query * 3)
    assert is_full(connection), "held, and three wait"
    connection.ready()
    assert is_full(connection), "a whole message is at hand"
    for _ in range(3):
        connection.next_event()
        connection.ready()
    assert not is_full(connection)
    connection.feed(f.Query("x" * 500).encode()[:-1])
    assert not is_full(connection), "one message larger than the backlog must come in whole"


def test_closing_forgets() -> None:
    connection = ready_connection()
    connection.feed(b"Q\0\0")
    connection.close()
    assert phase_of(connection) is Phase.CLOSED
    assert connection.buffered == 0
    with pytest.raises(InvalidMove, match="ready is not allowed in phase closed"):
        connection.ready()
