"""The certificate of a server that was given none: self-signed, made once, then kept.

It hides passwords and results from listeners on the network. It proves nothing about the server's
identity unless the client is given the file as its root certificate.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=3650)
_RENEWAL = dt.timedelta(days=30)
"""A certificate this close to its end is replaced at start."""


class CertificateError(ValueError):
    """A certificate or key that cannot be used."""


def self_signed(directory: Path, names: tuple[str, ...], now: dt.datetime) -> tuple[Path, Path]:
    """Return the certificate and key files, making them where they are missing or nearly expired.

    Args:
        directory: created if need be; the key in it is readable by its owner alone.
        names: host names and addresses the certificate is for; the first is its common name.
        now: an aware time.
    """
    both = directory / "server.pem"
    if not _usable(both, now):
        directory.mkdir(parents=True, exist_ok=True)
        # One file holds both, so that workers starting together never pair a key with the
        # certificate of another.
        handle, name = tempfile.mkstemp(dir=directory, prefix=".server.pem.")
        with os.fdopen(handle, "wb") as file:
            file.write(_generate(names, now))
        Path(name).replace(both)
    return both, both


def end_point_hash(certificate: Path) -> bytes | None:
    """The tls-server-end-point binding of a certificate (RFC 5929, section 4.1).

    The hash is that of the certificate's signature, SHA-256 where that is MD5 or SHA-1; None where
    the signature has none of its own (Ed25519), for which no binding is defined.

    Raises:
        CertificateError: the file holds no certificate.
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError as error:
        raise CertificateError(f"{certificate} holds no PEM certificate: {error}") from None
    algorithm = parsed.signature_hash_algorithm
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in {"md5", "sha1"} else algorithm.name
    return hashlib.new(name, parsed.public_bytes(serialization.Encoding.DER)).digest()


def _usable(path: Path, now: dt.datetime) -> bool:
    try:
        parsed = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    return parsed.not_valid_before_utc <= now < parsed.not_valid_after_utc - _RENEWAL


def _generate(names: tuple[str, ...], now: dt.datetime) -> bytes:
    # P-256: a signature costs a tenth of RSA's, and nothing before a login may be dear.
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
