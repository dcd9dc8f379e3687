from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from proxy.auth.certificate import CertificateError, end_point_hash, self_signed
from proxy.auth.tls import TlsContext, TlsError, TlsSession, load_tls

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
NAMES = ("localhost", "127.0.0.1", "::1")


@pytest.fixture
def tls(tmp_path: Path) -> TlsContext:
    return load_tls(*self_signed(tmp_path, NAMES, NOW))


class Client:
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def handshake(self, session: TlsSession, *, size: int = 1 << 20) -> None:
        for _ in range(10):
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                pass
            else:
                pump(self.outgoing.read(), session, size)
                return
            pump(self.outgoing.read(), session, size)
            self.incoming.write(session.outgoing())
        raise AssertionError("no handshake")


def pump(data: bytes, session: TlsSession, size: int) -> None:
    for start in range(0, len(data), size):
        assert session.feed(data[start : start + size]) == b""


def connected(tls: TlsContext, *, size: int = 1 << 20, direct: bool = False) -> tuple:
    client, session = Client(), TlsSession(tls, direct=direct)
    client.handshake(session, size=size)
    return client, session


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_both_ways_in_any_chunks(tls: TlsContext, size: int) -> None:
    client, session = connected(tls, size=size)
    assert session.established
    assert session.version == "TLSv1.3"
    assert session.cipher
    client.object.write(b"x" * 100_000)
    data = client.outgoing.read()
    got = b"".join(session.feed(data[at : at + 5000]) for at in range(0, len(data), 5000))
    assert got == b"x" * 100_000
    session.write(b"y" * 300_000)
    client.incoming.write(session.outgoing())
    received = b""
    while len(received) < 300_000:
        received += client.object.read(65536)
    assert received == b"y" * 300_000
    assert not session.closed


def test_plaintext_behind_the_handshake_is_returned(tls: TlsContext) -> None:
    client, session = Client(), TlsSession(tls)
    with pytest.raises(ssl.SSLWantReadError):
        client.object.do_handshake()
    session.feed(client.outgoing.read())
    client.incoming.write(session.outgoing())
    client.object.do_handshake()
    client.object.write(b"hello")
    assert session.feed(client.outgoing.read()) == b"hello"


def test_close_both_ways(tls: TlsContext) -> None:
    client, session = connected(tls)
    client.object.write(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        client.object.unwrap()
    assert session.feed(client.outgoing.read()) == b"bye"
    assert session.closed
    session.close()
    client, session = connected(tls)
    session.close()
    client.incoming.write(session.outgoing())
    assert client.object.read(10) == b""


def test_old_versions_and_garbage_are_refused(tls: TlsContext) -> None:
    session = TlsSession(tls)
    with pytest.raises(TlsError):
        session.feed(b"\0\0\0\x08\x04\xd2\x16\x2f" * 4)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((TlsError, ssl.SSLError)):
        Client(context).handshake(TlsSession(tls))


def test_damaged_record(tls: TlsContext) -> None:
    client, session = connected(tls)
    client.object.write(b"data")
    record = bytearray(client.outgoing.read())
    record[-1] ^= 1
    with pytest.raises(TlsError):
        session.feed(bytes(record))


def test_direct_tls_needs_alpn(tls: TlsContext) -> None:
    with pytest.raises(TlsError, match="ALPN"):
        connected(tls, direct=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1", "postgresql"])
    client, session = Client(context), TlsSession(tls, direct=True)
    client.handshake(session)
    assert session.established
    assert client.object.selected_alpn_protocol() == "postgresql"


def test_certificate_is_kept_private_and_renewed(tmp_path: Path) -> None:
    first, _ = self_signed(tmp_path, NAMES, NOW)
    made = first.read_bytes()
    assert first.stat().st_mode & 0o777 == 0o600
    assert self_signed(tmp_path, NAMES, NOW)[0].read_bytes() == made
    later = NOW + dt.timedelta(days=3650 - 10)
    assert self_signed(tmp_path, NAMES, later)[0].read_bytes() != made
    assert [each.name for each in tmp_path.iterdir()] == ["server.pem"]


def test_self_signed_certificate_verifies_when_it_is_the_root(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, NAMES, dt.datetime.now(dt.UTC))
    context = ssl.create_default_context(cafile=str(certificate))
    client, session = Client(context), TlsSession(load_tls(certificate, key))
    client.handshake(session)
    assert session.established


@pytest.mark.parametrize("hashed", ["sha256", "sha384", "sha512"])
def test_end_point_hash_follows_the_signature(tmp_path: Path, hashed: str) -> None:
    algorithm = getattr(hashes, hashed.upper())()
    path = certificate_file(tmp_path, rsa.generate_private_key(65537, 2048), algorithm)
    fingerprint = x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(algorithm)
    assert end_point_hash(path) == fingerprint


def test_ed25519_has_no_binding(tmp_path: Path) -> None:
    path = certificate_file(tmp_path, ed25519.Ed25519PrivateKey.generate(), None)
    assert end_point_hash(path) is None


def certificate_file(folder: Path, key, algorithm) -> Path:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(days=9))
        .sign(key, algorithm)
    )
    path = folder / "certificate.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return path


def test_unusable_files_are_reported(tmp_path: Path) -> None:
    good, _ = self_signed(tmp_path, NAMES, NOW)
    with pytest.raises(CertificateError, match="cannot be read"):
        load_tls(tmp_path / "missing.pem", good)
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    with pytest.raises(CertificateError, match="cannot be used"):
        load_tls(bad, bad)
    with pytest.raises(CertificateError, match="no PEM certificate"):
        end_point_hash(bad)
    other = tmp_path / "other"
    with pytest.raises(CertificateError, match="cannot be used"):
        load_tls(good, self_signed(other, NAMES, NOW)[1])
