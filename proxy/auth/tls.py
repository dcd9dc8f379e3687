"""TLS without a socket: ciphertext in, plaintext out, and the other way round.

The server owns the socket; this only turns bytes into bytes, so that the protocol core sees the
same plaintext whether a connection is encrypted or not.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from proxy.auth.certificate import CertificateError, end_point_hash
from proxy.auth.client_certificate import ClientCertificate
from proxy.auth.steps import ChannelBinding

ALPN = "postgresql"
"""IANA's protocol name; a direct TLS connection must ask for it, as PostgreSQL 17 requires."""
_READ_BYTES = 65_536


class TlsError(Exception):
    """The handshake or the record layer failed; the connection ends without a message."""


@dataclass(frozen=True, slots=True)
class TlsContext:
    """A server's certificate, loaded and checked.

    Attributes:
        context: shared by all connections.
        binding: for SCRAM-SHA-256-PLUS, None where the certificate allows none.
    """

    context: ssl.SSLContext
    binding: ChannelBinding | None


def load_tls(
    certificate: Path,
    key: Path,
    *,
    client_ca: Path | None = None,
    client_crl: Path | None = None,
) -> TlsContext:
    """Load a certificate chain and its key, both PEM.

    Args:
        certificate: the server's, with its chain.
        key: its private key.
        client_ca: authorities of clients' certificates. With it, clients are asked for one; they
            need not have one, but one of another authority ends the handshake.
        client_crl: revocation lists of those authorities, which then must have one each.

    Raises:
        CertificateError: they cannot be read, are malformed, encrypted, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As PostgreSQL: no resumption (a ticket outlives the login it came from), no renegotiation
    # (a client could make the server sign without end).
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN])
    try:
        # A password callback that gives none, because OpenSSL would otherwise ask the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
        data = end_point_hash(certificate)
    except ssl.SSLError as error:
        raise CertificateError(
            f"certificate {certificate} and key {key} cannot be used: {error.reason or error}"
        ) from None
    except OSError as error:
        raise CertificateError(f"{certificate} or {key} cannot be read: {error}") from None
    if client_ca is not None:
        _ask_clients(context, client_ca, client_crl)
    return TlsContext(context, ChannelBinding(data) if data is not None else None)


def _ask_clients(context: ssl.SSLContext, authorities: Path, revoked: Path | None) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(authorities)
        if revoked is not None:
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except ssl.SSLError as error:
        raise CertificateError(
            f"tls.client_ca {authorities} or its tls.client_crl cannot be used: "
            f"{error.reason or error}"
        ) from None
    except OSError as error:
        raise CertificateError(
            f"tls.client_ca {authorities} or its tls.client_crl cannot be read: {error}"
        ) from None


class TlsSession:
    """One connection's TLS.

    Attributes:
        established: the handshake is complete.
        closed: the client said it will send nothing more.
    """

    def __init__(self, tls: TlsContext, *, direct: bool = False) -> None:
        """Begin as the server.

        Args:
            tls: the server's certificate.
            direct: the connection began with TLS rather than with an SSLRequest, so ALPN must name
                the protocol.
        """
        self._tls = tls
        self._direct = direct
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.closed = False

    def feed(self, ciphertext: bytes) -> bytes:
        """Take bytes from the socket; return the plaintext they complete (maybe none).

        ``outgoing`` may have something to send afterwards, also when this raises (an alert).

        Raises:
            TlsError: the peer does not speak TLS 1.2 or newer, or its records are damaged.
        """
        self._incoming.write(ciphertext)
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
                self._check_protocol()
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(error.reason or str(error)) from None

    def write(self, plaintext: bytes | memoryview) -> None:
        """Encrypt; ``outgoing`` then returns the records."""
        view = memoryview(plaintext)
        try:
            while view:
                view = view[self._object.write(view) :]
        except ssl.SSLError as error:
            raise TlsError(error.reason or str(error)) from None

    def outgoing(self) -> bytes:
        """Take what must go to the socket."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say that nothing more will be sent; ``outgoing`` then returns the close alert."""
        if not self.established or self.closed:
            return
        try:
            self._object.unwrap()
        except ssl.SSLError:
            # The client's own close alert is not waited for.
            return

    @property
    def version(self) -> str | None:
        """``TLSv1.2`` or ``TLSv1.3``."""
        return self._object.version()

    @property
    def cipher(self) -> str | None:
        """The cipher suite's name."""
        cipher = self._object.cipher()
        return cipher[0] if cipher is not None else None

    def channel_binding(self) -> ChannelBinding | None:
        """What SCRAM-SHA-256-PLUS ties the login to."""
        return self._tls.binding

    def client_certificate(self) -> ClientCertificate | None:
        """The client's, which the handshake has verified; None where it sent none."""
        der = self._object.getpeercert(binary_form=True)
        return ClientCertificate.parse(der) if der is not None else None

    def server_certificate_hash(self) -> bytes | None:
        """The tls-server-end-point data, None where the certificate allows none."""
        return self._tls.binding.data if self._tls.binding is not None else None

    def _check_protocol(self) -> None:
        if self._direct and self._object.selected_alpn_protocol() != ALPN:
            raise TlsError("direct TLS connection without ALPN protocol postgresql")

    def _read(self) -> bytes:
        parts: list[bytes] = []
        while not self.closed:
            try:
                part = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                part = b""
            if part:
                parts.append(part)
            else:
                self.closed = True
        return b"".join(parts)
