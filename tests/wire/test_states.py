"""The table of phases: its full product, what follows from a fault, and its picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.wire import frontend
from proxy.wire.errors import InvalidMove, ProtocolViolation
from proxy.wire.frontend import FrontendMessage
from proxy.wire.states import TABLE, Move, Phase, after_fault, diagram, drops, step

MESSAGES: tuple[type[FrontendMessage], ...] = (
    frontend.StartupMessage,
    *frontend.REQUESTS.values(),
    *frontend.MESSAGES.values(),
)
README = Path(__file__).parents[2] / "README.md"

COMMANDS = frozenset(message for message in frontend.MESSAGES.values() if message.code != ord("p"))
BEGINNINGS = frozenset({frontend.StartupMessage, frontend.CancelRequest})
ALLOWED: dict[Phase, frozenset[type[FrontendMessage]]] = {
    Phase.STARTUP: BEGINNINGS | {frontend.SSLRequest, frontend.GSSENCRequest},
    Phase.SSL_REQUESTED: frozenset(),
    Phase.GSSENC_REQUESTED: frozenset(),
    Phase.SSL_DECLINED: BEGINNINGS | {frontend.GSSENCRequest},
    Phase.GSSENC_DECLINED: BEGINNINGS | {frontend.SSLRequest},
    Phase.SSL_REQUESTED_LAST: frozenset(),
    Phase.GSSENC_REQUESTED_LAST: frozenset(),
    Phase.ENCRYPTION_DECLINED: BEGINNINGS,
    Phase.TLS_HANDSHAKE: BEGINNINGS,
    Phase.STARTED: frozenset(),
    Phase.AUTHENTICATION: frozenset({frontend.AuthenticationResponse}),
    Phase.READY: COMMANDS,
    Phase.EXTENDED: COMMANDS,
    Phase.ANSWERING: frozenset(),
    Phase.SKIPPING: COMMANDS,
    Phase.CLOSED: frozenset(),
}
"""Written down a second time, from the manual and not from the table."""


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_full_product_of_messages(phase: Phase, message: type[FrontendMessage]) -> None:
    if message in ALLOWED[phase]:
        assert isinstance(step(phase, message), Phase)
        assert step(phase, message) is phase or not drops(phase, message)
        return
    with pytest.raises(ProtocolViolation) as caught:
        step(phase, message)
    assert message.__name__ in caught.value.message
    assert phase.value in caught.value.message
    assert caught.value.fatal


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("move", Move)
def test_full_product_of_moves(phase: Phase, move: Move) -> None:
    if move in TABLE[phase]:
        assert isinstance(step(phase, move), Phase)
        return
    with pytest.raises(InvalidMove) as caught:
        step(phase, move)
    assert move.value in str(caught.value)
    assert phase.value in str(caught.value)


def test_every_phase_has_a_row_and_can_be_reached_and_left() -> None:
    assert set(TABLE) == set(Phase)
    reached = {Phase.STARTUP}
    while True:
        further = {step(phase, key) for phase in reached for key in TABLE[phase]} | reached
        if further == reached:
            break
        reached = further
    assert reached == set(Phase)
    assert all(step(phase, Move.CLOSE) is Phase.CLOSED for phase in Phase)


def test_only_sync_and_terminate_end_skipping() -> None:
    leaving = {
        key for key in TABLE[Phase.SKIPPING] if step(Phase.SKIPPING, key) is not Phase.SKIPPING
    }
    assert leaving == {frontend.Sync, frontend.Terminate, Move.CLOSE}


@pytest.mark.parametrize("message", sorted(COMMANDS, key=str))
def test_faults_after_login(message: type[FrontendMessage]) -> None:
    extended = message.__name__ in ("Parse", "Bind", "Describe", "Execute", "Close", "Flush")
    expected = Phase.SKIPPING if extended else Phase.ANSWERING
    assert after_fault(Phase.READY, message) is expected
    assert after_fault(Phase.EXTENDED, message) is expected


def test_faults_before_login_are_the_end() -> None:
    assert after_fault(Phase.AUTHENTICATION, frontend.AuthenticationResponse) is Phase.CLOSED


def test_the_picture_shows_every_phase() -> None:
    picture = diagram()
    assert picture.startswith("stateDiagram-v2\n")
    for phase in Phase:
        assert f" {phase.value} " in picture
    assert "closed --> [*]" in picture
    assert "CopyData dropped" in picture


def test_the_picture_in_the_readme_is_the_present_one() -> None:
    if not README.exists() or "stateDiagram-v2" not in README.read_text():
        pytest.skip("the README shows no picture")
    assert diagram() in README.read_text()
