"""What processes that share a Redis post there."""

from __future__ import annotations

from proxy.cache.breaker import Breaker
from proxy.cache.redis_client import open_client
from proxy.hosts.board import Board
from proxy.hosts.identity import Process
from proxy.hosts.sealing import Sealer
from proxy.hosts.shared import SharedRedis
from tests.conftest import free_port
from tests.support.redis_server import RedisServer


async def test_who_ended_without_a_word_is_forgotten() -> None:
    with RedisServer(free_port()) as server:
        client = open_client(server.url, 5)
        redis = SharedRedis(client, Breaker(5), b"cubewire", Sealer(b"secret"))
        one, other, gone = (
            Board(redis, Process("host", name, 0, name), lambda _: []) for name in "abc"
        )
        for board in (one, other, gone):
            await board.post()
        members, key = redis.key("processes"), redis.key("rows", "c")
        assert await client.delete(key) == 1
        assert [each.server for each in await one.processes()] == ["b"]
        assert await client.smembers(members) == {b"a", b"b"}
        await gone.post()
        assert len(await one.processes()) == 2
        await client.aclose()
