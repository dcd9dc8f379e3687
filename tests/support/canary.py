"""A second client that shows whether a server still serves while something is done to it.

It runs in a process of its own, so that what a test does does not slow it down: one statement every
20 milliseconds, in turn one that the catalog answers and one over a cube.
"""

from __future__ import annotations

import _thread
import argparse
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.wire import backend
from tests.support.addresses import Address
from tests.support.raw_client import RawClient

REPOSITORY = Path(__file__).resolve().parents[2]
PAUSE = 0.02
ALIVE_SECONDS = 0.25
"""What most statements take at most while a server is alive."""
STALL_SECONDS = 4.0
"""What none may take: a server that computes for somebody else in its event loop takes longer.

The bounds tell a server that stands still from one that shares a busy machine; how fast it is, the
benchmark says.
"""
MACHINE_SECONDS = 0.1
"""A pause of this length that the machine itself made is not the server's."""
_PROCESSORS = os.cpu_count() or 1


def slowness() -> float:
    """How much longer things take because others use the machine too: 1 where nobody does.

    The load is an average of a minute, so that the tests' own workers are counted besides.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(1.0, os.getloadavg()[0] / _PROCESSORS, workers / _PROCESSORS)


@dataclass
class Canary:
    """Use as a context manager around what is done to the server; then `check`.

    For many things that are done one after the other it may sing all the time: then `listen`
    before each, and `check` after it.

    Attributes:
        latencies: seconds per statement.
        errors: what went wrong, in words.
        stalls: seconds that the canary itself was kept from running, where it was.
    """

    address: Address
    cube_query: str = "SELECT COUNT(*) FROM tiny"
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        address = self.address
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.support.canary"),
                *(address.host, str(address.port), address.user, address.password),
                *(address.database, self.cube_query),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # logged in, and warm
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        try:
            text, _ = self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            text, _ = self._process.communicate()
            self.errors.append("hangs")
        self._process = None
        self._take(text)

    def listen(self) -> None:
        """Take what it has sung since the last time."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.errors = []
        self._take(self._process.stdout.readline())

    def _take(self, text: str) -> None:
        self.latencies, self.stalls = [], []
        if text:
            told = json.loads(text)
            self.latencies, self.stalls = told["latencies"], told["stalls"]
            self.errors += told["errors"]

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the statements was answered."""
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(len(ordered) * share) - 1)]

    def check(self, seconds: float = ALIVE_SECONDS) -> None:
        """It was alive all the time; where it still sings, since it was listened to."""
        if self._process is not None:
            self.listen()
        assert self.errors == []
        assert self.latencies, "the canary never sang"
        told = (
            f"median {self.percentile(0.5):.3f} s, worst {max(self.latencies):.3f} s"
            f" of {len(self.latencies)}; the machine stood still for {self.stalls}"
        )
        assert self.percentile(0.5) < seconds * slowness(), told
        assert self.percentile(0.99) < STALL_SECONDS * slowness(), told


def sing(
    client: RawClient,
    statements: tuple[str, ...],
    told: dict[str, list[object]],
    asked: threading.Event,
) -> None:
    """Ask in turn until standard input ends, which a thread turns into a signal."""
    turn = 0
    while True:
        if asked.is_set():
            asked.clear()
            print(json.dumps(told), flush=True)
            for each in told.values():
                each.clear()
        started = time.monotonic()
        answers = client.query(statements[turn % len(statements)])
        told["latencies"].append(time.monotonic() - started)
        if not answers or not isinstance(answers[-1], backend.ReadyForQuery):
            told["errors"].append("connection closed")
            return
        for answer in answers:
            if isinstance(answer, backend.ErrorResponse):
                told["errors"].append(answer.fields["M"])
        turn += 1
        slept = time.monotonic()
        time.sleep(PAUSE)
        overslept = time.monotonic() - slept - PAUSE
        if overslept > MACHINE_SECONDS:
            told["stalls"].append(overslept)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("host", "port", "user", "password", "database", "cube_query"):
        parser.add_argument(name)
    given = parser.parse_args()
    told: dict[str, list[object]] = {"latencies": [], "errors": [], "stalls": []}
    asked = threading.Event()
    # A shell ignores it in what it starts in the background, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with RawClient.connect(given.host, int(given.port), 30) as client:
            client.startup(given.user, given.database, given.password)
            statements = ("SELECT 1", given.cube_query)
            for statement in statements * 3:
                client.query(statement)
            print("singing", flush=True)
            threading.Thread(target=_read_input, args=[asked], daemon=True).start()
            sing(client, statements, told, asked)
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
        told["errors"].append(f"{type(error).__name__}: {error}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps(told))


def _read_input(asked: threading.Event) -> None:
    """A line asks for what was sung, the end of input for the end."""
    for _ in sys.stdin:
        asked.set()
    _thread.interrupt_main()


if __name__ == "__main__":
    main()
