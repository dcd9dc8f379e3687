"""A real streaming replica of a test's PostgreSQL, which can be killed, started again, promoted."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.oracle import OraclePostgres, binaries

START_SECONDS = 30.0
ENVIRONMENT = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}


def identity() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@dataclass(slots=True)
class Cluster:
    """A data directory and the server over it."""

    directory: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _log: list[int] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"postgresql://oracle@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(str(binaries() / "postgres"), "-D", str(self.directory / "data")),
                *("-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.directory)),
                *[part for each in ("fsync=off", *self.options) for part in ("-c", each)],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd=self.directory,
            **identity(),  # type: ignore[call-overload]
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
                return
            except psycopg.Error:
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.05)

    def run(self, sql: str) -> object:
        """Run a statement as superuser; the value of its only row, if it has one."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def end(self, number: int) -> None:
        """SIGKILL, or PostgreSQL's own: SIGQUIT for immediate, SIGINT for fast."""
        process, self.process = self.process, None
        if process is None:
            return
        backends = self._children(process.pid) if number == signal.SIGKILL else []
        process.send_signal(number)
        process.wait(START_SECONDS)
        # Its children notice only when they next look: a machine that dies takes them along.
        for child in backends:
            try:
                os.kill(child, number)
            except ProcessLookupError:
                continue
        for child in backends:
            while os.path.exists(f"/proc/{child}"):
                time.sleep(0.01)

    @staticmethod
    def _children(parent: int) -> list[int]:
        return [
            int(each) for each in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        ]

    def remove(self) -> None:
        self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


def taken_over(server: OraclePostgres) -> Cluster:
    """The cluster of a server that is already running, to be killed and started at will."""
    return Cluster(server.directory, server.port, process=server.process)


def replica_of(server: OraclePostgres, port: int) -> Cluster:
    """A running replica, made by pg_basebackup."""
    directory = Path(tempfile.mkdtemp(prefix="replica-"))
    own = identity()
    if own:
        os.chown(directory, int(own["user"]), int(own["group"]))  # type: ignore[call-overload]
    subprocess.run(
        [
            *(
                str(binaries() / "pg_basebackup"),
                "-D",
                str(directory / "data"),
                "-R",
                "-X",
                "stream",
            ),
            *("-c", "fast", "--no-sync", "-h", server.host, "-p", str(server.port)),
            *("-U", "oracle"),
        ],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
        cwd=directory,
        **own,  # type: ignore[call-overload]
    )
    cluster = Cluster(directory, port)
    cluster.start()
    return cluster
