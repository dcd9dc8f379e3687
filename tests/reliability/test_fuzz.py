"""Malformed and mutated sessions against the running server: none crashes it, hangs it or costs
anybody else, and after each the connection is closed or usable.

``make test`` tries the same few hundred each time; FUZZ_EXAMPLES=10000 tries others, and more.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.wire import backend, frontend
from proxy.wire.errors import WireError
from proxy.wire.message import Message
from tests.reliability.support import MB, address, at_rest, resident, serving
from tests.support.canary import Canary
from tests.support.raw_client import RawClient, StartupError
from tests.support.server import RunningServer
from tests.wire.strategies import FRONTEND

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
SYNC = frontend.Sync()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("fuzz")
    limits = {"server__max_message_bytes": 200_000, "server__statement_timeout": 5}
    with serving(folder, **limits) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def alive(server: RunningServer) -> Iterator[None]:
    """Around all of them: a canary, the process, its memory, its log."""
    children = {child.pid for child in psutil.Process(server.pid).children()}
    before = resident(server)
    with Canary(address(server)) as canary:
        yield
    canary.check()
    at_rest(server)
    assert server.process.poll() is None
    assert children <= {child.pid for child in psutil.Process(server.pid).children()}
    assert resident(server) - before < 120 * MB
    assert [line for line in server.log if "Traceback" in line or "internal error" in line] == []


SQL = (
    "SELECT 1",
    "SELECT id, letter FROM tiny WHERE id = $1",
    "SELECT COUNT(*) FROM tiny WHERE letter > $1::text",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT id FROM tiny",
    "FETCH BACKWARD 2 FROM c",
    "FETCH ABSOLUTE -1 FROM c",
    "CLOSE c",
    "PREPARE p AS SELECT $1::int",
    "EXECUTE p(1)",
    "DEALLOCATE ALL",
    "SET TimeZone = 'Asia/Kathmandu'",
    "SET LOCAL DateStyle = 'SQL, DMY'",
    "RESET ALL",
    "SHOW ALL",
    "DISCARD ALL",
    "COPY (SELECT * FROM tiny) TO STDOUT WITH (FORMAT binary)",
    "COPY tiny FROM STDIN",
    "EXPLAIN SELECT id FROM tiny",
    "SELECT MEASURE(total) FROM tiny",
    "SELECT letter, COUNT(*) FROM tiny GROUP BY 1 HAVING COUNT(*) > $1 ORDER BY 2 LIMIT $2",
    "LISTEN x",
    "",
    ";;",
    "SELECT 1; SELECT 2; SELECT nothing; SELECT 3",
)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=15)
OIDS = st.lists(st.sampled_from((0, 23, 25, 705, 1700, 999_999, 2**32 - 1)), max_size=3)
NAMES = st.sampled_from(("", "a", "b", "c"))
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=16),
    st.sampled_from((b"1", b"b", b"\0\0\0\1", b"\0" * 8, b"2024-01-01", b"{1,2}", b"NaN")),
)
CODES = st.lists(st.sampled_from((0, 1, 2, -1)), max_size=3).map(tuple)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(frontend.Query, st.sampled_from(SQL)),
    st.builds(
        frontend.Parse,
        NAMES,
        st.sampled_from(SQL),
        st.lists(st.sampled_from((0, 23, 25, 705, 1700, 999_999, 2**32 - 1)), max_size=3).map(
            tuple
        ),
    ),
    st.builds(frontend.Bind, NAMES, NAMES, CODES, st.lists(VALUES, max_size=3).map(tuple), CODES),
    st.builds(frontend.Describe, st.sampled_from("SP"), NAMES),
    st.builds(frontend.Execute, NAMES, st.sampled_from((0, 1, 3, -1, 2**31 - 1))),
    st.builds(frontend.Close, st.sampled_from("SP"), NAMES),
    st.just(frontend.Flush()),
    st.just(SYNC),
    st.just(frontend.CopyDone()),
    st.just(frontend.CopyFail("no")),
)
CONVERSATIONS = st.lists(MESSAGES, min_size=1, max_size=12)


def usable_or_closed(client: RawClient) -> bool:
    """Whether it still answers; False where it is closed. Anything else fails."""
    client.socket.settimeout(20)
    try:
        client.send(SYNC, frontend.Query("ROLLBACK"), frontend.Query("SELECT 'usable'"))
        while (message := client.receive()) is not None:
            if isinstance(message, backend.DataRow) and message.values == (b"usable",):
                client.until(backend.ReadyForQuery)
                return True
            if isinstance(message, backend.ErrorResponse):
                assert message.fields["M"] != "internal error"
    except (ConnectionError, BrokenPipeError):
        return False
    return False


@SETTINGS
@given(messages=CONVERSATIONS)
def test_conversations_in_any_order(server: RunningServer, messages: Sequence[Message]) -> None:
    """Well-formed messages that make no sense together: the session always goes on."""
    with address(server).session() as client:
        client.send(*messages)
        assert usable_or_closed(client)


@SETTINGS
@given(messages=CONVERSATIONS, chance=st.randoms(use_true_random=False))
def test_conversations_in_pieces_are_the_same(
    server: RunningServer, messages: Sequence[Message], chance: random.Random
) -> None:
    """Cut anywhere, and with other connections' work in between, the answers are the same."""
    whole = b"".join(each.encode() for each in (*messages, SYNC, frontend.Query("SELECT 'end'")))
    seen = []
    for pieces in (1, 5):
        with address(server).session() as client:
            client.socket.settimeout(20)
            cuts = sorted(chance.sample(range(len(whole)), min(pieces, len(whole))))
            cuts.append(len(whole))
            start = 0
            for cut in cuts:
                client.send(whole[start:cut])
                start = cut
            answers: list[backend.BackendMessage] = []
            while backend.DataRow((b"end",)) not in answers and not _over(answers):
                answers += client.ready()
            seen.append([each for each in answers if not isinstance(each, backend.NoticeResponse)])
    assert seen[0] == seen[1]


