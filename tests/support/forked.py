"""Servers forked by a process that has loaded Cubewire already: ``tests.support.preloaded``."""

from __future__ import annotations

import atexit
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

from tests.support.preloaded import REQUEST_BYTES


@dataclass(eq=False)
class ForkedProcess:
    """What ``subprocess.Popen`` is to a child, for a child of the process that forks."""

    pid: int
    stdout: TextIO
    stderr: TextIO
    _ended: io.FileIO
    _lock: threading.Lock
    returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, if it has ended; of a signal, its negative number."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises ``subprocess.TimeoutExpired``."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("cubewire", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._ended], [], [], seconds)[0]:
                self.returncode = int(self._ended.read())
                self._ended.close()
            return self.returncode


class _Nursery:
    """The process that forks. All threads may ask."""

    def __init__(self, folder: Path) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.preloaded"], stdin=theirs.fileno(), cwd=folder
            )

    def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> ForkedProcess:
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
        }
        (out, told), (err, complained), (ended, ends) = os.pipe(), os.pipe(), os.pipe()
        try:
            with self._lock:
                handles = [told, complained, ends]
                socket.send_fds(self._requests, [json.dumps(request).encode()], handles)
                process = int(self._requests.recv(REQUEST_BYTES))
        finally:
            for handle in (told, complained, ends):
                os.close(handle)
        return ForkedProcess(
            process,
            os.fdopen(out),
            os.fdopen(err),
            os.fdopen(ended, "rb", buffering=0),
            threading.Lock(),
        )

    def close(self) -> None:
        """Fork no more. What was forked goes on."""
        self._requests.close()
        self._process.wait()


@cache
def _nursery(folder: Path) -> _Nursery:
    nursery = _Nursery(folder)
    atexit.register(nursery.close)
    return nursery


def fork_command(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> ForkedProcess:
    """Run ``cubewire``.

    Args:
        arguments: of the process, the command itself first.
        environment: all of it.
        folder: it runs in.
    """
    return _nursery(folder).fork(arguments, environment, folder)
