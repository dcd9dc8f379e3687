"""What clients notice of hosts that die, drain and change, with a balancer before them.

``SCALE_SECONDS=120`` makes a campaign of the first test: every ten seconds one host is killed and
the other one drained, under pgbench's load besides where that is installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.scale.load import SHUTDOWN, Load, load
from tests.scale.world import REVENUE, USERS, World, question, two_hosts
from tests.support.waiting import until

SECONDS = float(os.environ.get("SCALE_SECONDS", "0"))
PERIOD = 10.0
NOTICED = 3.0
"""Seconds after a kill in which connections may still be found dead."""
BOUNDS = [1_000 * number for number in range(1, 21)]
PGBENCH = shutil.which("pgbench")

pytestmark = pytest.mark.timeout(SECONDS * 3 + 180)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with two_hosts(tmp_path_factory.mktemp("scale")) as world:
        yield world


@contextmanager
def pgbench(world: World, folder: Path, seconds: float) -> Iterator[None]:
    """Besides, in a campaign: clients that know no answers, but many."""
    if PGBENCH is None or not seconds:
        yield
        return
    script = folder / "load.sql"
    script.write_text(f"\\set n random(1, 20)\n{question(0).replace('< 0', '< 1000 * :n')};\n")
    command = [PGBENCH, "-n", "-f", str(script), "-c", "8", "-R", "100", "-T", str(int(seconds))]
    process = subprocess.Popen(
        [*command, world.dsn("anna")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_hosts_die_and_drain_under_load(world: World, tmp_path: Path) -> None:
    killed: list[tuple[str, float]] = []
    drained: list[tuple[str, float, float]] = []
    started = time.monotonic()
    with load(world, 6, BOUNDS) as found, pgbench(world, tmp_path, SECONDS):
        victim, other = world.hosts
        while True:
            began = time.monotonic()
            time.sleep(1.0)
            killed.append((victim.name, time.monotonic()))
            victim.kill()
            time.sleep(0.5)
            victim.start()
            world.wait_until_balanced()
            before = time.monotonic()
            assert other.drain() == 0
            drained.append((other.name, before, time.monotonic()))
            other.start()
            world.wait_until_balanced()
            if time.monotonic() - started >= SECONDS:
                break
            victim, other = other, victim
            time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))
        until(lambda: all(host.outcomes().get("memory", 0) > 0 for host in world.hosts))
        recovered = [host.outcomes() for host in world.hosts]
    assert found.wrong == []
    assert found.failed == []
    assert found.answers > 200
    unexplained = [
        each
        for each in found.ended
        if not was_killed(killed, each.host, each.began, each.at)
        and not (each.sqlstate == SHUTDOWN and was_drained(drained, each.host, each.at))
    ]
    assert unexplained == []
    for outcomes in recovered:
        # Nobody asks the warehouse for what Redis has.
        assert outcomes.get("redis", 0) > 0
        assert outcomes.get("miss", 0) <= outcomes["redis"]
        assert outcomes.get("memory", 0) > 0


def was_killed(killed: list[tuple[str, float]], host: str | None, began: float, at: float) -> bool:
    return any(
        host in (None, name) and began <= moment + NOTICED and moment <= at
        for name, moment in killed
    )


def was_drained(drained: list[tuple[str, float, float]], host: str | None, at: float) -> bool:
    return any(
        host in (None, name) and start <= at <= end + NOTICED for name, start, end in drained
    )


def test_a_load_that_answers_wrongly_is_found_out(world: World) -> None:
    found = Load(world, [1000])
    world.expected("anna", 1000)
    with world.connect("bert") as connection:
        found.ask(connection, "anna", 1000)
    assert found.wrong


def test_a_cancel_request_reaches_the_other_host(world: World) -> None:
    with contextlib.ExitStack() as stack:
        for host in world.hosts:
            connection = stack.enter_context(world.connect_to(host, "anna"))
            # The balancer gives requests to whom it likes: half of them to the other host.
            for _ in range(4):
                with pytest.raises(psycopg.errors.QueryCanceled), one_request(connection):
                    connection.execute("SELECT pg_sleep(60)")


@contextmanager
def one_request(connection: psycopg.Connection) -> Iterator[None]:
    """One cancel request through the balancer, soon."""
    timer = threading.Timer(1.0, connection.cancel_safe)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_two_versions_of_the_model_never_mix(world: World) -> None:
    one, two = world.hosts
    sql = question(5_000)
    former = world.expected("anna", 5_000)
    doubled = [(status, count, 2 * total) for status, count, total in former]  # type: ignore[operator]
    with world.connect_to(one, "anna") as first, world.connect_to(two, "anna") as second:
        assert version(first) == version(second)
        one.write_model("amount * 2")
        until(lambda: version(first) != version(second))
        for _ in range(3):
            assert first.execute(sql).fetchall() == doubled
            assert second.execute(sql).fetchall() == former
        two.write_model("amount * 2")
        until(lambda: version(first) == version(second))
        assert second.execute(sql).fetchall() == doubled
        # What the one has found, the other has too.
        for host in world.hosts:
            host.write_model(REVENUE)
        until(lambda: version(first) == version(second))
        until(lambda: first.execute(sql).fetchall() == former)


def version(connection: psycopg.Connection) -> str:
    row = connection.execute("SHOW cubewire.model_version").fetchone()
    assert row is not None
    return str(row[0])


def test_rows_are_a_users_own(world: World) -> None:
    for user in USERS:
        with world.connect(user) as connection:
            assert connection.execute(question(1_000)).fetchall() == world.expected(user, 1_000)
    assert world.expected("anna", 1_000) != world.expected("bert", 1_000)
