"""Client certificates: what TLS lets through, and the names that are taken from it."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from proxy.auth.client_certificate import ClientCertificate
from proxy.auth.errors import AuthenticationFailed
from proxy.auth.identity_map import IdentityMap
from proxy.auth.methods.certificate import CertificateMethod
from proxy.auth.request import LoginRequest
from proxy.auth.tls import TlsContext, TlsError, TlsSession, load_tls
from proxy.wire.backend import AuthenticationOk
from tests.auth.authority import DAY, Authority

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Authority")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Files:
    return authority.issue("server", server=True)


def shaken(tls: TlsContext, files: Files | None) -> TlsSession:
    """The server's side after a handshake with a client that has a certificate or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files is not None:
        context.load_cert_chain(*files)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    session = TlsSession(tls)
    while not session.established:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        session.feed(outgoing.read())
        incoming.write(session.outgoing())
    return session


def test_handshake(authority: Authority, own: Files) -> None:
    tls = load_tls(*own, client_ca=authority.file)
    assert shaken(tls, None).client_certificate() is None
    found = shaken(tls, authority.issue("anna")).client_certificate()
    assert found is not None
    assert found.the("cn") == "anna"
    assert found.expires == pytest.approx(time.time() + DAY.total_seconds(), abs=60)
    # A server without authorities asks for none.
    assert shaken(load_tls(*own), authority.issue("anna")).client_certificate() is None


def test_certificates_that_end_the_handshake(
    authority: Authority, own: Files, tmp_path: Path
) -> None:
    # Of another authority that even has the same name.
    stranger = Authority(tmp_path, "Authority").issue("anna")
    expired = authority.issue("anna", lasts=-dt.timedelta(hours=1))
    for_servers = authority.issue("anna", server=True)
    revoked, kept = authority.issue("anna"), authority.issue("anna")
    listed = load_tls(*own, client_ca=authority.file, client_crl=authority.revoke(revoked[0]))
    plain = load_tls(*own, client_ca=authority.file)
    for files in (stranger, expired, for_servers):
        with pytest.raises(TlsError):
            shaken(plain, files)
    with pytest.raises(TlsError, match=r"(?i)verify"):
        shaken(listed, revoked)
    assert shaken(listed, kept).client_certificate() is not None
    assert shaken(plain, revoked).client_certificate() is not None


def named(authority: Authority, *names: str, **options: Any) -> ClientCertificate:
    file, _ = authority.issue(*names, **options)
    found = ClientCertificate.parse(ssl.PEM_cert_to_DER_cert(file.read_text()))
    assert found is not None
    return found


def test_names(authority: Authority) -> None:
    found = named(
        authority,
        "anna",
        alternatives=(
            x509.RFC822Name("anna@example.org"),
            x509.DNSName("a.example"),
            x509.DNSName("b.example"),
            x509.UniformResourceIdentifier("spiffe://example.org/etl"),
        ),
    )
    assert found.the("cn") == "anna"
    assert found.the("email") == "anna@example.org"
    assert found.the("uri") == "spiffe://example.org/etl"
    assert found.the("dns") is None
    assert named(authority, "anna", "bert").the("cn") is None
    assert named(authority, "anna\0.evil").the("cn") is None
    assert named(authority).the("cn") is None
    assert named(authority, "anna").the("email") is None
    assert ClientCertificate.parse(b"no certificate") is None


def test_method(authority: Authority) -> None:
    counted: list[bool] = []

    def on_result(success: bool) -> float:
        counted.append(success)
        return 0.0 if success else 0.5

    certificate = named(authority, "anna", alternatives=(x509.RFC822Name("anna@example.org"),))
    method = CertificateMethod("cn", IdentityMap())
    exchange = method.begin(LoginRequest("anna", certificate=certificate), on_result)
    assert exchange.done
    assert exchange.grants.expires == certificate.expires
    assert [type(each) for each in exchange.first()] == [AuthenticationOk]
    with pytest.raises(AuthenticationFailed) as caught:
        method.begin(LoginRequest("bert", certificate=certificate), on_result)
    assert (caught.value.sqlstate, caught.value.message, caught.value.delay) == (
        "28000",
        'certificate authentication failed for user "bert"',
        0.5,
    )
    assert counted == [True, False]
    with pytest.raises(AuthenticationFailed, match="requires a valid client certificate"):
        method.begin(LoginRequest("anna"), on_result)
    mail = CertificateMethod("email", IdentityMap.of(r"(.*)@example\.org", {}))
    assert mail.begin(LoginRequest("anna", certificate=certificate), on_result).done
    shared = CertificateMethod("cn", IdentityMap.of(None, {"anna": ["etl"]}))
    assert shared.begin(LoginRequest("etl", certificate=certificate), on_result).done
    with pytest.raises(AuthenticationFailed):
        shared.begin(LoginRequest("anna", certificate=certificate), on_result)


def test_unusable_authorities(own: Files, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(ValueError, match=r"tls\.client_ca"):
            load_tls(*own, client_ca=path)
