"""The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, through scramp.

scramp does the cryptography and parses the messages (RFC 5802, RFC 7677). What PostgreSQL does
beyond that is here: the user's name is the startup packet's and the one inside the exchange is
ignored (libpq leaves it empty), unknown users run the same steps with a verifier nobody can match,
and refusals carry PostgreSQL's SQLSTATEs and texts (its auth-scram.c).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from scramp import ScramException, ScramMechanism
from scramp.utils import ServerError

from proxy.auth.candidates import Candidate
from proxy.auth.errors import AuthenticationFailed, malformed, wrong_password
from proxy.auth.grants import NOTHING, Grants
from proxy.auth.method import OnResult
from proxy.auth.steps import AuthStep, ChannelBinding
from proxy.wire.backend import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    BackendMessage,
)
from proxy.wire.errors import ProtocolViolation
from proxy.wire.frontend import SASLInitialResponse

PLAIN = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"
_LONGEST_MESSAGE = 1024
"""Bytes; PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH."""
_PROOF_BYTES = 32
_ANY_NAME = "cubewire"
"""Stands for the name inside the exchange, which scramp insists on and PostgreSQL ignores."""

_MECHANISMS = {name: ScramMechanism(name) for name in (PLAIN, PLUS)}


@dataclass(slots=True)
class ScramExchange:
    """One login by SCRAM: client-first, server-first, client-final, server-final."""

    candidate: Candidate
    channel: ChannelBinding | None
    on_result: OnResult
    make_nonce: Callable[[], str]
    done: bool = False
    grants: Grants = NOTHING
    _mechanism: str = ""
    _server: object = None
    _bare: str = field(default="", repr=False)

    def first(self) -> list[BackendMessage]:
        """Offer the mechanisms, the stronger first."""
        offered = (PLUS, PLAIN) if self.channel is not None else (PLAIN,)
        return [AuthenticationSASL(mechanisms=offered)]

    async def receive(self, body: bytes) -> AuthStep:
        """Take the body of the client's next 'p' message."""
        if not self._mechanism:
            initial = _parsed(body)
            self._choose(initial.mechanism)
            if initial.data is None:
                return AuthStep([AuthenticationSASLContinue(data=b"")], done=False)
            return self._client_first(_text(initial.data))
        if self._server is None:
            return self._client_first(_text(body))
        return self._client_final(_text(body))

    def _choose(self, mechanism: str) -> None:
        if mechanism != PLAIN and not (mechanism == PLUS and self.channel is not None):
            raise AuthenticationFailed(
                "08P01",
                "client selected an invalid SASL authentication mechanism",
                reason="SASL mechanism not offered",
            )
        self._mechanism = mechanism

    def _client_first(self, message: str) -> AuthStep:
        header, bare = self._split_first(message)
        verifier = self.candidate.verifier
        account = (verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations)
        channel = (self.channel.kind, self.channel.data) if self.channel is not None else None
        server = _MECHANISMS[self._mechanism].make_server(
            lambda _name: account, channel_binding=channel, s_nonce=self.make_nonce()
        )
        rest = bare.partition(",")[2]
        try:
            server.set_client_first(f"{header}n={_ANY_NAME},{rest}")
            # The proof covers what the client really sent, so scramp is given it back.
            server.client_first_bare = bare
            answer = server.get_server_first()
        except ScramException as error:
            raise _refusal(error) from None
        self._server, self._bare = server, bare
        return AuthStep([AuthenticationSASLContinue(data=answer.encode())], done=False)

    def _split_first(self, message: str) -> tuple[str, str]:
        """The GS2 header (with both commas) and the rest; refuses what scramp would let pass."""
        flag, comma, rest = message.partition(",")
        authorization, second, bare = rest.partition(",")
        if not comma or not second:
            raise malformed("The message has no GS2 header.")
        if flag not in {"n", "y"} and not flag.startswith("p="):
            raise malformed("The channel-binding flag is none of n, y and p.")
        if self._mechanism == PLUS and not flag.startswith("p="):
            raise malformed(
                f"The client selected {PLUS}, but the SCRAM message does not include channel "
                "binding data."
            )
        if self._mechanism == PLAIN and flag.startswith("p="):
            raise malformed(
                f"The client selected {PLAIN} without channel binding, but the SCRAM message "
                "includes channel binding data."
            )
        if authorization:
            raise AuthenticationFailed(
                "0A000",
                "client uses authorization identity, but it is not supported",
                reason="authorization identity sent",
            )
        if bare.startswith("m="):
            raise _extension()
        if not bare.startswith("n="):
            raise malformed("The user name is missing.")
        return f"{flag},{authorization},", bare

    def _client_final(self, message: str) -> AuthStep:
        server = self._server
        failure: AuthenticationFailed | None = None
        try:
            server.set_client_final(message)  # type: ignore[attr-defined]
        except ScramException as error:
            failure = self._final_refusal(error, message)
        if failure is None and self.candidate.doomed is not None:
            # Reached only by guessing a made-up key; kept so that no bug can make it a login.
            failure = wrong_password(self.candidate.user, self.candidate.doomed)
        if failure is not None:
            failure.delay = self.on_result(False)
            raise failure
        self.on_result(True)
        self.done = True
        final = server.get_server_final().encode()  # type: ignore[attr-defined]
        return AuthStep([AuthenticationSASLFinal(data=final), AuthenticationOk()], done=True)

    def _final_refusal(self, error: ScramException, message: str) -> AuthenticationFailed:
        attributes = message.split(",")
        nonce = str(self._server.nonce)  # type: ignore[attr-defined]
        if error.server_error is ServerError.INVALID_PROOF:
            proof = next((part[2:] for part in attributes if part.startswith("p=")), "")
            if not _is_proof(proof):
                return malformed("The proof in the client's final message is malformed.")
            return wrong_password(self.candidate.user, self.candidate.doomed or "wrong password")
        if error.server_error is ServerError.OTHER_ERROR and any(
            part.startswith("r=") and part[2:] != nonce for part in attributes
        ):
            return AuthenticationFailed(
                "08P01",
                "invalid SCRAM response",
                detail="Nonce does not match.",
                reason="nonce does not match",
            )
        if error.server_error is ServerError.CHANNEL_BINDINGS_DONT_MATCH and (
            self._mechanism == PLAIN
        ):
            return AuthenticationFailed(
                "08P01",
                "unexpected SCRAM channel-binding attribute in client-final-message",
                reason="channel-binding attribute without channel binding",
            )
        return _refusal(error)


