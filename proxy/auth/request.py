"""What is known of a client when it asks to log in."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.auth.client_certificate import ClientCertificate
from proxy.auth.steps import ChannelBinding


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A startup packet and the connection that it came over.

    Attributes:
        user: who the client says it is; nothing is proved yet.
        address: of the client, as text.
        application: ``application_name``; no identity may rest on it.
        encrypted: whether the connection is inside TLS.
        channel: the TLS connection's binding, None where there is none.
        certificate: the client's, verified against ``tls.client_ca``; None where it sent none.
    """

    user: str
    database: str = ""
    address: str = ""
    application: str = ""
    encrypted: bool = False
    channel: ChannelBinding | None = None
    certificate: ClientCertificate | None = None
