"""Our SCRAM exchange alone; test_oracle compares what it refuses with PostgreSQL."""

from __future__ import annotations

import statistics
import struct
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.steps import ChannelBinding
from proxy.wire.backend import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from tests.auth.support import Clock, Entrance, ScramClient, make_authenticator

CHANNEL = ChannelBinding(b"h" * 32)


def initial(mechanism: str, data: bytes | None) -> bytes:
    size = -1 if data is None else len(data)
    return mechanism.encode() + b"\0" + struct.pack("!i", size) + (data or b"")


def challenge(exchange: Entrance, body: bytes) -> bytes:
    step = exchange.receive(body)
    assert not step.done
    (message,) = step.messages
    assert isinstance(message, AuthenticationSASLContinue)
    return message.data


def log_in(exchange: Entrance, client: ScramClient, mechanism: str = "SCRAM-SHA-256") -> None:
    answer = challenge(exchange, initial(mechanism, client.first()))
    step = exchange.receive(client.final(answer))
    assert step.done
    assert exchange.done
    final, ok = step.messages
    assert isinstance(final, AuthenticationSASLFinal)
    assert final.data == client.expected
    assert isinstance(ok, AuthenticationOk)


@pytest.mark.parametrize("name", ["", "*", "demo", "somebody"])
def test_login_whatever_name_is_inside(name: str) -> None:
    """libpq leaves the name empty, pgjdbc writes a star: PostgreSQL looks at neither."""
    log_in(make_authenticator().begin("demo", channel=None), ScramClient("demo", name=name))


def test_login_with_channel_binding() -> None:
    exchange = make_authenticator().begin("demo", channel=CHANNEL)
    (offer,) = exchange.first()
    assert isinstance(offer, AuthenticationSASL)
    assert tuple(offer.mechanisms) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    client = ScramClient("demo", header="p=tls-server-end-point,,", binding=CHANNEL.data)
    log_in(exchange, client, "SCRAM-SHA-256-PLUS")


def test_login_without_binding_inside_tls() -> None:
    log_in(make_authenticator().begin("demo", channel=CHANNEL), ScramClient("demo"))


def test_first_message_may_come_after_the_mechanism() -> None:
    exchange = make_authenticator().begin("demo", channel=None)
    assert challenge(exchange, initial("SCRAM-SHA-256", None)) == b""
    client = ScramClient("demo")
    assert exchange.receive(client.final(challenge(exchange, client.first()))).done


def test_only_plain_is_offered_outside_tls() -> None:
    (offer,) = make_authenticator().begin("demo", channel=None).first()
    assert isinstance(offer, AuthenticationSASL)
    assert tuple(offer.mechanisms) == ("SCRAM-SHA-256",)


def refusal(exchange: Entrance, client: ScramClient) -> AuthenticationFailed:
    answer = challenge(exchange, initial("SCRAM-SHA-256", client.first()))
    with pytest.raises(AuthenticationFailed) as caught:
        exchange.receive(client.final(answer))
    return caught.value


def test_unknown_user_and_wrong_password_look_the_same() -> None:
    authenticator = make_authenticator()
    wrong = refusal(authenticator.begin("demo", channel=None), ScramClient("nope"))
    unknown = refusal(authenticator.begin("nobody", channel=None), ScramClient("nope"))
    assert wrong.sqlstate == unknown.sqlstate == "28P01"
    assert wrong.message.replace("demo", "X") == unknown.message.replace("nobody", "X")
    assert (wrong.detail, wrong.hint) == (unknown.detail, unknown.hint)
    assert (wrong.reason, unknown.reason) == ("wrong password", "unknown user")
    assert wrong.severity == "FATAL"


def test_unknown_user_has_a_stable_salt_like_a_known_one() -> None:
    authenticator = make_authenticator()

    def shown(user: str) -> list[str]:
        exchange = authenticator.begin(user, channel=None)
        answer = challenge(exchange, initial("SCRAM-SHA-256", ScramClient("x").first()))
        return answer.decode().split(",")[1:]

    assert shown("nobody") == shown("nobody") != shown("somebody")
    assert shown("demo") == shown("demo")
    assert shown("nobody")[1] == shown("demo")[1] == "i=4096"
    assert len(shown("nobody")[0]) == len(shown("demo")[0])


