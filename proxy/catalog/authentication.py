"""Logging in to a PostgreSQL server: SCRAM-SHA-256, a cleartext password, or nothing asked."""

from __future__ import annotations

import asyncio
import socket
import ssl

from scramp import ScramClient

from proxy.catalog import protocol
from proxy.catalog.errors import CatalogError

_OK = 0
_CLEARTEXT = 3
_SASL = 10
_SASL_CONTINUE = 11
_SASL_FINAL = 12


class Login:
    """The client's side of one authentication exchange."""

    def __init__(self, user: str, password: str | None) -> None:
        self._user = user
        self._password = password
        self._scram: ScramClient | None = None

    def answer(self, body: bytes) -> bytes | None:
        """Answer an Authentication message; None where it needs no answer."""
        code = int.from_bytes(body[:4])
        if code == _OK:
            return None
        if self._password is None:
            raise CatalogError(
                "28P01",
                f'the catalog server asks for the password of "{self._user}"',
                hint="Give it in the catalog's DSN.",
            )
        if code == _CLEARTEXT:
            return protocol.message(b"p", protocol.text(self._password))
        if code == _SASL:
            self._scram = ScramClient(["SCRAM-SHA-256"], self._user, self._password)
            first = self._scram.get_client_first().encode()
            length = len(first).to_bytes(4)
            return protocol.message(b"p", protocol.text("SCRAM-SHA-256") + length + first)
        if code == _SASL_CONTINUE and self._scram is not None:
            self._scram.set_server_first(body[4:].decode())
            return protocol.message(b"p", self._scram.get_client_final().encode())
        if code == _SASL_FINAL and self._scram is not None:
            self._scram.set_server_final(body[4:].decode())
            return None
        raise CatalogError(
            "0A000",
            "the catalog server asks for an authentication method that is not supported",
            hint="Use scram-sha-256 in its pg_hba.conf.",
        )


async def open_tcp(host: str, port: int, tls: str) -> tuple[socket.socket, ssl.SSLContext | None]:
    """Connect by TCP and, unless ``tls`` is ``disable``, have the server agree to TLS.

    Returns:
        The socket, and the context for the handshake that the caller has yet to make.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, number, _, address = found[0]
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls == "disable":
            return sock, None
        await loop.sock_sendall(sock, protocol.ssl_request())
        accepted = await loop.sock_recv(sock, 1) == b"S"
    except BaseException:
        sock.close()
        raise
    if not accepted:
        sock.close()
        raise CatalogError("08006", "the catalog server does not accept TLS")
    return sock, _context(tls)


def _context(tls: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
