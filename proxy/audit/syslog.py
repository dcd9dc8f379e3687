"""Lines as syslog messages (RFC 5424) over a Unix socket, UDP or TCP (RFC 6587, counted)."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.observability.lines import timestamp

SECONDS = 5.0
"""How long a peer may take to accept a connection or a batch."""

_NOTICE = 5
FACILITIES = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""RFC 5424, table 1."""

_ADDRESS = re.compile(r"(?P<kind>udp|tcp)://(?P<host>\[[^\]]+\]|[^:/]+):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where a syslog server listens; ``host`` is the path of a Unix socket."""

    kind: Literal["unix", "udp", "tcp"]
    host: str
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> SyslogAddress:
        """``unix:/dev/log``, ``udp://host:514`` or ``tcp://host:601``. Raises ValueError."""
        if text.startswith("unix:/"):
            return cls("unix", text.removeprefix("unix:"))
        found = _ADDRESS.fullmatch(text)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError(
                f"{text!r} is no syslog address: write unix:/path, udp://host:port or tcp://host:port"
            )
        kind: Literal["udp", "tcp"] = "udp" if found["kind"] == "udp" else "tcp"
        return cls(kind, found["host"].strip("[]"), int(found["port"]))


class SyslogSink:
    """See the module. A broken connection is made again at the next write."""

    def __init__(self, address: SyslogAddress, facility: str, clock: Callable[[], float]) -> None:
        self._address = address
        self._priority = FACILITIES[facility] * 8 + _NOTICE
        self._clock = clock
        self._host = socket.gethostname() or "-"
        self._socket: socket.socket | None = None

    def last_line(self) -> str | None:
        """Not to be known."""
        return None

    def write(self, lines: Sequence[str]) -> None:
        """See Sink. Over UDP only what this machine itself refuses is noticed."""
        connection = self._socket or self._connect()
        self._socket = connection
        stream = connection.type == socket.SOCK_STREAM
        try:
            for line in lines:
                message = self._message(line)
                if stream:
                    message = f"{len(message)} ".encode() + message
                connection.sendall(message)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """See Sink."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _message(self, line: str) -> bytes:
        stamp = timestamp(self._clock())
        head = f"<{self._priority}>1 {stamp} {self._host} cubewire {os.getpid()} audit - "
        return (head + line).encode()

    def _connect(self) -> socket.socket:
        address = self._address
        if address.kind == "unix":
            return _connect_unix(address.host)
        if address.kind == "tcp":
            return socket.create_connection((address.host, address.port), SECONDS)
        family, kind, _, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM
        )[0]
        return _connected(family, kind, target)


def _connect_unix(path: str) -> socket.socket:
    if not Path(path).exists():
        raise FileNotFoundError(f"no syslog socket at {path}")
    try:
        return _connected(socket.AF_UNIX, socket.SOCK_DGRAM, path)
    except OSError:
        return _connected(socket.AF_UNIX, socket.SOCK_STREAM, path)


def _connected(family: int, kind: int, target: object) -> socket.socket:
    connection = socket.socket(family, kind)
    connection.settimeout(SECONDS)
    try:
        connection.connect(target)  # type: ignore[arg-type]
    except OSError:
        connection.close()
        raise
    return connection
