"""How long ``select 1`` takes beside others' heavy work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import client, machine
from tests.bench.data import FEW
from tests.bench.pace import Pace
from tests.bench.results import Figure
from tests.bench.targets import BUENAVISTA, CUBEWIRE, PGBOUNCER, POSTGRES, RIFFQ, Field, Target
from tests.support.server import REPOSITORY

SLOW = "SELECT country, SUM(amount), COUNT(*) FROM orders_slow GROUP BY country"
STREAM = "SELECT id, status, country, amount, created_at FROM orders"
PROBES = (("select 1", "SELECT 1", 1), ("5 rows", "SELECT status, amount FROM orders_few", FEW))
SETTLE_SECONDS = 1.0
PAUSE_SECONDS = 0.01


def measure(field: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds of a tiny query, asked every 10 ms while other connections are busy."""
    everyone = field.in_turn(POSTGRES, CUBEWIRE, PGBOUNCER, BUENAVISTA, RIFFQ)
    seconds = 3.0 if pace.quick else 10.0
    for label, sql, rows in PROBES:
        suffix = "" if label == "select 1" else f" ({label})"
        targets = everyone if not suffix else field.in_turn(POSTGRES, CUBEWIRE)
        for what, load, connections in (
            ("4 slow queries", SLOW, 4),
            ("2 streams", STREAM, 2),
        ):
            for target in targets:
                case = f"beside {what}"
                try:
                    with busy(target, load, connections):
                        took = probe(target, sql, rows, seconds)
                except (client.ReplyError, OSError) as error:
                    name = f"{case}, p50{suffix}"
                    yield Figure("neighbours", name, target.name, None, "ms", error=str(error))
                    continue
                for percent in (50, 99):
                    value = machine.percentile(took, percent) * 1000
                    name = f"{case}, p{percent}{suffix}"
                    yield Figure("neighbours", name, target.name, value, "ms")


def probe(target: Target, sql: str, rows: int, seconds: float) -> list[float]:
    """Seconds that each of many tiny queries took."""
    connection = target.connect()
    request = client.simple(sql)
    took = []
    try:
        connection.ask(request, rows)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            took.append(connection.ask(request, rows))
            time.sleep(PAUSE_SECONDS)
    finally:
        connection.close()
    return took


@contextmanager
def busy(target: Target, sql: str, connections: int) -> Iterator[None]:
    """Connections of another process that ask the same heavy thing again and again.

    Raises ReplyError where the server does not answer it.
    """
    check = target.connect()
    try:
        check.stream(client.simple(sql))
    finally:
        check.close()
    where = [target.host, str(target.port), target.user, target.database]
    command = [sys.executable, "-m", "tests.bench.load", *where, str(connections), sql]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE)
    try:
        time.sleep(SETTLE_SECONDS)
        yield
        if process.poll() is not None:
            raise client.ReplyError("the load ended early")
    finally:
        process.kill()
        process.communicate()
