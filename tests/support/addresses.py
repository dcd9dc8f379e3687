"""Where the servers under test are: PostgreSQL always, ours where there is one."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer


@dataclass(frozen=True, slots=True)
class Address:
    """A server and a login of it."""

    name: str
    host: str
    port: int
    user: str
    database: str
    password: str = ""

    def connect(self, timeout: float = 10.0) -> RawClient:
        """A socket on which nothing was sent yet."""
        return RawClient.connect(self.host, self.port, timeout)

    def session(self, *, minor: int = 0, **options: str) -> RawClient:
        """A client that is logged in."""
        client = self.connect()
        client.startup(
            self.user, self.database, self.password, minor=minor, options=options.items()
        )
        return client


def postgres_address(oracle: OraclePostgres) -> Address:
    return Address("postgres", oracle.host, oracle.port, "oracle", "postgres")


def server_address(server: RunningServer) -> Address:
    """Our server as it was started for the tests, with the login of its demo."""
    dsn = urlsplit(server.dsn)
    user, password = dsn.username or "", dsn.password or ""
    return Address("proxy", server.host, server.port, user, dsn.path.strip("/"), password)


def named_address() -> Address | None:
    """A server that runs elsewhere: ``CUBEWIRE_TEST_ADDRESS=host:port``, and its login."""
    where = os.environ.get("CUBEWIRE_TEST_ADDRESS")
    if not where:
        return None
    host, _, port = where.rpartition(":")
    return Address(
        "proxy",
        host,
        int(port),
        os.environ.get("CUBEWIRE_TEST_USER", "demo"),
        os.environ.get("CUBEWIRE_TEST_DATABASE", "cubewire"),
        os.environ.get("CUBEWIRE_TEST_PASSWORD", "demo"),
    )


def free_ports(count: int) -> int:
    """The first of some ports in a row that nobody listens on."""
    for first in range(random.randrange(20_000, 30_000), 60_000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")