def _over(answers: Sequence[backend.BackendMessage]) -> bool:
    return any(
        isinstance(each, backend.ErrorResponse) and each.fields["C"] == "25P02" for each in answers
    )


@SETTINGS
@given(messages=st.lists(st.one_of(*FRONTEND.values()), min_size=1, max_size=6))
def test_any_messages(server: RunningServer, messages: Sequence[Message]) -> None:
    with address(server).session() as client:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            client.send(*messages)
        usable_or_closed(client)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A conversation with bytes changed, cut out, doubled or put in."""
    data = bytearray(b"".join(each.encode() for each in draw(CONVERSATIONS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at : at + 1] = bytes((draw(st.sampled_from((0, 1, 4, 81, 127, 128, 255))),))
        elif kind == 1:
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == 2:
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
    return bytes(data)


@SETTINGS
@given(data=mutated())
def test_mutated_conversations(server: RunningServer, data: bytes) -> None:
    """Whatever it does to this connection; the client hangs up its half at the end."""
    with address(server).session() as client:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
        closed_soon(client)


def closed_soon(client: RawClient) -> None:
    client.socket.settimeout(20)
    started = time.monotonic()
    with contextlib.suppress(ConnectionError, WireError):
        while client.receive() is not None:
            pass
    assert time.monotonic() - started < 15


STARTUP = frontend.StartupMessage(3, 0, {"user": "demo", "database": "cubewire"})
KEYS = st.sampled_from(("options", "client_encoding", "TimeZone", "_pq_.x", "replication"))
WISHES = st.sampled_from(("-c a='", "-c TimeZone=UTC --x", "\\", "UTF8", "LATIN1", "database"))
OPENINGS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda minor, extra: frontend.StartupMessage(
            3, minor, {"user": "demo", "database": "cubewire", **extra}
        ).encode(),
        st.sampled_from((0, 1, 2, 3, 9999)),
        st.dictionaries(TEXT.filter(bool) | KEYS, TEXT | WISHES, max_size=3),
    ),
    st.lists(
        st.sampled_from(
            (
                STARTUP.encode(),
                frontend.SSLRequest().encode(),
                frontend.GSSENCRequest().encode(),
                frontend.CancelRequest(1, b"1234").encode(),
                frontend.SASLInitialResponse("SCRAM-SHA-256", b"n,,n=,r=abc").encode(),
                frontend.SASLResponse(b"c=biws,r=abc,p=AAAA").encode(),
                frontend.PasswordMessage("demo").encode(),
                frontend.Query("SELECT 1").encode(),
            )
        ),
        max_size=5,
    ).map(b"".join),
)


@SETTINGS
@given(data=OPENINGS, more=st.binary(max_size=50))
def test_openings(server: RunningServer, data: bytes, more: bytes) -> None:
    """Before the login: nothing gets in, and everything is closed when its client is."""
    with address(server).connect() as client:
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            client.send(data + more)
            client.socket.shutdown(socket.SHUT_WR)
        told = b""
        client.socket.settimeout(20)
        with contextlib.suppress(ConnectionError):
            while part := client.socket.recv(65_536):
                told += part
        assert b"Z\0\0\0\5I" not in told


SETTING_NAMES = ("options", "TimeZone", "DateStyle", "search_path", "application_name", "x.y")


@SETTINGS
@given(
    options=st.dictionaries(
        st.sampled_from(SETTING_NAMES), TEXT | st.text("-c=\\ '\"ab", max_size=20), max_size=3
    )
)
def test_startup_settings(server: RunningServer, options: dict[str, str]) -> None:
    """A login with odd settings succeeds, or is refused with an error of its own."""
    own = address(server)
    with own.connect() as client:
        code = "none"
        try:
            client.startup(own.user, own.database, own.password, options=options.items())
        except StartupError as error:
            code = error.fields["C"]
        if code == "none":
            assert usable_or_closed(client)
    assert code == "none" or code[:2] in ("22", "42", "0A", "55"), (code, options)
