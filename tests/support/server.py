"""Our own server in a process of its own, started as its user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.forked import ForkedProcess, fork_command

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
EARLY = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
"""Beginnings of variables that are read when a process starts or loads its modules."""
COMMAND = str(Path(sys.executable).parent / "cubewire")


@dataclass(slots=True)
class RunningServer:
    """A server that has printed ``ready``.

    Attributes:
        dsn: as printed, with the demo's login.
        log: what it wrote to standard error so far.
    """

    process: subprocess.Popen[str] | ForkedProcess
    dsn: str
    log: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return urlsplit(self.dsn).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.dsn).port or 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Signal it and wait. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def start_server(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    module: str = "",
    *,
    fresh: bool = False,
) -> RunningServer:
    """Run ``cubewire serve`` with these arguments and wait for its ``ready`` line.

    Args:
        arguments: behind ``serve``.
        environment: besides ours.
        module: of the tests that stands in for the command.
        fresh: in an interpreter of its own, which has to load everything, as a user starts it;
            else forked by a process that has.
    """
    more = environment or {}
    if module or fresh or any(name.startswith(EARLY) for name in more):
        command = [sys.executable, "-m", module] if module else [COMMAND]
        process: subprocess.Popen[str] | ForkedProcess = subprocess.Popen(
            [*command, "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, **more},
        )
    else:
        words = [COMMAND, "serve", *arguments]
        process = fork_command(words, {**os.environ, **more}, REPOSITORY)
    log: list[str] = []
    assert process.stderr is not None
    threading.Thread(target=_collect, args=(process.stderr, log), daemon=True).start()
    timer = threading.Timer(READY_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if not line.startswith("ready "):
        process.kill()
        process.wait()
        process.stdout.close()
        raise RuntimeError("the server did not start:\n" + "".join(log))
    return RunningServer(process, line.split(maxsplit=1)[1].strip(), log)


def _collect(stream: object, log: list[str]) -> None:
    with stream as lines:  # type: ignore[attr-defined]
        log.extend(lines)
