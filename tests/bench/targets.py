"""The servers that are measured, each started here and stopped at the end."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.bench.client import AsyncClient, BlockingClient, ReplyError
from tests.bench.data import make_duckdb, make_postgres
from tests.bench.machine import wait_for
from tests.conftest import free_port
from tests.support.oracle import OraclePostgres, start_oracle
from tests.support.server import REPOSITORY

CUBEWIRE = "cubewire"
POSTGRES = "postgres"
PGBOUNCER = "pgbouncer"
BUENAVISTA = "buenavista"
RIFFQ = "riffq"

USER = "bench"
DATABASE = "bench"
SCRIPTS = "tests.bench.peers"
COMMAND = Path(sys.executable).parent / "cubewire"
MODELS = Path(__file__).parent / "models"
MAX_CONNECTIONS = 2000
POSTGRES_OPTIONS = ("max_connections=300", "shared_buffers=256MB", "jit=off")
PGBOUNCER_NAMES = ("/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer")
START_SECONDS = 20.0
END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """One running server.

    Attributes:
        pid: the root of its processes.
        most: connections it takes at once.
    """

    name: str
    host: str
    port: int
    user: str
    database: str
    pid: int
    most: int = MAX_CONNECTIONS

    def connect(self) -> BlockingClient:
        return BlockingClient(self.host, self.port, self.user, self.database)

    async def connect_async(self) -> AsyncClient:
        return await AsyncClient.connect(self.host, self.port, self.user, self.database)


@dataclass(slots=True)
class Field:
    """All that run for one go of the measurements.

    Attributes:
        targets: by name; PostgreSQL, which the ratios are to, and ours are always there.
        skipped: why a peer is not.
        database: the DuckDB file.
        config: our server's configuration file.
    """

    directory: Path
    database: Path
    config: Path
    targets: dict[str, Target] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def ours(self) -> Target:
        return self.targets[CUBEWIRE]

    @property
    def postgres(self) -> Target:
        return self.targets[POSTGRES]

    def in_turn(self, *names: str) -> list[Target]:
        """Those of the named that run."""
        return [self.targets[name] for name in names if name in self.targets]

    def restart_ours(self) -> Target:
        """Ours as it is just after a start, for measurements of memory."""
        old = self.targets.pop(CUBEWIRE, None)
        if old is not None:
            os.kill(old.pid, signal.SIGTERM)
            wait_for(lambda: not _listens(old.port), START_SECONDS, "the end of our server")
        self.targets[CUBEWIRE] = self._start_ours()
        return self.ours

    def close(self) -> None:
        self._stack.close()

    def start(self, peers: Mapping[str, bool]) -> None:
        """Make the data and start everything; ``peers`` says which of them are wanted."""
        make_duckdb(self.database)
        oracle = start_oracle(free_port(), POSTGRES_OPTIONS)
        self._stack.callback(oracle.stop)
        make_postgres(oracle.dsn, self.database)
        self.targets[POSTGRES] = Target(
            POSTGRES, oracle.host, oracle.port, "oracle", "postgres", oracle.process.pid, 290
        )
        self.config.write_text(yaml.safe_dump(configuration(self, oracle)))
        self.targets[CUBEWIRE] = self._start_ours()
        starters = {PGBOUNCER: self._pgbouncer, BUENAVISTA: self._script, RIFFQ: self._script}
        for name, starter in starters.items():
            if not peers.get(name, True):
                continue
            try:
                self.targets[name] = starter(name)
            except (NotInstalledError, TimeoutError, OSError, ReplyError) as error:
                self.skipped[name] = str(error)

    def start_another(self, **cache: object) -> Target:
        """Another server of ours, alike but for its section ``cache``; it runs to the end."""
        return self.start_with(self.configured(cache=cache))

    def configured(self, **sections: object) -> Path:
        """Another configuration file, alike but for these sections."""
        settings = yaml.safe_load(self.config.read_text()) | sections
        path = self.config.with_name(f"another-{len(list(self.directory.glob('another-*')))}.yml")
        path.write_text(yaml.safe_dump(settings))
        return path

    def start_with(self, config: Path) -> Target:
        """Another server of ours, with a configuration of its own; it runs to the end."""
        return self._start_ours(config)

    def on_close(self, end: Callable[[], None]) -> None:
        """Something else to stop at the end."""
        self._stack.callback(end)

    def _start_ours(self, config: Path | None = None) -> Target:
        # In a session of its own, as PostgreSQL's processes are: Linux shares out the processors by
        # session, and this one has the clients in it.
        process = subprocess.Popen(
            [str(COMMAND), "serve", "--config", str(config or self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(_end, process)
        assert process.stdout is not None
        ready = process.stdout.readline().decode()
        if not ready.startswith("ready "):
            raise RuntimeError(f"our server did not start; see {self.directory / 'cubewire.log'}")
        where = urlsplit(ready.split()[1])
        assert where.hostname is not None
        assert where.port is not None
        return Target(CUBEWIRE, where.hostname, where.port, USER, DATABASE, process.pid)

    def _pgbouncer(self, name: str) -> Target:
        program = shutil.which(name) or next(
            (path for path in PGBOUNCER_NAMES if Path(path).exists()), None
        )
        if program is None:
            raise NotInstalledError("not installed")
        port = free_port()
        folder = self.directory / name
        folder.mkdir()
        settings = folder / "pgbouncer.ini"
        settings.write_text(_pgbouncer_ini(self.postgres, port, folder))
        (folder / "users.txt").write_text(f'"{USER}" ""\n')
        identity = _unprivileged(folder)
        process = subprocess.Popen(
            [program, "-q", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **identity,
        )
        return self._started(name, process, port)

    def _script(self, name: str) -> Target:
        """A peer that is a Python library: a few lines of ours serve the DuckDB file with it."""
        if importlib.util.find_spec(name) is None:
            raise NotInstalledError("not installed")
        port = free_port()
        log = (self.directory / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                f"tests.bench.peers.{name}_server",
                str(self.database),
                str(port),
            ],
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
        )
        log.close()
        return self._started(name, process, port)

    def _started(self, name: str, process: subprocess.Popen[bytes], port: int) -> Target:
        self._stack.callback(_end, process)
        wait_for(lambda: _listens(port) or process.poll() is not None, START_SECONDS, name)
        if process.poll() is not None:
            raise NotInstalledError(f"ended at once with code {process.returncode}")
        target = Target(name, "127.0.0.1", port, USER, DATABASE, process.pid)
        target.connect().close()
        return target


class NotInstalledError(Exception):
    """A peer cannot be measured here; the message says why."""


def open_field(directory: Path, peers: Mapping[str, bool]) -> Field:
    """Start what the measurements need below ``directory``."""
    directory.chmod(0o755)
    made = Field(directory, directory / "orders.duckdb", directory / "cubewire.yml")
    try:
        made.start(peers)
    except BaseException:
        made.close()
        raise
    return made


def configuration(made: Field, oracle: OraclePostgres) -> dict[str, Any]:
    """Our server's configuration: both warehouses, logins without passwords, the log on."""
    return {
        "database": DATABASE,
        "models": str(MODELS),
        "state_directory": str(made.directory / "state"),
        "server": {"port": 0, "max_connections": MAX_CONNECTIONS},
        "auth": {"method": "trust", "users": {USER: {"password": "bench"}}},
        "data_sources": {
            "default": {"type": "duckdb", "path": str(made.database)},
            "postgres": {"type": "postgres", "dsn": oracle.dsn},
        },
        "cache": {"memory_bytes": "1GiB", "max_entry_bytes": "256MiB"},
        "log": {"file": str(made.directory / "cubewire.log")},
    }


def _pgbouncer_ini(upstream: Target, port: int, folder: Path) -> str:
    return "\n".join(
        (
            "[databases]",
            f"{DATABASE} = host={upstream.host} port={upstream.port} "
            f"dbname={upstream.database} user={upstream.user}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {folder / 'users.txt'}",
            "pool_mode = transaction",
            "default_pool_size = 16",
            f"max_client_conn = {MAX_CONNECTIONS}",
            f"logfile = {folder / 'log'}",
            "",
        )
    )


def _unprivileged(folder: Path) -> dict[str, Any]:
    """pgbouncer refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    deadline = time.monotonic() + END_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
