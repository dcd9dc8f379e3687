"""Cancel requests through a real Redis, without servers around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from proxy.cache.redis_client import open_client
from proxy.cancel_orders import GOOD_SECONDS, MOST_WAITING, CancelChannel
from proxy.cancellation import CancelRegistry
from tests.conftest import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

KEY = b"k" * 32


class Cancelled:
    """A connection that counts how often it was cancelled."""

    def __init__(self) -> None:
        self.times = 0

    def cancel_statement(self) -> None:
        self.times += 1


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(free_port()) as server:
        yield server


class Process:
    """A process with one session."""

    def __init__(self, redis: RedisServer, *, key: bytes = KEY, worker: int = 0) -> None:
        self.connection = Cancelled()
        self.registry = CancelRegistry(worker, None)
        self.process_id, self.secret = self.registry.register(self.connection, long=False)
        self.heard: list[bytes] = []
        self.channel = CancelChannel(
            open_client(redis.url, 1.0),
            open_client(redis.url, 1.0, waits=True),
            b"test:cancel",
            key,
            self.registry,
        )


@pytest.fixture
async def processes(redis: RedisServer) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = [Process(redis), Process(redis), Process(redis, key=b"other")]
        for process in made:
            process.channel.start()
            stack.push_async_callback(process.channel.close)
        client = redis.client()
        await until_async(lambda: client.pubsub_numsub("test:cancel")[0][1] == len(made))
        yield made


async def until(process: Process, times: int) -> None:
    await until_async(lambda: process.connection.times == times)


async def test_the_session_that_has_the_secret_is_meant(processes: list[Process]) -> None:
    one, two, stranger = processes
    assert one.process_id == two.process_id == stranger.process_id
    one.registry.cancel(two.process_id, two.secret)
    await until(two, 1)
    one.registry.cancel(one.process_id, one.secret)
    await until(one, 1)
    # Who has another key neither understands nor is understood.
    one.registry.cancel(stranger.process_id, stranger.secret)
    stranger.registry.cancel(two.process_id, two.secret)
    one.registry.cancel(two.process_id, bytes(len(two.secret)))
    one.registry.cancel(two.process_id, two.secret)
    await until(two, 2)
    assert (one.connection.times, stranger.connection.times) == (1, 0)


async def test_old_and_malformed_messages_do_nothing(processes: list[Process]) -> None:
    one, two, _ = processes
    sent: list[bytes] = []

    class Recorder:
        async def publish(self, channel: bytes, message: bytes) -> None:
            sent.append(message)

    client, one.channel.client = one.channel.client, Recorder()  # type: ignore[assignment]
    one.channel.send(two.process_id, two.secret)
    await asyncio.sleep(0)
    one.channel.client = client
    (message,) = sent
    now = two.channel.clock()
    two.channel.clock = lambda: now + GOOD_SECONDS + 2
    two.channel.heard(message)
    two.channel.clock = lambda: now
    for broken in (b"", message[:-1], message + b"x", message[:-1] + bytes([message[-1] ^ 1])):
        two.channel.heard(broken)
    later = message[:4] + (int(now) + 1).to_bytes(8) + message[12:]
    two.channel.heard(later)
    assert two.connection.times == 0
    two.channel.heard(message)
    assert two.connection.times == 1


async def test_a_flood_is_bounded(processes: list[Process]) -> None:
    one = processes[0]
    for _ in range(MOST_WAITING * 3):
        one.registry.cancel(one.process_id, b"wrong")
    assert len(one.channel._sending) == MOST_WAITING
