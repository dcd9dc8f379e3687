"""Marks of invalidations in a Redis that others write to as well: what is doubtful invalidates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.cache.breaker import Breaker
from proxy.cache.generations import ALL, Generations
from proxy.cache.invalidation import SharedInvalidation
from proxy.cache.marks import Marks
from proxy.cache.redis_client import open_client
from tests.conftest import free_port
from tests.support.redis_server import RedisServer

NAME = b"tests:marks"
SECRET, OTHER = b"s" * 32, b"t" * 32
PLAIN = b"0123456789abcdef"


@dataclass
class Host:
    """A process that shares the cache, as far as invalidation goes. It looks when it is told to."""

    generations: Generations
    invalidation: SharedInvalidation
    forgotten: list[frozenset[str] | None] = field(default_factory=list)

    async def look(self) -> bytes:
        """Hear of the others; returns the part of the keys."""
        assert await self.invalidation.invalidate(())
        return self.token

    @property
    def token(self) -> bytes:
        return self.generations.shared_token(["c"])


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(free_port()) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Any:
    client = server.client()
    client.flushall()
    return client


@asynccontextmanager
async def host(
    server: RedisServer, secret: bytes | None = SECRET, *, ahead: float = 0.0
) -> AsyncIterator[Host]:
    generations = Generations()
    made = Host(
        generations,
        SharedInvalidation(
            generations,
            lambda cubes: made.forgotten.append(cubes),
            open_client(server.url, 2.0),
            Breaker(2.0),
            Marks(NAME, secret, lambda: time.time() + ahead),
            lambda: ["c", "d"],
            b"tests",
            open_client(server.url, 2.0, waits=True),
        ),
    )
    await made.look()
    yield made
    await made.invalidation.close()


async def test_processes_agree(server: RedisServer, redis: Any) -> None:
    async with host(server) as one, host(server) as two:
        assert one.token == two.token
        redis.flushall()
        before = one.token
        assert await one.look() == await two.look() != before
        before = one.token
        assert await one.invalidation.invalidate(["c"])
        assert await two.look() == one.token != before
        assert frozenset({"c"}) in two.forgotten
        assert one.generations.refused == two.generations.refused == 0


async def test_what_several_invalidate_at_once_is_believed(server: RedisServer, redis: Any) -> None:
    """As all that listen to a warehouse do, whatever their clocks are."""
    async with host(server, ahead=60) as one, host(server) as two, host(server, ahead=-60) as three:
        hosts = (one, two, three)
        for each in hosts:
            assert await each.invalidation.invalidate(["c"])
        for _ in range(20):
            assert all(await asyncio.gather(*(h.invalidation.invalidate(["c"]) for h in hosts)))
        assert len({await each.look() for each in hosts}) == 1
        assert [each.generations.refused for each in hosts] == [0, 0, 0]


def put_back(redis: Any, old: dict[bytes, bytes]) -> None:
    redis.hset(NAME, b"c", old[b"c"])


def put_elsewhere(redis: Any, _old: dict[bytes, bytes]) -> None:
    redis.hset(NAME, b"c", redis.hget(NAME, b"d"))


@pytest.mark.parametrize(
    ("forge", "refused"),
    [
        (put_back, 1),
        (put_elsewhere, 1),
        (lambda redis, _: redis.hset(NAME, b"c", PLAIN), 1),
        (lambda redis, _: redis.hset(NAME, b"c", b"\xff..\xfe"), 1),
        (lambda redis, _: redis.hset(NAME, b"c", b""), 1),
        (lambda redis, _: redis.hset(NAME, ALL.encode(), PLAIN), 1),
        (lambda redis, _: redis.hdel(NAME, b"c"), 0),
        (lambda redis, _: redis.delete(NAME), 0),
    ],
)
async def test_who_writes_to_redis_brings_nothing_back(
    server: RedisServer,
    redis: Any,
    forge: Callable[[Any, dict[bytes, bytes]], object],
    refused: int,
) -> None:
    """Where a mark is forged, put back or taken away, no key is one of before."""
    async with host(server) as one:
        old = redis.hgetall(NAME)
        seen = {one.token, one.generations.token(["c"])}
        await one.invalidation.invalidate(["c"])
        seen |= {one.token, one.generations.token(["c"])}
        forge(redis, old)
        assert await one.look() not in seen
        assert one.generations.token(["c"]) not in seen
        assert one.generations.refused == refused
        async with host(server) as new:
            assert new.token == one.token
            assert new.generations.refused == 0


async def test_who_does_not_know_the_mark_that_was_taken_away(
    server: RedisServer, redis: Any
) -> None:
    async with host(server) as one:
        seen = {one.token}
        await one.invalidation.invalidate(["c"])
        seen.add(one.token)
    redis.hdel(NAME, b"c")
    async with host(server) as new:
        assert new.token not in seen


async def test_another_secret(server: RedisServer, redis: Any) -> None:
    """As a version has it that seals no marks yet: what it tells is heard, and told what is new."""
    async with host(server) as one, host(server, OTHER) as two:
        before = two.token
        assert await one.look() != before
        assert one.generations.refused == 3
        assert await two.look() != before
        assert two.forgotten[-1] is None
    async with host(server) as one, host(server, None) as plain:
        assert plain.token == one.token
        await plain.invalidation.invalidate(["c"])
        before = one.token
        assert await one.look() != before
        assert await plain.look() == one.token


async def test_two_secrets_do_not_wake_each_other(server: RedisServer, redis: Any) -> None:
    listening = redis.pubsub()
    listening.subscribe("tests")
    async with host(server) as one, host(server, OTHER) as two:
        for each in (one, two, one, two):
            await each.look()
        assert one.generations.refused + two.generations.refused >= 4
    assert listening.get_message(timeout=1)["type"] == "subscribe"
    assert listening.get_message(timeout=0.2) is None


async def test_a_cube_whose_mark_is_not_known_shares_nothing(
    server: RedisServer, redis: Any
) -> None:
    async with host(server) as one, host(server) as two:
        assert one.generations.shared_token(["e"]) != two.generations.shared_token(["e"])
        first = one.generations.shared_token(["e"])
        await one.look()
        assert one.generations.shared_token(["e"]) != first


async def test_without_a_secret_any_mark_is_believed(server: RedisServer, redis: Any) -> None:
    async with host(server, None) as one:
        before, old = one.token, redis.hgetall(NAME)
        await one.invalidation.invalidate(["c"])
        redis.hset(NAME, mapping=old)
        assert await one.look() == before
        assert one.generations.refused == 0


def test_the_form_stays() -> None:
    """Marks are everybody's: another form would have every version refuse the other's."""
    mark = b"1f.abc.f4a127a73e9eee45685d1d4a51ed44f396c472902848dde128351fa123eaeab0"
    assert Marks(NAME, SECRET).judge({b"c": mark}, ["c"]).refused == set()


def test_the_clock_may_go_back() -> None:
    now = [2000.0]
    marks = Marks(NAME, SECRET, lambda: now[0])
    first = marks.new("c")
    assert marks.judge({b"c": first}, ["c"]).refused == set()
    now[0] = 1000.0
    second = marks.new("c")
    assert marks.judge({b"c": second}, ["c"]).marks == {"c": second.decode()}
    assert marks.judge({b"c": first}, ["c"]).refused == {"c"}
