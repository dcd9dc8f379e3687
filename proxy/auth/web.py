"""One HTTP request to a server that the operator named: no redirects, no proxies, never endless.

It blocks, so it is called through a ``Bulkhead``.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_LONGEST_ANSWER = 1024 * 1024


class WebError(Exception):
    """No usable answer. The text is for the log and holds nothing of the request or the answer."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: ``https://``, or ``http://`` on this machine.
        seconds: for the whole of a request.
    """

    url: str
    seconds: float
    _tls: ssl.SSLContext | None = field(repr=False)

    @classmethod
    def open(cls, url: str, *, ca: Path | None, seconds: float) -> Endpoint:
        """Load the authorities that the server's certificate is held against.

        Args:
            url: of the server.
            ca: PEM file; the system's authorities where absent.
            seconds: for the whole of a request.

        Raises:
            OSError: the file cannot be read.
        """
        https = urlsplit(url).scheme == "https"
        return cls(url, seconds, ssl.create_default_context(cafile=ca) if https else None)

    def ask(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body.

        Raises:
            WebError: the server cannot be reached, is not who it should be, or answers too late,
                too much or no HTTP.
        """
        connection = self._connection()
        taken: list[socket.socket] = []
        # The sockets' own time limit starts again with every byte; this one does not.
        timer = threading.Timer(self.seconds, _cut, (connection, taken))
        timer.daemon = True
        timer.start()
        try:
            parts = urlsplit(self.url)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.connect()
            # The connection forgets its socket where the answer is to end with it.
            taken.append(connection.sock)
            connection.request(method, path, body, dict(headers))
            with connection.getresponse() as answer:
                data = answer.read(_LONGEST_ANSWER + 1)
        except ssl.SSLCertVerificationError as error:
            raise WebError(f"certificate not accepted: {error.verify_message}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WebError(f"no answer: {type(error).__name__}") from None
        finally:
            timer.cancel()
            connection.close()
        if len(data) > _LONGEST_ANSWER:
            raise WebError("the answer is too long")
        return answer.status, data

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if self._tls is None:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.seconds)
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=self.seconds, context=self._tls
        )


def _cut(connection: http.client.HTTPConnection, taken: list[socket.socket]) -> None:
    """End a connection under whoever reads from it."""
    for sock in (connection.sock, *taken):
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                # Not the TLS socket's own, which is for the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
