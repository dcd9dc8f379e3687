"""Test 32: a warehouse that is killed, restarted, silent or slow.

What runs on it fails with a clear SQLSTATE in time and never ends early as if it were whole; what
is cached is served; sessions go on; and soon after the warehouse is back, so are its answers.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.reliability.support import address
from tests.support.canary import Canary, slowness
from tests.support.waiting import until
from tests.warehouse.support import ROWS, Scene, scene

LOST = {"08006", "57P01", "57P02", "57P03"}
RECOVERY_SECONDS = 5.0
LONG = bool(os.environ.get("WAREHOUSE_FAULTS_LONG"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("faults")) as made:
        with made.connect() as client:
            for cached in ("kept", "keyed"):
                client.execute(f"SELECT id, label FROM {cached}".encode())
        yield made


class Running(threading.Thread):
    """A statement in a session of its own; afterwards what became of both."""

    def __init__(self, scenery: Scene, sql: str, timeout: str = "0") -> None:
        super().__init__(daemon=True, name=sql)
        self._scene, self._sql, self._timeout = scenery, sql, timeout
        self.sqlstate: str | None = None
        self.rows = 0
        self.seconds = 0.0
        self.began = threading.Event()
        self.session_goes_on = False
        self.start()

    def run(self) -> None:
        with self._scene.connect() as connection:
            connection.execute(f"SET statement_timeout = '{self._timeout}'".encode())
            started = time.monotonic()
            try:
                with connection.cursor() as cursor:
                    self.began.set()
                    for _ in cursor.stream(self._sql.encode()):
                        self.rows += 1
            except psycopg.Error as error:
                self.sqlstate = error.sqlstate
            self.seconds = time.monotonic() - started
            connection.execute("SELECT 1")
            letters = connection.execute("SELECT COUNT(*) FROM tiny").fetchone()
            self.session_goes_on = letters == (10,)

    def end(self, seconds: float) -> Running:
        self.join(seconds * slowness())
        assert not self.is_alive(), f"still runs: {self._sql}"
        assert self.session_goes_on
        return self


def outcome(scenery: Scene, sql: str) -> Any:
    with scenery.connect() as client:
        try:
            return client.execute(sql.encode()).fetchall()
        except psycopg.Error as error:
            return error.sqlstate


def check_outage(scenery: Scene) -> None:
    """What is asked of a warehouse that is down: an error at once, or what is cached."""
    started = time.monotonic()
    assert outcome(scenery, "SELECT label FROM fresh") in LOST
    assert time.monotonic() - started < 8 * slowness()
    for cached in ("kept", "keyed"):
        assert outcome(scenery, f"SELECT id, label FROM {cached}") == [(1, "kept")]


def check_recovery(scenery: Scene) -> None:
    """Answers come again, no error was kept, and nothing holds a slot."""
    started = time.monotonic()
    while (answer := outcome(scenery, "SELECT label FROM fresh")) != [("kept",)]:
        assert answer in LOST, answer
        assert time.monotonic() - started < RECOVERY_SECONDS * slowness()
        time.sleep(0.05)
    # The whole pool is healthy, not one connection of it.
    threads = [Running(scenery, f"SELECT nap AS n{n} FROM blinks") for n in range(8)]
    for each in threads:
        assert each.end(20).sqlstate is None
    while scenery.in_use() > 0 or scenery.metrics()["cubewire_warehouse_up"] != 1:
        assert time.monotonic() - started < (RECOVERY_SECONDS + 20) * slowness()
        time.sleep(0.05)


def strike(scenery: Scene, blow: Callable[[], None], *, timeout: str = "0") -> list[Running]:
    """Do something to the warehouse while a statement waits there and another one streams."""
    waits = Running(scenery, "SELECT nap FROM naps", timeout)
    streams = Running(scenery, "SELECT id, label FROM rows", timeout)
    while streams.rows < 1000 and streams.is_alive():
        time.sleep(0.01)
    assert waits.began.wait(60)
    time.sleep(0.3)
    blow()
    return [waits, streams]


def until_there(scenery: Scene, view: str) -> None:
    """Wait until the warehouse runs a statement that reads a view."""
    running = (
        "SELECT count(*) FROM pg_stat_activity"
        f" WHERE state = 'active' AND query LIKE '%{view}%' AND pid <> pg_backend_pid()"
    )
    until(lambda: scenery.warehouse.run(running) != 0)


def check_lost(running: list[Running], seconds: float, states: set[str]) -> None:
    for each in running:
        assert each.end(seconds + 15).sqlstate in states, each.sqlstate
        assert each.rows < ROWS
        assert each.seconds < (seconds + 5) * slowness()


def test_killed(scenery: Scene) -> None:
    with Canary(address(scenery.server)) as canary:
        running = strike(scenery, lambda: scenery.warehouse.end(signal.SIGKILL))
        check_lost(running, 8, LOST)
        check_outage(scenery)
        scenery.warehouse.start()
        check_recovery(scenery)
    canary.check()


def test_immediate_restart(scenery: Scene) -> None:
    """As short as it is, most statements only wait for it."""

    def restart() -> None:
        scenery.warehouse.end(signal.SIGQUIT)
        scenery.warehouse.start()

    waits, streams = strike(scenery, restart)
    # What had had rows is lost.
    assert streams.end(20).sqlstate in LOST
    assert streams.rows < ROWS
    # What had had none was begun again, if the warehouse was back by then.
    assert outcome(scenery, "SELECT label FROM fresh") == [("kept",)]
    if waits.is_alive():
        scenery.warehouse.run(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%naps%' AND pid <> pg_backend_pid()"
        )
    assert waits.end(20).sqlstate in {*LOST, "57014"}
    check_recovery(scenery)


def test_silent(scenery: Scene) -> None:
    """Packets are lost without a word; statements have a timeout, new ones need none."""
    running = strike(scenery, scenery.proxy.stop, timeout="2s")
    check_lost(running, 2, {"57014", "08006"})
    while scenery.metrics()["cubewire_warehouse_up"] == 1:
        time.sleep(0.2)
    check_outage(scenery)
    # A refresh key that was never told is waited for, but no longer than a statement may take.
    unknown = Running(scenery, "SELECT id FROM unkept", timeout="1s").end(20)
    assert unknown.sqlstate in {"57014", "08006"}
    assert unknown.seconds < 3 * slowness()
    scenery.proxy.go_on()
    check_recovery(scenery)


def test_slow(scenery: Scene) -> None:
    """Everything it says takes five seconds."""
    scenery.proxy.delay_seconds = 5.0
    started = Running(scenery, "SELECT label FROM fresh", timeout="2s")
    assert started.end(10).sqlstate in {"57014", "08006"}
    assert started.seconds < 4 * slowness()
    assert outcome(scenery, "SELECT id, label FROM kept") == [(1, "kept")]
    scenery.proxy.delay_seconds = 0.0
    check_recovery(scenery)


def test_a_connection_that_breaks_before_the_first_row_costs_nothing(scenery: Scene) -> None:
    before = scenery.metrics().get("cubewire_warehouse_retries_total", 0)
    blinks = Running(scenery, "SELECT nap AS broken FROM blinks")
    until_there(scenery, "blinks")
    scenery.proxy.reset()
    assert (blinks.end(20).sqlstate, blinks.rows) == (None, 1)
    assert scenery.metrics()["cubewire_warehouse_retries_total"] > before


def test_who_is_ended_by_the_warehouses_administrator_is_not_begun_again(scenery: Scene) -> None:
    naps = Running(scenery, "SELECT nap AS ended FROM naps")
    until_there(scenery, "naps")
    scenery.warehouse.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%naps%' AND pid <> pg_backend_pid()"
    )
    assert naps.end(10).sqlstate == "57P01"


@pytest.mark.skipif(not LONG, reason="takes a minute; WAREHOUSE_FAULTS_LONG=1 runs it")
def test_silent_without_any_timeout(scenery: Scene) -> None:
    """What nobody has set a limit for is given up when the warehouse has been silent for long."""
    running = strike(scenery, scenery.proxy.stop)
    check_lost(running, 40, {"08006"})
    check_outage(scenery)
    scenery.proxy.go_on()
    check_recovery(scenery)


@pytest.mark.skipif(not LONG, reason="takes minutes; WAREHOUSE_FAULTS_LONG=1 runs it")
def test_again_and_again(scenery: Scene) -> None:
    """One outage after the other: nothing is lost for good."""
    for number in range(10):
        test_killed(scenery)
        if number % 4 == 0:
            test_silent(scenery)
        test_immediate_restart(scenery)