def test_unknown_user_and_wrong_password_take_the_same_time() -> None:
    authenticator = make_authenticator()
    spent: dict[str, list[float]] = {"demo": [], "nobody": []}
    for _ in range(200):
        for user, times in spent.items():
            client = ScramClient("nope")
            exchange = authenticator.begin(user, channel=None, address=str(len(times)))
            started = time.perf_counter()
            answer = challenge(exchange, initial("SCRAM-SHA-256", client.first()))
            half = time.perf_counter() - started
            final = client.final(answer)
            started = time.perf_counter()
            with pytest.raises(AuthenticationFailed):
                exchange.receive(final)
            times.append(half + time.perf_counter() - started)
    ratio = statistics.median(spent["demo"]) / statistics.median(spent["nobody"])
    assert 0.8 < ratio < 1.25


def test_nonce_is_extended_by_the_server_each_time() -> None:
    authenticator = make_authenticator()
    nonces = set()
    for _ in range(5):
        exchange = authenticator.begin("demo", channel=None)
        answer = challenge(exchange, initial("SCRAM-SHA-256", ScramClient("demo").first()))
        nonce = answer.decode().split(",")[0]
        assert nonce.startswith("r=clientnonce")
        assert len(nonce) > len("r=clientnonce") + 20
        nonces.add(nonce)
    assert len(nonces) == 5


def test_a_replayed_final_message_does_not_log_in() -> None:
    authenticator = make_authenticator()
    client = ScramClient("demo")
    first = authenticator.begin("demo", channel=None)
    final = client.final(challenge(first, initial("SCRAM-SHA-256", client.first())))
    assert first.receive(final).done
    second = authenticator.begin("demo", channel=None)
    challenge(second, initial("SCRAM-SHA-256", client.first()))
    with pytest.raises(AuthenticationFailed) as caught:
        second.receive(final)
    assert caught.value.sqlstate == "08P01"


@given(st.binary(max_size=200), st.integers(0, 2))
def test_any_bytes_only_ever_fail_the_login(data: bytes, stage: int) -> None:
    exchange = make_authenticator().begin("demo", channel=CHANNEL)
    if stage == 1:
        data = initial("SCRAM-SHA-256", data)
    if stage == 2:
        challenge(exchange, initial("SCRAM-SHA-256", ScramClient("demo").first()))
    with pytest.raises(AuthenticationFailed) as caught:
        exchange.receive(data)
    assert caught.value.sqlstate in {"08P01", "0A000", "22021", "28000", "28P01"}


@given(st.text(max_size=80))
def test_any_client_first_only_ever_fails_or_is_challenged(text: str) -> None:
    exchange = make_authenticator().begin("demo", channel=None)
    body = initial("SCRAM-SHA-256", f"n,,n=,{text}".encode())
    with suppress(AuthenticationFailed):
        assert not exchange.receive(body).done


def test_failures_are_delayed_then_locked_out_per_user_and_address() -> None:
    clock = Clock()
    authenticator = make_authenticator(clock=clock)

    def attempt(address: str, user: str = "demo") -> AuthenticationFailed:
        exchange = authenticator.begin(user, channel=None, address=address)
        return refusal(exchange, ScramClient("nope"))

    assert [attempt("10.0.0.1").delay for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    with pytest.raises(AuthenticationFailed, match="too many failed") as caught:
        authenticator.begin("demo", channel=None, address="10.0.0.1")
    assert caught.value.sqlstate == "28000"
    assert attempt("10.0.0.2").delay == 0.0
    assert attempt("10.0.0.1", "other").delay == 0.0
    clock.now += 300
    log_in(authenticator.begin("demo", channel=None, address="10.0.0.1"), ScramClient("demo"))


def test_a_success_forgets_failures() -> None:
    authenticator = make_authenticator()
    for _ in range(3):
        refusal(authenticator.begin("demo", channel=None, address="a"), ScramClient("nope"))
    log_in(authenticator.begin("demo", channel=None, address="a"), ScramClient("demo"))
    again = refusal(authenticator.begin("demo", channel=None, address="a"), ScramClient("nope"))
    assert again.delay == 0.0
