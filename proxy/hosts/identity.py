"""Which process this is among all that share a Redis."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config

_TOKEN_BYTES = 8


@dataclass(frozen=True, slots=True)
class Process:
    """A process that serves.

    Attributes:
        host: what operators call its server.
        server: what it has in common with the other workers of its server, and with nobody else.
        worker: its number among them.
        token: what nothing else has in common with it; another one after a restart.
    """

    host: str
    server: str
    worker: int
    token: str


def host_name(config: Config) -> str:
    """What operators call the server of a configuration on this machine."""
    return config.server.name or socket.gethostname()


def this_process(config: Config, run_directory: Path, worker: int) -> Process:
    """This one.

    Args:
        run_directory: where its server's workers find each other, made for this run of it.
    """
    server = f"{socket.gethostname()}:{run_directory.name}"
    return Process(host_name(config), server, worker, secrets.token_hex(_TOKEN_BYTES))
