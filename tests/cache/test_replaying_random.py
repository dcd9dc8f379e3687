"""Random sessions: with remembered answers and without, every message is the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.wire.frontend import Bind, Close, Describe, Execute, Flush, Parse, Query, Sync
from proxy.wire.message import Message
from tests.cache.support import lines, serving
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

STEPS = 250
CUBES = (
    "SELECT id, tenant, born FROM people ORDER BY id",
    "SELECT tenant, MEASURE(total) FROM people GROUP BY 1 ORDER BY 1",
    "SELECT born, ratio FROM people WHERE id = 2",
)
OTHERS = (
    "SELECT 1",
    "SELECT nothing FROM people",
    "SELECT id FROM people ORDER BY id; SELECT 2",
    "",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "SET DateStyle = 'German'",
    "SET DateStyle = 'ISO'",
    "SET LOCAL TimeZone = 'Asia/Tokyo'",
    "SET TimeZone = 'America/New_York'",
    "RESET ALL",
    "PREPARE one AS SELECT id FROM people ORDER BY 1",
    "PREPARE two AS SELECT tenant FROM people ORDER BY 1",
    "EXECUTE one",
    "DEALLOCATE one",
    "DEALLOCATE ALL",
    "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM people ORDER BY id",
    "FETCH 1 FROM c",
    "CLOSE c",
)


def bound(statement: str, portal: str = "") -> tuple[Message, ...]:
    return (Bind(portal, statement, (), (), ()), Execute(portal))


def shapes(sql: str, name: str) -> tuple[tuple[Message, ...], ...]:
    """What drivers send for a text, and what they do not."""
    return (
        (Query(sql),),
        (Parse("", sql), *bound(""), Sync()),
        (Parse("", sql), Bind("", "", (), (), ()), Describe("P", ""), Execute(""), Sync()),
        (Parse("", sql), Describe("S", ""), *bound(""), Sync()),
        (*bound(""), Sync()),
        (*bound(name), Sync()),
        (Bind("", name, (), (), (1,)), Describe("P", ""), Execute(""), Sync()),
        (Bind("", name, (), (), ()), Execute("", 1), Sync()),
        (*bound(name, "portal"), Close("P", "portal"), Sync()),
        (*bound(name), *bound(name), Sync()),
        (*bound(name), Flush(), Sync()),
        (Parse(name, sql), Sync()),
        (Close("S", name), Sync()),
        (Close("S", name), Parse(name, sql), *bound(name), Sync()),
    )


def script(seed: int) -> Iterator[tuple[Message, ...]]:
    chance = random.Random(seed)
    for _ in range(STEPS):
        if chance.random() < 0.25:
            yield (Query(chance.choice(OTHERS)),)
        else:
            name = chance.choice(("one", "two"))
            messages = chance.choice(shapes(chance.choice(CUBES), name))
            # Again and again, as programs do.
            for _ in range(chance.choice((1, 1, 2, 4))):
                yield messages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


@pytest.fixture(scope="module")
def server(folder: Path, oracle: OraclePostgres) -> Iterator[RunningServer]:
    with serving(folder, oracle, "random") as running:
        yield running


@pytest.mark.parametrize("seed", range(4))
def test_sessions(server: RunningServer, folder: Path, seed: int) -> None:
    with (
        RawClient.connect(server.host, server.port, 30) as one,
        RawClient.connect(server.host, server.port, 30) as two,
    ):
        one.startup("demo", "cubewire", "demo")
        two.startup("demo", "cubewire", "demo", options=[("cubewire.cache", "off")])
        done: list[object] = []
        for messages in script(seed):
            done.append(messages)
            assert one.exchange(*messages) == two.exchange(*messages), done[-6:]
    until(lambda: replayed(folder) > 20 * (seed + 1))


def replayed(folder: Path) -> int:
    return sum(
        line.get("kind") == "cube" and "prepare_ms" not in line and line["sqlstate"] == "00000"
        for line in lines(folder)
    )
