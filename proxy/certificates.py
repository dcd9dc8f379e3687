"""The certificate that clients are shown: opened at the start, and again when its files change.

Certificates are renewed while a server runs: by an ACME client, or in a mounted Secret.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.auth.certificate import CertificateError, self_signed
from proxy.auth.files import signature
from proxy.auth.tls import TlsContext, load_tls
from proxy.config import Config

logger = logging.getLogger("cubewire.tls")

LOOK_SECONDS = 10.0
"""How often the files are looked at. A change counts once they have been at rest for so long,
because a certificate and its key are written one after the other."""


class ShowsCertificate(Protocol):
    """A server: new connections take what this is, open ones keep what they began with."""

    tls_context: TlsContext | None


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of the configuration, as they were before they were loaded."""

    paths: tuple[Path, ...]
    loaded: tuple[object, ...]

    @classmethod
    def of(cls, config: Config) -> CertificateFiles:
        """Those that are configured: a certificate of our own making is nobody else's to change."""
        tls = config.tls
        named = (tls.certificate, tls.key, tls.client_ca, tls.client_crl)
        paths = tuple(path for path in named if path is not None) if tls.mode != "off" else ()
        return cls(paths, signatures(paths))


def signatures(paths: tuple[Path, ...]) -> tuple[object, ...]:
    """What tells that one of several files has changed."""
    return tuple(signature(path) for path in paths)


def open_tls(config: Config) -> TlsContext | None:
    """The configured certificate, or one of our own making; None where TLS is off.

    Raises:
        CertificateError: the files cannot be used.
    """
    tls = config.tls
    if tls.mode == "off":
        return None
    certificate, key = tls.certificate, tls.key
    if certificate is None or key is None:
        names = ("localhost", "127.0.0.1", "::1")
        certificate, key = self_signed(
            config.state_directory / "tls", names, dt.datetime.now(dt.UTC)
        )
    return load_tls(certificate, key, client_ca=tls.client_ca, client_crl=tls.client_crl)


@asynccontextmanager
async def certificate_followed(
    server: ShowsCertificate, files: CertificateFiles, load: Callable[[], TlsContext | None]
) -> AsyncIterator[None]:
    """Show new clients what the files hold, meanwhile."""
    if not files.paths:
        yield
        return
    task = asyncio.create_task(_follow(server, files, load), name="certificate")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _follow(
    server: ShowsCertificate, files: CertificateFiles, load: Callable[[], TlsContext | None]
) -> None:
    loaded = seen = files.loaded
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await asyncio.to_thread(signatures, files.paths)
        at_rest, seen = now == seen, now
        if now == loaded or not at_rest:
            continue
        # Of what cannot be used is told once; what follows it is another change.
        loaded = now
        try:
            server.tls_context = await asyncio.to_thread(load)
        except CertificateError as error:
            logger.warning("the certificate was not exchanged: %s", error)
        else:
            logger.info("the certificate was exchanged")
