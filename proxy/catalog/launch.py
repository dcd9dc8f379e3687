"""Starting a postgres process that cannot outlive this one.

A few lines of Python run between us and postgres: they take on the child's user, limit its memory,
and ask the kernel for SIGQUIT (PostgreSQL's immediate shutdown) at our death. Doing this in a small
program instead of a hook after fork keeps the parent, which has threads, out of the way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.catalog.binaries import Binaries, Identity

_WRAPPER = """
import ctypes, os, resource, signal, sys
uid, gid, parent, memory = (int(word) for word in sys.argv[1:5])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if memory:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (OSError, ValueError):
        pass
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGQUIT), 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[5], sys.argv[5:])
"""


def environment(data: Path) -> dict[str, str]:
    """The child's whole environment: nothing of ours but what a program needs to start."""
    kept = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": "UTC", "LC_ALL": "C"}
    library_path = os.environ.get("LD_LIBRARY_PATH")
    if library_path:
        kept["LD_LIBRARY_PATH"] = library_path
    return {**kept, "HOME": str(data), "PGDATA": str(data)}


def launch(
    binaries: Binaries,
    identity: Identity,
    data: Path,
    sockets: Path,
    log: Path,
    settings: Mapping[str, str],
    memory_limit_mb: int,
) -> subprocess.Popen[bytes]:
    """Start postgres on ``data``, listening in the directory ``sockets`` only.

    Must be called from a thread that lives as long as the child shall: the kernel watches the
    thread that forked.
    """
    options: list[str] = []
    for name, value in {**settings, "unix_socket_directories": str(sockets)}.items():
        options += ["-c", f"{name}={value}"]
    command = [binaries.program("postgres"), "-D", str(data), *options]
    uid = -1 if identity.uid is None else identity.uid
    gid = -1 if identity.gid is None else identity.gid
    limits = [str(uid), str(gid), str(os.getpid()), str(memory_limit_mb * 1024 * 1024)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WRAPPER, *limits, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=data,
            env=environment(data),
            start_new_session=True,  # a Ctrl-C in our terminal is not the child's
        )


def run_program(command: Sequence[str], identity: Identity, directory: Path) -> None:
    """Run one of PostgreSQL's programs to its end as the child's user."""
    subprocess.run(
        list(command),
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd=directory,
        env=environment(directory),
        user=identity.uid,
        group=identity.gid,
        extra_groups=None if identity.uid is None else [],
    )


async def exited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process; its return code."""
    loop = asyncio.get_running_loop()
    if process.poll() is None and hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(process.pid)
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    while process.poll() is None:
        await asyncio.sleep(0.05)
    return process.returncode


async def stop(process: subprocess.Popen[bytes], how: signal.Signals, timeout: float) -> None:
    """Signal a postgres process and wait for its end, by force after ``timeout`` seconds."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        async with asyncio.timeout(timeout):
            await exited(process)
    except TimeoutError:
        process.kill()
        await exited(process)
