"""Logins with a password inside TLS: how many a second, and what an idle session takes.

TLS sessions are new ones: as PostgreSQL does, the server lets none be taken up again.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator

from tests.bench import machine
from tests.bench.pace import Pace
from tests.bench.results import Figure
from tests.bench.secure_client import Login
from tests.bench.targets import CUBEWIRE, DATABASE, USER, Field, Target

IDLE = 5_000
AT_A_TIME = 8
WARM_UP = 50
KILOBYTE = 1000
MILLISECONDS = 1000
PASSWORD = "bench"


def measure(field: Field, pace: Pace) -> Iterator[Figure]:
    """See the module. The server is one worker of its own, fresh."""
    config = field.configured(
        auth={"users": {USER: {"password": PASSWORD}}},
        server={"port": 0, "max_connections": IDLE + 100},
    )
    target = field.start_with(config)
    open_many(login(target), WARM_UP)
    count = 500 if pace.quick else 3000
    began, spent = time.perf_counter(), machine.processor_seconds(target.pid)
    open_many(login(target), count)
    rate = count / (time.perf_counter() - began)
    spent = (machine.processor_seconds(target.pid) - spent) / count * MILLISECONDS
    yield Figure("secure", f"logins, {AT_A_TIME} at a time", CUBEWIRE, rate, "/s")
    yield Figure("secure", "processor time of a login", CUBEWIRE, spent, "ms")
    yield Figure("secure", f"idle, of {IDLE:,}", CUBEWIRE, idle(target), "KB")


def login(target: Target) -> Login:
    return Login(target.host, target.port, USER, DATABASE, PASSWORD)


def open_many(user: Login, count: int) -> None:
    """Log in and close again so many times."""
    _opened(user, count, close=True)


def idle(target: Target) -> float:
    """KB that a session takes which has logged in and waits."""
    base = machine.settled_memory(target.pid)
    held = _opened(login(target), IDLE, close=False)
    try:
        return (machine.settled_memory(target.pid) - base) / IDLE / KILOBYTE
    finally:
        for connection in held:
            connection.close()


def _opened(user: Login, count: int, *, close: bool) -> list[ssl.SSLSocket]:
    held: list[ssl.SSLSocket] = []
    failed: list[BaseException] = []
    left = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        try:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                connection = user.connect()
                if close:
                    connection.close()
                else:
                    held.append(connection)
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(AT_A_TIME)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return held
