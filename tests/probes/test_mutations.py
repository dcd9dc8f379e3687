"""Damaged messages, by the thousand: PostgreSQL and the protocol core refuse the same ones.

Where both find a fault in the bytes they give it the same SQLSTATE. PostgreSQL looks a statement up
in the middle of reading Bind, so there it may find another fault first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from proxy.wire import backend
from proxy.wire import frontend as f
from proxy.wire.errors import ProtocolViolation
from tests.support.addresses import postgres_address
from tests.support.mini_server import MiniServer
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient

SEEDS: tuple[f.FrontendMessage, ...] = (
    f.Query("select 'a'"),
    f.Parse("", "select $1::text", (25,)),
    f.Parse("", ""),
    f.Bind("", "kept", (0,), (b"abc",), (0,)),
    f.Bind("", "kept", (), (None,)),
    f.Describe("S", "kept"),
    f.Close("S", "other"),
    f.Execute("", 5),
    f.Flush(),
    f.Sync(),
)
FAULTS = ("08P01", "22021")
SESSION = (
    f.StartupMessage(3, 0, {"user": "ada"}),
    f.Query("select 'alive'"),
    *SEEDS,
    f.Sync(),
    f.Terminate(),
)


def damaged(body: bytes, chance: random.Random) -> bytes:
    """One to three bytes changed, cut out or put in."""
    copy = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(copy) + 1)
        what = chance.randrange(3)
        if what == 0:
            copy[at : at + 1] = bytes((chance.choice((0, 1, 2, 65, 128, 195, 255)),))
        elif what == 1:
            del copy[at : at + chance.randint(1, 3)]
        else:
            copy[at:at] = bytes(chance.choice((0, 65, 255)) for _ in range(chance.randint(1, 3)))
    return bytes(copy)


def framed(message: f.FrontendMessage, body: bytes) -> bytes:
    return bytes((message.code,)) + (len(body) + 4).to_bytes(4, "big") + body


@pytest.fixture
def client(oracle: OraclePostgres) -> Iterator[RawClient]:
    with postgres_address(oracle).session() as client:
        yield client


def _fault_of_postgres(client: RawClient, message: f.FrontendMessage, body: bytes) -> str:
    """SQLSTATE of the first error, or nothing."""
    client.send(f.Parse("kept", "select $1::text"), f.Sync(), framed(message, body), f.Sync())
    answers = [*client.ready(), *client.ready()]
    if isinstance(message, f.Query | f.Sync):
        answers += client.ready()
    client.query("DEALLOCATE ALL")
    errors = [answer for answer in answers if isinstance(answer, backend.ErrorResponse)]
    return errors[0].fields["C"] if errors else ""


@pytest.mark.parametrize("seed", range(4))
def test_same_faults(client: RawClient, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(400):
        message = chance.choice(SEEDS)
        body = damaged(message.encode()[5:], chance)
        theirs = _fault_of_postgres(client, message, body)
        try:
            type(message).decode(body)
            ours = ""
        except ProtocolViolation as violation:
            ours = violation.sqlstate
        if ours == "":
            # Bytes in order; the rest of its faults are the statement's and its values'.
            assert theirs not in FAULTS or isinstance(message, f.Bind), (message, body, theirs)
        elif not isinstance(message, f.Bind):
            assert theirs == ours, (message, body)
        else:
            assert theirs, (message, body)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_sessions_end_or_go_on(seed: int) -> None:
    """Nothing but a ProtocolViolation comes of any bytes: the server in memory handles no other."""
    chance = random.Random(seed)
    whole = b"".join(message.encode() for message in SESSION)
    for _ in range(50):
        server = MiniServer()
        data = damaged(whole, chance)
        size = len(data)
        while data:
            cut = chance.randint(1, 40)
            server.feed(data[:cut])
            data = data[cut:]
        assert server.closed or server.wire.buffered <= size
