"""Two versions of a model over one Redis: the same text is answered by each version's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.cache.test_redis import outcome
from tests.conftest import free_port
from tests.reliability.support import until
from tests.reload.world import TOTAL, World, model, start, value
from tests.support.redis_server import RedisServer

VERSIONS = (1, 2)
TEXTS = (
    "SELECT tag, MEASURE(total) FROM things GROUP BY 1",
    "SELECT max(tag), MEASURE(total) FROM things WHERE id > {}",
    "WITH t AS (SELECT tag, total FROM things) SELECT tag, MEASURE(total) FROM t GROUP BY 1",
)


def versioned(number: int, *columns: str) -> dict[str, Any]:
    """A version whose results are kept for ever."""
    made = model(number, *columns)
    for cube in made["cubes"]:
        cube["refresh_key"] = {"immutable": True}
    return made


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, World]]:
    """Two servers with a version each, and one Redis."""
    with RedisServer(free_port()) as redis:
        made: dict[int, World] = {}
        section = {"redis": {"url": redis.url, "secret": "of the tests", "timeout": "2s"}}
        try:
            for number in VERSIONS:
                folder = tmp_path_factory.mktemp(f"version{number}")
                made[number] = start(folder, versioned(number), cache=section)
            yield made
        finally:
            for world in made.values():
                world.close()


@pytest.fixture(scope="module")
def clients(worlds: dict[int, World]) -> dict[int, psycopg.Connection[Any]]:
    return {number: world.connect(prepare_threshold=1) for number, world in worlds.items()}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("bound", [False, True])
def test_no_row_of_the_other(
    clients: dict[int, psycopg.Connection[Any]], text: str, bound: bool
) -> None:
    sql = text.format("%s" if bound and "{}" in text else "0").encode()
    for mode in ("refresh", "on", "on", "on"):
        for number, client in clients.items():
            client.execute(f"SET cubewire.cache = '{mode}'")
            rows = client.execute(sql, (0,) if b"%s" in sql else None).fetchall()
            assert rows == [(f"v{number}", number * TOTAL)]


@pytest.mark.parametrize("binary", [False, True])
def test_a_column_of_another_type(
    clients: dict[int, psycopg.Connection[Any]], binary: bool
) -> None:
    for _ in range(3):
        for number, client in clients.items():
            with client.cursor(binary=binary) as cursor:
                cursor.execute(b"SELECT max(pick) FROM things")
                assert cursor.fetchall() == [(1 if number == 1 else "v2",)]


def test_what_means_the_same_in_both_is_shared(worlds: dict[int, World]) -> None:
    sql = "SELECT MEASURE(many) AS shared FROM still"
    assert outcome(worlds[1].running, sql) == "miss"
    found: list[str] = []

    def shared() -> bool:
        found.append(outcome(worlds[2].running, sql))
        return found[-1] == "redis"

    until(shared)
    assert found == ["redis"]


def test_replaced_while_sessions_stay(
    worlds: dict[int, World], clients: dict[int, psycopg.Connection[Any]]
) -> None:
    client, sql = clients[1], b"SELECT tag, MEASURE(total) FROM things GROUP BY 1"
    for number in (3, 1, 4, 1):
        worlds[1].serve(versioned(number), client)
        for _ in range(3):
            assert client.execute(sql).fetchall() == [(f"v{number}", number * TOTAL)]
            assert clients[2].execute(sql).fetchall() == [("v2", 2 * TOTAL)]
    assert value(client, "EXPLAIN (ANALYZE, FORMAT JSON) " + sql.decode())[0]["Cache"] in (
        "memory",
        "redis",
    )


def test_a_small_result_in_every_form(
    worlds: dict[int, World], clients: dict[int, psycopg.Connection[Any]]
) -> None:
    """Redis has it as Arrow and in the form of who asked first; others ask for other forms."""
    sql = (
        "SELECT id, (id / 7.0)::float8 AS ratio, id IS NULL AS no,"
        " TIMESTAMP '2024-03-01 12:30' AS at FROM still WHERE id < 4 ORDER BY id"
    )

    def answers(client: psycopg.Connection[Any]) -> list[object]:
        found: list[object] = []
        for style in ("ISO", "German"):
            client.execute(f"SET DateStyle = '{style}'")
            found.append(client.pgconn.exec_(sql.encode()).get_value(2, 3))
            for binary in (False, True):
                with client.cursor(binary=binary) as cursor:
                    found.append(cursor.execute(f"SELECT id, ratio FROM ({sql}) q").fetchall())
                    found.append(cursor.execute(sql).fetchall() if style == "ISO" else None)
        return found

    one, two = clients[1], clients[2]
    one.execute("SET cubewire.cache = 'off'")
    expected = answers(one)
    one.execute("SET cubewire.cache = 'on'")
    assert answers(one) == expected
    until(lambda: outcome(worlds[2].running, sql) == "redis")
    assert answers(two) == expected
    assert answers(two) == expected
    for client in (one, two):
        client.execute("RESET DateStyle")
