"""The kill switch of all processes that share a Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis.exceptions import RedisError

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.redis_client import Client, open_client
from proxy.config.caching import RedisConfig
from proxy.kill_switch import KillSwitch
from proxy.running import RunningStatements

logger = logging.getLogger("cubewire.kill")

LOOK_SECONDS = 1.0
"""How often orders are looked at: one given elsewhere is carried out here within this time."""
KEPT_SECONDS = 60
"""How long an order to end statements is kept; each process carries it out once."""
CLOSE_SECONDS = 2.0
_MARK_BYTES = 12


@dataclass(slots=True, eq=False, kw_only=True)
class SharedKillSwitch(KillSwitch):
    """Orders go to Redis, whence every process takes them.

    Two hashes hold them: users who are blocked, and by user a mark of the last order to end their
    statements. A block stands until it is lifted, also where everything is started anew. An order
    given while Redis is away is carried out here, and told when it answers again.

    Attributes:
        client: of the Redis.
        prefix: what its keys begin with.
    """

    client: Client
    breaker: Breaker
    prefix: bytes
    _untold: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    _done: dict[str, bytes] = field(default_factory=dict)
    _has_looked: bool = False
    _watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over who is blocked, and go on looking. Never fails: Redis may come later."""
        await self._look()
        self._watch = asyncio.create_task(self._keep_looking(), name="kill orders")

    async def close(self) -> None:
        """Stop looking."""
        if self._watch is not None:
            self._watch.cancel()
            # The driver may take a cancellation for a timeout of its own.
            await asyncio.wait([self._watch], timeout=CLOSE_SECONDS)
        with contextlib.suppress(RedisError, OSError):
            await self.client.aclose()

    async def kill(self, user: str) -> bool:
        """See ``KillSwitch``."""
        self.end_statements(user)
        return await self._order(("kills", user), self._new_mark(user))

    async def block(self, user: str) -> bool:
        """See ``KillSwitch``."""
        self.blocked.add(user)
        self.end_statements(user)
        self._untold["kills", user] = self._new_mark(user)
        return await self._order(("blocked", user), b"1")

    async def lift(self, user: str) -> bool:
        """See ``KillSwitch``."""
        self.blocked.discard(user)
        return await self._order(("blocked", user), None)

    def _new_mark(self, user: str) -> bytes:
        mark = secrets.token_hex(_MARK_BYTES).encode()
        self._done[user] = mark
        return mark

    async def _order(self, key: tuple[str, str], value: bytes | None) -> bool:
        self._untold[key] = value
        await self._look()
        return not self._untold

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        """Tell Redis what it has not been told, and carry out what it knows."""
        try:
            for key, value in tuple(self._untold.items()):
                await self.breaker.probe(lambda: self._tell(key, value))  # noqa: B023
                if self._untold.get(key, b"") == value:
                    del self._untold[key]
            blocked, kills = await self.breaker.probe(self._read)
        except UnavailableError as error:
            logger.debug("Redis does not answer: %s", error)
            return
        self._adopt(blocked, kills)

    async def _tell(self, key: tuple[str, str], value: bytes | None) -> None:
        name, user = self._name(key[0]), key[1].encode()
        pipeline = self.client.pipeline(transaction=False)
        if value is None:
            pipeline.hdel(name, user)
        else:
            pipeline.hset(name, user, value)
        if key[0] == "kills":
            pipeline.expire(name, KEPT_SECONDS)
        await pipeline.execute()

    async def _read(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hgetall(self._name("blocked"))
        pipeline.hgetall(self._name("kills"))
        blocked, kills = cast("list[Any]", await pipeline.execute())
        return dict(blocked), dict(kills)

    def _adopt(self, blocked: dict[bytes, bytes], kills: dict[bytes, bytes]) -> None:
        """Carry out what is new; what was ordered before this process looked is none of it."""
        marks = {user.decode(errors="replace"): mark for user, mark in kills.items()}
        if not self._untold:
            self.blocked = {user.decode(errors="replace") for user in blocked}
        for user, mark in marks.items():
            if self._has_looked and self._done.get(user) != mark:
                self.end_statements(user)
        self._done = marks
        self._has_looked = True

    def _name(self, kind: str) -> bytes:
        return b"%b:%b" % (self.prefix, kind.encode())


@asynccontextmanager
async def open_kill_switch(redis: RedisConfig) -> AsyncIterator[KillSwitch]:
    """The kill switch of this process, and of those that share a Redis where one is configured."""
    running = RunningStatements()
    if redis.url is None:
        yield KillSwitch(running)
        return
    client = open_client(redis.url.get_secret_value(), redis.timeout)
    switch = SharedKillSwitch(
        running=running,
        client=client,
        breaker=Breaker(redis.timeout),
        prefix=redis.prefix.encode(),
    )
    await switch.start()
    try:
        yield switch
    finally:
        await switch.close()
