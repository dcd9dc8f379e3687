"""The template cluster: initialised and locked down once, copied at every start.

A copy takes a tenth of a second where initdb and the restrictions take one. The template is kept
under a name made of everything that went into it, so a changed recipe makes a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from proxy.catalog import lockdown
from proxy.catalog.binaries import Binaries, Identity
from proxy.catalog.connection import Address, ChildConnection, connect
from proxy.catalog.errors import CatalogError
from proxy.catalog.launch import launch, run_program, stop

SOCKET_NAME = ".s.PGSQL.5432"
START_TIMEOUT = 20.0
"""Seconds a fresh postgres may take until it accepts connections."""

LOCALES = ("C.UTF-8", "C")
"""Code point order, with Unicode upper and lower case where the system has the first."""

KEEP_SECONDS = 30 * 24 * 3600
"""How long a template is kept that nobody uses."""

_BUILDING = ".building-"
_INITDB = ("--auth=trust", "--no-sync", "--no-instructions", "--encoding=UTF8", "--wal-segsize=1")


def default_directory() -> Path:
    """Where templates are kept unless configured."""
    cache = os.environ.get("XDG_CACHE_HOME")
    root = Path(cache) if cache else Path.home() / ".cache"
    return root / "cubewire"


def template_name(binaries: Binaries, identity: Identity, database: str) -> str:
    """A name that changes with whatever changes the template's contents."""
    recipe = repr(
        (
            binaries.version,
            platform.machine(),
            identity.uid if identity.uid is not None else os.geteuid(),
            _INITDB,
            LOCALES,
            lockdown.configuration(),
            lockdown.rename_database(database),
            lockdown.drop_templates(),
            lockdown.restrictions(),
            lockdown.marker_functions("pg_catalog"),
            lockdown.BACKEND_PID,
            lockdown.owner_roles(),
        )
    )
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return f"catalog-{binaries.version}-{digest}"


async def make_data_directory(
    target: Path, binaries: Binaries, identity: Identity, database: str, templates: Path
) -> None:
    """Fill ``target`` (which does not exist yet) with a locked-down cluster.

    Made from the kept template; where none can be kept, the cluster is made in place.
    """
    name = template_name(binaries, identity, database)
    kept = templates / name
    if not kept.is_dir():
        await _build(target, binaries, identity, database)
        await asyncio.to_thread(_keep, target, kept)
        return
    await asyncio.to_thread(_copy, kept, target)
    with contextlib.suppress(OSError):
        os.utime(kept)


def _copy(source: Path, target: Path) -> None:
    # cp keeps owners and modes, and is several times faster than copying from Python.
    try:
        subprocess.run(["cp", "-a", str(source), str(target)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CatalogError("58030", f"could not copy the template cluster: {error}") from error


def _keep(data: Path, kept: Path) -> None:
    """Keep a copy of a finished cluster; a place that cannot be written to is not an error."""
    temporary: Path | None = None
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=kept.parent))
        _copy(data, temporary / "data")
        (temporary / "data").rename(kept)
        _prune(kept.parent)
    except (OSError, CatalogError):
        # Another process may have kept the same template in the meantime: theirs is as good.
        return
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _prune(templates: Path) -> None:
    """Remove what no start has used for long: templates of other versions, half-made ones."""
    oldest = time.time() - KEEP_SECONDS
    for entry in (*templates.glob("catalog-*"), *templates.glob(f"{_BUILDING}*")):
        if entry.stat().st_mtime < oldest:
            shutil.rmtree(entry, ignore_errors=True)


async def _build(data: Path, binaries: Binaries, identity: Identity, database: str) -> None:
    await asyncio.to_thread(_initdb, data, binaries, identity)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(lockdown.configuration())
    sockets = data.parent
    log = data.parent / "initialise.log"
    process = launch(binaries, identity, data, sockets, log, {"max_connections": "10"}, 0)
    address = Address(socket=str(sockets / SOCKET_NAME))
    try:
        await _prepare(process, address, database, log)
    finally:
        await stop(process, signal.SIGINT, START_TIMEOUT)


def _initdb(data: Path, binaries: Binaries, identity: Identity) -> None:
    problem = ""
    for locale in LOCALES:
        arguments = ["-D", str(data), "-U", lockdown.BOOTSTRAP_ROLE, *_INITDB, f"--locale={locale}"]
        try:
            run_program([binaries.program("initdb"), *arguments], identity, data.parent)
        except (OSError, subprocess.CalledProcessError) as error:
            output = getattr(error, "stderr", None)
            problem = output.decode(errors="replace") if output else str(error)
            shutil.rmtree(data, ignore_errors=True)
        else:
            return
    raise CatalogError("58000", "initdb failed", detail=problem.strip())


async def _prepare(
    process: subprocess.Popen[bytes], address: Address, database: str, log: Path
) -> None:
    first = await wait_until_ready(process, address, lockdown.BOOTSTRAP_ROLE, "template1", log)
    await first.execute(lockdown.rename_database(database))
    first.close()
    admin = await connect(address, lockdown.BOOTSTRAP_ROLE, database)
    for statement in lockdown.drop_templates():
        await _patiently(admin, statement)
    await admin.execute(lockdown.restrictions())
    await admin.execute(lockdown.marker_functions("pg_catalog"))
    await admin.execute(lockdown.BACKEND_PID)
    for statement in lockdown.owner_roles():
        await admin.execute(statement)
    await admin.execute("VACUUM FULL pg_catalog.pg_proc; ")
    await admin.execute("VACUUM (FREEZE, ANALYZE)")
    await admin.execute("CHECKPOINT")
    admin.close()


async def _patiently(admin: ChildConnection, statement: str) -> None:
    # The connection to template1 has been closed but its process may not have gone yet (55006).
    for _ in range(100):
        try:
            await admin.execute(statement)
        except CatalogError as error:
            if error.sqlstate != "55006":
                raise
            await asyncio.sleep(0.02)
        else:
            return
    raise CatalogError("55006", f"the catalog could not be prepared: {statement}")


async def wait_until_ready(
    process: subprocess.Popen[bytes], address: Address, user: str, database: str, log: Path
) -> ChildConnection:
    """Connect as soon as a process that was just started accepts it."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            return await connect(address, user, database)
        except OSError:
            pass
        except CatalogError as error:
            if error.sqlstate not in ("57P03", "08006"):
                raise
        if process.poll() is not None or time.monotonic() > deadline:
            raise CatalogError("58000", "the catalog PostgreSQL did not start", detail=_tail(log))
        await asyncio.sleep(0.005)


def _tail(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-2000:].strip()
    except OSError:
        return ""
