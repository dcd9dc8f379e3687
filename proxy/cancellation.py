"""Cancel keys: which connection a CancelRequest means (manual, section 55.2.9).

A key is a process id, which names a worker and a connection of it, and a secret that cannot be
guessed. A request for a connection of another worker is handed to it through a Unix socket in the
server's private directory.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SHORT_SECRET_BYTES = 4
LONG_SECRET_BYTES = 32
"""Protocol 3.2 allows up to 256 bytes; 32 cannot be guessed."""

WORKER_SHIFT = 22
"""Process ids: 9 bits of worker, 22 bits of connection number, positive in 32 bits."""

_NUMBERS = 1 << WORKER_SHIFT
_DATAGRAM_BYTES = 512


def worker_of(which: str) -> int | None:
    """The worker of the id of a statement (``7-12``) or a session (``7``); None for no id."""
    process_id, dash, number = which.partition("-")
    if not process_id.isdecimal() or (dash and not number.isdecimal()):
        return None
    return int(process_id) >> WORKER_SHIFT


class Cancellable(Protocol):
    """A connection."""

    def cancel_statement(self) -> None:
        """Interrupt what it runs."""


@dataclass(frozen=True, slots=True)
class _Entry:
    secret: bytes
    connection: Cancellable


class CancelRegistry:
    """The cancel keys of one worker.

    Attributes:
        elsewhere: given what no session of this host has the key of.
    """

    def __init__(self, worker: int, directory: Path | None) -> None:
        self._worker = worker
        self._directory = directory
        self._entries: dict[int, _Entry] = {}
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None
        self.elsewhere: Callable[[int, bytes], None] | None = None

    def register(self, connection: Cancellable, *, long: bool) -> tuple[int, bytes]:
        """A new key for a connection."""
        while True:
            number = next(self._numbers) % _NUMBERS
            process_id = (self._worker << WORKER_SHIFT) | number
            if number and process_id not in self._entries:
                break
        secret = secrets.token_bytes(LONG_SECRET_BYTES if long else SHORT_SECRET_BYTES)
        self._entries[process_id] = _Entry(secret, connection)
        return process_id, secret

    def forget(self, process_id: int) -> None:
        """The connection has gone."""
        self._entries.pop(process_id, None)

    def find(self, process_id: int) -> Cancellable | None:
        """The connection of a process id of this worker."""
        entry = self._entries.get(process_id)
        return entry.connection if entry is not None else None

    def cancel(self, process_id: int, secret: bytes) -> None:
        """Carry out a CancelRequest; a wrong key does nothing and says nothing."""
        worker = process_id >> WORKER_SHIFT
        if worker != self._worker:
            known = self._forward(worker, process_id, secret)
        else:
            known = self.cancel_where(process_id, lambda own: hmac.compare_digest(own, secret))
        if not known and self.elsewhere is not None:
            self.elsewhere(process_id, secret)

    def cancel_where(self, process_id: int, matches: Callable[[bytes], bool]) -> bool:
        """Cancel what a session runs whose secret matches. False where there is none here."""
        entry = self._entries.get(process_id)
        if entry is None or not matches(entry.secret):
            return False
        entry.connection.cancel_statement()
        return True

    # ------------------------------------------------------------------------- other workers

    def listen(self) -> None:
        """Take requests from the other workers of this server."""
        if self._directory is None:
            return
        path = self._path(self._worker)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.setblocking(False)
        listener.bind(str(path))
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._receive)

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._path(self._worker).unlink(missing_ok=True)

    def _path(self, worker: int) -> Path:
        assert self._directory is not None
        return self._directory / f"cancel.{worker}"

    def _forward(self, worker: int, process_id: int, secret: bytes) -> bool:
        """Hand a request to another worker, which takes it further. False where there is none."""
        if self._directory is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(process_id.to_bytes(4) + secret, str(self._path(worker)))
            except OSError:
                return False  # no such worker, or it is not listening
        return True

    def _receive(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(_DATAGRAM_BYTES)
        process_id = int.from_bytes(data[:4])
        if process_id >> WORKER_SHIFT == self._worker:
            self.cancel(process_id, data[4:])
