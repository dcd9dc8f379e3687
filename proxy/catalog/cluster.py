"""The child PostgreSQL: made, started, watched, restarted and removed.

Its directory is private and disposable. When the child dies it is started again on the same data,
so that OIDs which clients remember stay true; where that fails it is made anew and ``on_rebuilt``
is called to fill it. ``on_died`` is called before either, to end the processes left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.catalog import lockdown
from proxy.catalog.binaries import Binaries, Identity, find_postgres, identity_for, reachable
from proxy.catalog.connection import Address
from proxy.catalog.errors import CatalogError
from proxy.catalog.launch import exited, launch, stop
from proxy.catalog.options import CatalogOptions
from proxy.catalog.template import (
    SOCKET_NAME,
    default_directory,
    make_data_directory,
    wait_until_ready,
)

logger = logging.getLogger("cubewire.catalog")

PREFIX = "cubewire-catalog-"
RESTART_ATTEMPTS = 20
"""Starts on the same data before they are given up: processes orphaned by the dead postmaster may
hold its shared memory for some milliseconds."""

STOP_TIMEOUT = 5.0
SPARE_CONNECTIONS = 20
"""Connections above the pools' bounds: the owner's, cancel requests, and those still closing."""


class EmbeddedServer:
    """A PostgreSQL of our own.

    Attributes:
        address: where it listens.
        database: its only database.
        owner: the superuser.
        analyst: the role for analysis.
        markers: the schema of the marker functions.
        roles_on_demand: clients log in as roles of their own.
        superuser: whether the owner is one.
    """

    markers = "pg_catalog"
    owner = lockdown.OWNER
    analyst = lockdown.ANALYST
    roles_on_demand = True
    superuser = True

    def __init__(
        self,
        options: CatalogOptions,
        on_died: Callable[[], None],
        on_rebuilt: Callable[[], Awaitable[None]],
    ) -> None:
        self.address = Address(socket="")
        self.database = options.database
        self._options = options
        self._on_died = on_died
        self._on_rebuilt = on_rebuilt
        self._ready = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._directory = Path()
        self._lock = -1
        self._identity = Identity()
        self._binaries = Binaries(Path(), "")

    async def start(self) -> None:
        """Make the cluster and start it."""
        options = self._options
        self._binaries = await asyncio.to_thread(find_postgres, options.binaries)
        self._identity = identity_for(options.run_as)
        parent = options.directory or Path(tempfile.gettempdir())
        try:
            parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(remove_stale, parent, self._identity)
            self._make_directory(parent)
            await self._build()
            await self._launch()
        except OSError as error:
            await self.close()
            raise CatalogError("58030", f"the catalog could not be made: {error}") from error
        except BaseException:
            await self.close()
            raise
        self._ready.set()
        self._watcher = asyncio.create_task(self._watch(), name="catalog-supervisor")

    def address_of(self, user: str) -> Address:
        """Where to log in as ``user``: the same for all, the directory being private."""
        del user
        return self.address

    async def wait_ready(self) -> None:
        """Wait until the server accepts connections and holds the model."""
        await self._ready.wait()

    def temporary_bytes(self, schema: str) -> int | None:
        """Bytes of the files of a temporary schema, whose number their names begin with."""
        prefix = f"t{schema.removeprefix('pg_temp_')}_"
        total = 0
        for directory in (self._data / "base").iterdir():
            with contextlib.suppress(OSError), os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name.startswith(prefix):
                        with contextlib.suppress(OSError):
                            total += entry.stat().st_size
        return total

    async def close(self) -> None:
        """Stop the child and remove its directory."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self._process is not None:
            # Immediate: there is nothing to be saved.
            await stop(self._process, signal.SIGQUIT, STOP_TIMEOUT)
            self._process = None
        if self._directory != Path():
            await asyncio.to_thread(shutil.rmtree, self._directory, True)
            self._directory = Path()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def process_id(self) -> int | None:
        """The postmaster's process id."""
        return None if self._process is None else self._process.pid

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _make_directory(self, parent: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._take_lock()
        while not self._directory.is_dir():
            # Another server took it for a dead owner's before it was locked.
            os.close(self._lock)
            self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._take_lock()
        self._identity.own(self._directory)
        self.address = Address(socket=str(self._directory / SOCKET_NAME))
        if len(self.address.socket or "") > 100:
            raise CatalogError(
                "22023",
                f"the path of the catalog's directory is too long: {parent}",
                hint="A Unix socket's path has at most 107 bytes; configure a shorter one.",
            )
        if not self._identity.may_read(self._directory):
            raise CatalogError(
                "42501",
                f'"{self._options.run_as}" cannot reach the catalog\'s directory in {parent}',
                hint="Configure a directory that this operating-system user can enter.",
            )

    def _take_lock(self) -> None:
        # A lock on the directory itself also keeps systemd-tmpfiles from tidying it up.
        self._lock = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    async def _build(self) -> None:
        self._binaries = await asyncio.to_thread(
            reachable, self._binaries, self._identity, self._directory
        )
        templates = self._options.template_directory or default_directory()
        await make_data_directory(
            self._data, self._binaries, self._identity, self._options.database, templates
        )

    async def _launch(self) -> None:
        options = self._options
        connections = (
            options.backends
            + options.analysis_backends
            + options.private_backends
            + SPARE_CONNECTIONS
        )
        log = self._directory / "postgres.log"
        self._process = launch(
            self._binaries,
            self._identity,
            self._data,
            self._directory,
            log,
            {"max_connections": str(connections)},
            options.memory_limit_mb,
        )
        try:
            probe = await wait_until_ready(
                self._process, self.address, self.owner, self.database, log
            )
        except BaseException:
            await stop(self._process, signal.SIGQUIT, STOP_TIMEOUT)
            raise
        probe.close()

    async def _watch(self) -> None:
        while self._process is not None:
            code = await exited(self._process)
            self._ready.clear()
            logger.warning("the catalog PostgreSQL ended with code %s; restarting it", code)
            self._on_died()
            await self._revive()
            self._ready.set()

    async def _revive(self) -> None:
        for attempt in range(RESTART_ATTEMPTS):
            try:
                await self._launch()
            except (CatalogError, OSError) as error:
                logger.debug("restart %s of the catalog failed: %s", attempt + 1, error)
                if not self._data.is_dir():
                    break
                await asyncio.sleep(0.05)
            else:
                return
        await self._rebuild()

    async def _rebuild(self) -> None:
        pause = 0.1
        while True:
            logger.warning("the catalog's data could not be started again; making them anew")
            try:
                await self._clear()
                await self._build()
                await self._launch()
                await self._on_rebuilt()
            except (CatalogError, OSError) as error:
                logger.error("the catalog could not be made anew: %s", error)  # noqa: TRY400
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    async def _clear(self) -> None:
        """Leave an empty directory, our own still."""
        if not self._directory.is_dir():
            os.close(self._lock)
            self._directory.mkdir(mode=0o700)
            self._take_lock()
        self._identity.own(self._directory)
        for entry in self._directory.iterdir():
            if entry.is_dir():
                await asyncio.to_thread(shutil.rmtree, entry, True)
            else:
                entry.unlink(missing_ok=True)


def remove_stale(parent: Path, identity: Identity) -> None:
    """Remove directories whose owner died without removing them.

    An owner holds a lock on its directory for as long as it lives. The child of a dead owner has
    died with it (see ``launch``).
    """
    owners = {os.geteuid(), identity.uid}
    for directory in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid in owners:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