def _parsed(body: bytes) -> SASLInitialResponse:
    try:
        return SASLInitialResponse.parse(body)
    except ProtocolViolation as error:
        raise AuthenticationFailed(
            error.sqlstate, error.message, reason="malformed SASLInitialResponse"
        ) from None


def _text(data: bytes) -> str:
    if not data:
        raise malformed("The message is empty.")
    if len(data) > _LONGEST_MESSAGE:
        raise malformed(f"The message is longer than {_LONGEST_MESSAGE} bytes.")
    if b"\0" in data:
        raise malformed("Message length does not match input length.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed("The message is not valid UTF-8.") from None


def _is_proof(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _PROOF_BYTES
    except binascii.Error:
        return False


def _extension() -> AuthenticationFailed:
    return AuthenticationFailed(
        "0A000",
        "client requires an unsupported SCRAM extension",
        reason="mandatory SCRAM extension",
    )


def _refusal(error: ScramException) -> AuthenticationFailed:
    """PostgreSQL's error for what scramp found."""
    kind = error.server_error
    if kind is ServerError.SERVER_DOES_SUPPORT_CHANNEL_BINDING:
        return AuthenticationFailed(
            "28000",
            "SCRAM channel binding negotiation error",
            detail="The client supports SCRAM channel binding but thinks the server does not.  "
            "However, this server does support channel binding.",
            reason="possible downgrade: the offer of channel binding did not arrive",
        )
    if kind is ServerError.CHANNEL_BINDINGS_DONT_MATCH:
        return AuthenticationFailed(
            "28000",
            "SCRAM channel binding check failed",
            reason="channel binding data differ: possibly somebody in the middle",
        )
    if kind is ServerError.UNSUPPORTED_CHANNEL_BINDING_TYPE:
        return AuthenticationFailed(
            "08P01",
            "unsupported SCRAM channel-binding type",
            hint="The server supports tls-server-end-point.",
            reason="channel-binding type not supported",
        )
    if kind is ServerError.EXTENSIONS_NOT_SUPPORTED:
        return _extension()
    return malformed("The message does not follow RFC 5802.")
