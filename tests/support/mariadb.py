"""A real MariaDB for tests, of Debian's package mariadb-server. Tests skip where it is missing."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pymysql
import pytest

from proxy.auth.certificate import self_signed
from tests.conftest import free_port
from tests.support.templates import from_template

# Small, quick to make and never synced: the data lasts as long as the tests.
_SETTINGS = """
[mariadbd]
innodb_log_file_size=4M
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=0
aria_log_file_size=8M
aria_pagecache_buffer_size=8M
key_buffer_size=1M
bind_address=127.0.0.1
# What a server in the field has, and what must not change an answer.
character_set_server=latin1
collation_server=latin1_swedish_ci
default_time_zone=+05:30
transaction_isolation=READ-COMMITTED
"""
_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A running server: ``root`` and ``reader`` (SELECT only) log in on loopback TCP."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def certificate(self) -> Path:
        """Of the server and of its own authority, for localhost."""
        return self.directory / "tls" / "server.pem"

    @property
    def options(self) -> dict[str, object]:
        """Options of a data source that reads the database ``world``."""
        return {
            "port": self.port,
            "user": "reader",
            "password": "reader's secret",
            "database": "world",
            "ssl_mode": "disabled",
        }

    def run(self, statements: Sequence[str], database: str | None = "world") -> None:
        """Run statements as root, as a client that knows nothing of Cubewire would."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()
        finally:
            connection.close()

    def fill(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows, moments with a zone as UTC."""
        marks = ", ".join(["%s"] * len(rows[0]))
        values = [[_stored(value) for value in row] for row in rows]
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
            connection.commit()
        finally:
            connection.close()

    def connect(self, database: str | None = "world") -> pymysql.Connection:
        """A connection of root."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, charset="utf8mb4"
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def _stored(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":" + _FOLDERS)


def is_installed() -> bool:
    """Whether a MariaDB can be started here."""
    return None not in (_program("mariadbd"), _program("mariadb-install-db"))


def shared_mariadb() -> MariaDb:
    """The server of this process's tests, which ends with it."""
    global _shared
    if _shared is None:
        _shared = start_mariadb()
        atexit.register(_shared.stop)
    return _shared


_shared: MariaDb | None = None


def start_mariadb(options: Sequence[str] = ()) -> MariaDb:
    """A fresh server on 127.0.0.1. Skips the test where mariadb-server is not installed."""
    server, installer = _program("mariadbd"), _program("mariadb-install-db")
    if server is None or installer is None:
        pytest.skip("mariadb-server is not installed")
    directory = Path(tempfile.mkdtemp(prefix="mariadb-"))
    settings = directory / "settings"
    certificate, key = self_signed(directory / "tls", ("localhost",), datetime.now(UTC))
    settings.write_text(
        "\n".join((_SETTINGS, f"ssl_cert={certificate}", f"ssl_key={key}", *options))
    )
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    data = directory / "data"
    common = [f"--defaults-file={settings}", f"--datadir={data}", f"--user={owner.pw_name}"]

    def install() -> None:
        subprocess.run(
            [installer, *common, "--auth-root-authentication-method=normal", "--skip-test-db",
             "--skip-name-resolve"],
            check=True, capture_output=True,
        )  # fmt: skip

    recipe = (server, Path(server).stat().st_mtime_ns, owner, _SETTINGS, tuple(options))
    from_template(data, recipe, install)
    port = free_port()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [server, *common, f"--port={port}", f"--socket={directory / 'socket'}",
             f"--pid-file={directory / 'pid'}"],
            stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    made = MariaDb(port, directory, process)
    deadline = time.monotonic() + 60
    while True:
        try:
            made.run(_FIRST, None)
            return made
        except pymysql.err.OperationalError:
            if time.monotonic() > deadline or process.poll() is not None:
                made.process.kill()
                raise RuntimeError((directory / "log").read_text()) from None
            time.sleep(0.05)


_FIRST = (
    "CREATE DATABASE world",
    "CREATE USER reader IDENTIFIED BY 'reader''s secret'",
    "GRANT SELECT ON world.* TO reader",
)
