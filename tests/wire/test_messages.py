"""Every message is a frozen value that survives the wire, and no bytes do more than be refused."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire import backend, frontend
from proxy.wire.codec import MAX_COUNT
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import Opening
from proxy.wire.message import Message
from tests.wire.strategies import ANY, BACKEND, FRONTEND

CLASSES = sorted(ANY, key=lambda kind: (kind.__module__, kind.__name__))


def _id(kind: type[Message]) -> str:
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


def _body(message: Message) -> bytes:
    return message.encode()[4:] if isinstance(message, Opening) else message.encode()[5:]


def test_every_registered_class_is_tried() -> None:
    registered = {
        *frontend.MESSAGES.values(),
        *frontend.REQUESTS.values(),
        *backend.MESSAGES.values(),
        *backend.AUTHENTICATIONS.values(),
    }
    assert registered <= set(ANY)
    assert len(frontend.MESSAGES) == 14
    assert len(backend.MESSAGES) == 22


@pytest.mark.parametrize("kind", CLASSES, ids=_id)
@given(pick=st.data())
def test_round_trip(kind: type[Message], pick: st.DataObject) -> None:
    message = pick.draw(ANY[kind])
    raw = message.encode()
    offset = 0 if isinstance(message, Opening) else 1
    assert struct.unpack_from(">i", raw, offset)[0] == len(raw) - offset
    assert kind.decode(_body(message)) == message
    if kind in BACKEND:
        assert backend.decode_message(raw[0], raw[5:]) == message
    if kind.code in frontend.MESSAGES and kind in FRONTEND:
        assert raw[0] == kind.code


@pytest.mark.parametrize("kind", CLASSES, ids=_id)
@given(pick=st.data())
@settings(max_examples=1)
def test_frozen_with_slots(kind: type[Message], pick: st.DataObject) -> None:
    message = pick.draw(ANY[kind])
    assert dataclasses.is_dataclass(type(message))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        setattr(message, "anything", 1)  # noqa: B010
    assert "__dict__" not in dir(message)


@pytest.mark.parametrize("kind", CLASSES, ids=_id)
@given(pick=st.data())
def test_cut_or_lengthened_bodies_are_refused_or_read(
    kind: type[Message], pick: st.DataObject
) -> None:
    body = _body(pick.draw(ANY[kind]))
    cut = pick.draw(st.integers(0, len(body)))
    more = pick.draw(st.binary(max_size=3))
    for damaged in (body[:cut], body + more):
        try:
            kind.decode(damaged)
        except ProtocolViolation as violation:
            _check(violation)


def _check(violation: ProtocolViolation) -> None:
    assert violation.sqlstate in ("08P01", "22021", "0A000")


@pytest.mark.parametrize("kind", CLASSES, ids=_id)
@given(body=st.binary(max_size=80))
def test_random_bodies_are_refused_or_read(kind: type[Message], body: bytes) -> None:
    try:
        message = kind.decode(body)
    except ProtocolViolation:
        return
    assert isinstance(message, kind)


@given(code=st.integers(0, 255), body=st.binary(max_size=40))
def test_random_answers_are_refused_or_read(code: int, body: bytes) -> None:
    try:
        backend.decode_message(code, body)
    except ProtocolViolation as violation:
        _check(violation)


REFUSED = [
    (frontend.Query, b"", "invalid string in message"),
    (frontend.Query, b"a", "invalid string in message"),
    (frontend.Query, b"a\0b\0", "invalid message format"),
    (frontend.Parse, b"a\0", "invalid string in message"),
    (frontend.Parse, b"a\0b\0", "insufficient data left in message"),
    (frontend.Parse, b"a\0b\0\0\1\0\0\0", "insufficient data left in message"),
    (frontend.Parse, b"a\0b\0\0\0!", "invalid message format"),
    (frontend.Bind, b"a\0", "invalid string in message"),
    (frontend.Bind, b"\0\0\0\0\0\1", "insufficient data left in message"),
    (frontend.Bind, b"\0\0\0\0\0\1\0\0\0\2x", "insufficient data left in message"),
    (frontend.Bind, b"\0\0\0\0\0\2\0\0\0\5hello\0\0", "insufficient data left in message"),
    (frontend.Bind, b"\0\0\0\0\0\1\xff\xff\xff\xfe", "insufficient data left in message"),
    (
        frontend.Bind,
        b"\0\0\0\2\0\0\0\0\0\1\xff\xff\xff\xff\0\0",
        "bind message has 2 parameter formats but 1 parameters",
    ),
    (frontend.Bind, b"\0\0\0\0\0\0\0\0!", "invalid message format"),
    (frontend.Describe, b"", "no data left in message"),
    (frontend.Describe, b"X\0", "invalid DESCRIBE message subtype 88"),
    (frontend.Describe, b"Sa", "invalid string in message"),
    (frontend.Close, b"X\0", "invalid CLOSE message subtype 88"),
    (frontend.Execute, b"a", "invalid string in message"),
    (frontend.Execute, b"a\0\0", "insufficient data left in message"),
    (frontend.Execute, b"a\0\0\0\0\0\0", "invalid message format"),
    (frontend.Sync, b"x", "invalid message format"),
    (frontend.CancelRequest, bytes(10), "invalid length of cancel request packet"),
    (frontend.StartupMessage, b"\0\3\0\0", "expected terminator as last byte"),
    (frontend.StartupMessage, b"\0\3\0\0user\0", "expected terminator as last byte"),
    (frontend.StartupMessage, b"\0\3\0\0\0more\0", "expected terminator as last byte"),
    (backend.ReadyForQuery, b"X", "invalid message format"),
    (backend.NegotiateProtocolVersion, b"\0\3\0\0\x7f\xff\xff\xff", "invalid message format"),
    (backend.ErrorResponse, b"", "no data left in message"),
    (backend.DataRow, b"\xff\xff", "insufficient data left in message"),
]


@pytest.mark.parametrize(("kind", "body", "message"), REFUSED)
def test_refusals_in_the_words_of_postgresql(
    kind: type[Message], body: bytes, message: str
) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        kind.decode(body)
    assert message in caught.value.message
    assert caught.value.sqlstate == "08P01"


ENCODINGS = [
    (b"\xff", "0xff"),
    (b"a\x80b", "0x80"),
    (b"\xc3(", "0xc3 0x28"),
    (b"\xc3", "0xc3"),
    (b"\xed\xa0\x80", "0xed 0xa0 0x80"),
    (b"x\xf0\x9f\x92", "0xf0 0x9f 0x92"),
    (b"\xf8\x88\x80\x80\x80", "0xf8"),
]


@pytest.mark.parametrize(("raw", "named"), ENCODINGS)
def test_invalid_text_is_named_as_postgresql_names_it(raw: bytes, named: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        frontend.Query.decode(raw + b"\0")
    assert caught.value.sqlstate == "22021"
    assert caught.value.message == f'invalid byte sequence for encoding "UTF8": {named}'
    with pytest.raises(ProtocolViolation, match="UTF8"):
        frontend.StartupMessage.decode(b"\0\3\0\0user\0" + raw + b"\0\0")


def test_what_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="zero byte"):
        frontend.Query("a\0b").encode()
    with pytest.raises(ValueError, match="16-bit count"):
        backend.DataRow((None,) * (MAX_COUNT + 1)).encode()
    assert len(backend.DataRow((None,) * MAX_COUNT).encode()) == 7 + 4 * MAX_COUNT


def test_faults_in_a_proof_of_identity_are_fatal() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        frontend.PasswordMessage.parse(b"no zero")
    assert caught.value.fatal
    with pytest.raises(ProtocolViolation) as caught:
        frontend.SASLInitialResponse.parse(b"SCRAM-SHA-256\0\0\0\0\xff")
    assert caught.value.fatal
    assert frontend.SASLResponse.parse(b"c=biws").data == b"c=biws"


def test_answers_nobody_knows() -> None:
    with pytest.raises(ProtocolViolation, match="unsupported authentication method 5"):
        backend.decode_message(ord("R"), b"\0\0\0\5salt")
    with pytest.raises(ProtocolViolation, match="invalid backend message type 33"):
        backend.decode_message(ord("!"), b"")


def test_lying_counts_allocate_nothing() -> None:
    with pytest.raises(ProtocolViolation):
        frontend.Bind.decode(b"\0\0\0\0\xff\xff" + b"\xff\xff\xff\xff" * 10)
