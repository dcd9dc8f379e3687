"""The parent of several workers: starts them, forwards signals, and names the ones that die.

Each worker is a process of its own with the same command line and a number. They listen on the same
port (SO_REUSEPORT), so the kernel spreads the clients; the parent takes none.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from proxy.config import Config
from proxy.observability.log import open_log

logger = logging.getLogger("cubewire.workers")

RESTART_SECONDS = 1.0
"""Pause before a worker that died is started again, so that a crash at start cannot spin."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ENDED_BY_SIGNAL = frozenset(128 + number for number in _SIGNALS)


@dataclass(slots=True)
class _Worker:
    """One worker's process; another one after a restart."""

    number: int
    process: asyncio.subprocess.Process | None = None
    ready: str | None = None


@dataclass(slots=True)
class Workers:
    """The family of one ``cubewire serve --workers N``.

    Attributes:
        command: what starts a worker, without its number.
        count: how many there are.
    """

    command: Sequence[str]
    count: int
    _stopping: bool = False
    _announced: bool = False
    _workers: list[_Worker] = field(default_factory=list)

    async def run(self) -> int:
        """Run until a signal stops the workers; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._forward, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._workers = [_Worker(number) for number in range(self.count)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._keep(worker), name=f"worker {worker.number}")
                for worker in self._workers
            ]
        return max(task.result() for task in tasks)

    async def _keep(self, worker: _Worker) -> int:
        """Run one worker, again after each death; return the last exit code."""
        while True:
            code = await self._run_once(worker)
            if self._is_stopping():
                # One that had not come as far as handling signals was ended by ours.
                return 0 if code in _ENDED_BY_SIGNAL else code
            if worker.ready is None:
                # It never served: another try would fail as this one did.
                logger.error("worker did not start", extra=_fields(worker, code))
                self._forward(signal.SIGTERM)
                return code or 1
            logger.error("worker died, starting another", extra=_fields(worker, code))
            worker.ready = None
            await asyncio.sleep(RESTART_SECONDS)
            if self._is_stopping():
                return 0

    async def _run_once(self, worker: _Worker) -> int:
        # A session of its own: a terminal's Ctrl-C must reach a worker once, through the parent.
        # Its standard input is a pipe that ends when the parent does, however that happens.
        process = await asyncio.create_subprocess_exec(
            *self.command,
            "--worker",
            str(worker.number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        worker.process = process
        if self._is_stopping():
            self._send(worker, signal.SIGTERM)
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            if text.startswith("ready ") and worker.ready is None:
                worker.ready = text
                self._announce()
            elif text.startswith("{"):
                print(text, flush=True)  # a line of an audit trail
        code = await process.wait()
        worker.process = None
        return code if code >= 0 else 128 - code

    def _announce(self) -> None:
        first = self._workers[0].ready
        if self._announced or any(worker.ready is None for worker in self._workers):
            return
        self._announced = True
        print(first, flush=True)

    def _is_stopping(self) -> bool:
        return self._stopping

    def _forward(self, number: signal.Signals) -> None:
        self._stopping = True
        for worker in self._workers:
            self._send(worker, number)

    def _reload(self) -> None:
        """Each worker loads the model anew for itself; one that is starting does so anyhow."""
        for worker in self._workers:
            if worker.ready is not None:
                self._send(worker, signal.SIGHUP)

    def _send(self, worker: _Worker, number: signal.Signals) -> None:
        if worker.process is not None:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)


def supervise(config: Config, texts: Sequence[str]) -> int:
    """Run the workers of a configuration until a signal; return the exit code.

    Args:
        config: its port is resolved here, so that all workers share the one that 0 picks.
        texts: the command line after ``cubewire``, which each worker is given too.
    """
    log = open_log(config.log)
    try:
        with _reserved(config) as port, tempfile.TemporaryDirectory(prefix="cubewire-") as folder:
            command = _command(texts, port, Path(folder))
            return asyncio.run(Workers(command, config.server.workers).run())
    finally:
        log.close()


def _command(texts: Sequence[str], port: int, folder: Path) -> list[str]:
    own = ["--port", str(port), "--run-directory", str(folder)]
    return [sys.executable, "-m", "proxy.cli", *texts, *own]


@contextmanager
def _reserved(config: Config) -> Iterator[int]:
    """Keep the port bound, without listening, for as long as the workers run."""
    address = config.server.host, config.server.port
    family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
    with socket.socket(family, socket.SOCK_STREAM) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(address)
        yield int(reserved.getsockname()[1])


def _fields(worker: _Worker, code: int) -> dict[str, object]:
    return {"fields": {"worker": worker.number, "exit_code": code}}
