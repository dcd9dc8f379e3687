"""Method ``certificate``: a client certificate says who somebody is, and nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.client_certificate import CertificateName
from proxy.auth.errors import AuthenticationFailed, wrong_certificate
from proxy.auth.grants import Grants
from proxy.auth.identity_map import IdentityMap
from proxy.auth.method import LoginMethod, OnResult, Parts
from proxy.auth.plain import NothingAsked
from proxy.auth.request import LoginRequest
from proxy.auth.steps import Exchange
from proxy.config.rules import CertificateRule


@dataclass(frozen=True, slots=True)
class CertificateMethod:
    """Lets in whom a certificate of ``tls.client_ca`` names.

    Attributes:
        kind: which of its names is the identity.
    """

    kind: CertificateName
    users: IdentityMap
    name: str = "certificate"

    def begin(self, request: LoginRequest, on_result: OnResult) -> Exchange:
        """See LoginMethod."""
        certificate = request.certificate
        if certificate is None:
            raise AuthenticationFailed(
                "28000",
                "connection requires a valid client certificate",
                reason="no client certificate",
            )
        named = certificate.the(self.kind)
        if named is None or not self.users.allows(named, request.user):
            failure = wrong_certificate(request.user, "certificate of somebody else")
            failure.delay = on_result(False)
            raise failure
        on_result(True)
        return NothingAsked(Grants(expires=certificate.expires))

    async def close(self) -> None:
        """See LoginMethod."""


def open_method(rule: CertificateRule, parts: Parts) -> LoginMethod:
    """See MethodModule."""
    del parts
    return CertificateMethod(rule.name, rule.users())
