"""Client certificates: the names in one that TLS has verified against ``tls.client_ca``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import NameOID

CertificateName = Literal["cn", "email", "dns", "uri"]


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client's certificate says of it.

    Attributes:
        names: by kind: ``cn`` of the subject; ``email``, ``dns`` and ``uri`` of the
            subjectAltName.
        expires: unix seconds after which it is not valid.
    """

    names: dict[str, tuple[str, ...]]
    expires: float

    @classmethod
    def parse(cls, der: bytes) -> ClientCertificate | None:
        """Read the names; None where the certificate is malformed (which OpenSSL let pass)."""
        try:
            parsed = x509.load_der_x509_certificate(der)
            common = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            names = {"cn": tuple(str(each.value) for each in common), **_alternatives(parsed)}
        except ValueError:
            return None
        return cls(names, parsed.not_valid_after_utc.timestamp())

    def the(self, kind: CertificateName) -> str | None:
        """The name of a kind; None where there is not exactly one, or it is not plain text.

        A NUL inside a name has made others take its beginning for the whole of it, and of several
        common names nobody can say which one a certificate authority has checked.
        """
        found = self.names.get(kind, ())
        if len(found) != 1 or not found[0] or not found[0].isprintable():
            return None
        return found[0]


def _alternatives(certificate: x509.Certificate) -> dict[str, tuple[str, ...]]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return {}
    names = extension.value
    return {
        "email": tuple(names.get_values_for_type(x509.RFC822Name)),
        "dns": tuple(names.get_values_for_type(x509.DNSName)),
        "uri": tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    }
