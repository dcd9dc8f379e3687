"""The kill switch of all processes that share a Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis.exceptions import RedisError

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.redis_client import Client, open_client
from proxy.config.caching import RedisConfig
from proxy.hosts.sealing import Sealer
from proxy.kill_switch import KillSwitch
from proxy.running import RunningStatements

logger = logging.getLogger("cubewire.kill")

LOOK_SECONDS = 1.0
"""How often orders are looked at: one given elsewhere is carried out here within this time."""
KEPT_SECONDS = 60
"""How long an order to end statements is kept; each process carries it out once."""
CLOSE_SECONDS = 2.0
GOOD_SECONDS = KEPT_SECONDS + 30
"""How old an order to end statements may be that is carried out, by two hosts' clocks."""
_MARK_BYTES = 12
_TIME_BYTES = 8
_BLOCKED, _LIFTED = b"1", b"0"


@dataclass(frozen=True, slots=True)
class _Block:
    """The last that was ordered of a user: to block, or to lift it.

    Attributes:
        at: microseconds since 1970; more than those of the orders before it.
        stands: it has not been lifted.
        sealed: the order as Redis holds it.
    """

    at: int
    stands: bool
    sealed: bytes


@dataclass(slots=True, eq=False, kw_only=True)
class SharedKillSwitch(KillSwitch):
    """Orders go to Redis, whence every process takes them.

    Two hashes hold them by user: the last order to block or to lift, and to end statements. What
    was not made with the secret that all share is no order; so a block stands until it is lifted,
    also where everything is started anew, and what others do in Redis lifts none that a process
    knows of. An order given while Redis is away is carried out here, and told when it answers
    again.

    Attributes:
        client: of the Redis.
        prefix: what its keys begin with.
        sealer: of the orders.
        clock: Unix seconds.
    """

    client: Client
    breaker: Breaker
    prefix: bytes
    sealer: Sealer
    clock: Callable[[], float] = time.time
    _untold: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _done: dict[str, bytes] = field(default_factory=dict)
    _blocks: dict[str, _Block] = field(default_factory=dict)
    _has_warned: bool = False
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
        self._order_end(user)
        return await self._tell_all()

    async def block(self, user: str) -> bool:
        """See ``KillSwitch``."""
        self._order_block(user, stands=True)
        self.end_statements(user)
        self._order_end(user)
        return await self._tell_all()

    async def lift(self, user: str) -> bool:
        """See ``KillSwitch``."""
        self._order_block(user, stands=False)
        return await self._tell_all()

    def _order_end(self, user: str) -> None:
        self._done[user] = self._now().to_bytes(_TIME_BYTES) + secrets.token_bytes(_MARK_BYTES)
        place = self._place("kills", user.encode())
        self._untold["kills", user] = self.sealer.seal(self._done[user], place)

    def _order_block(self, user: str, *, stands: bool) -> None:
        known = self._blocks.get(user)
        at = self._now() if known is None else max(self._now(), known.at + 1)
        order = at.to_bytes(_TIME_BYTES) + (_BLOCKED if stands else _LIFTED)
        sealed = self.sealer.seal(order, self._place("blocked", user.encode()))
        self._keep(user, _Block(at, stands, sealed))
        self._untold["blocked", user] = sealed

    def _keep(self, user: str, block: _Block) -> None:
        self._blocks[user] = block
        if block.stands:
            self.blocked.add(user)
        else:
            self.blocked.discard(user)

    async def _tell_all(self) -> bool:
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
                if self._untold.get(key) == value:
                    del self._untold[key]
            blocked, kills = await self.breaker.probe(self._read)
        except UnavailableError as error:
            logger.debug("Redis does not answer: %s", error)
            return
        self._adopt(blocked, kills)

    async def _tell(self, key: tuple[str, str], value: bytes) -> None:
        name = self._name(key[0])
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hset(name, key[1].encode(), value)
        if key[0] == "kills":
            pipeline.expire(name, KEPT_SECONDS)
        await pipeline.execute()

    async def _read(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        pipeline = self.client.pipeline(transaction=False)
        pipeline.hgetall(self._name("blocked"))
        pipeline.hgetall(self._name("kills"))
        blocked, kills = cast("list[Any]", await pipeline.execute())
        return dict(blocked), dict(kills)

    def _adopt(self, blocked: Mapping[bytes, bytes], kills: Mapping[bytes, bytes]) -> None:
        """Carry out what is new; what was ordered before this process looked is none of it."""
        told: dict[str, int] = {}
        for user, order, sealed in self._opened("blocked", blocked):
            told[user] = int.from_bytes(order[:_TIME_BYTES])
            known = self._blocks.get(user)
            if known is None or known.at < told[user]:
                self._keep(user, _Block(told[user], order[_TIME_BYTES:] == _BLOCKED, sealed))
        for user, known in self._blocks.items():
            if told.get(user, -1) < known.at:
                # Somebody has emptied Redis, or put something older there.
                self._untold["blocked", user] = known.sealed
        marks = {user: mark for user, mark, _ in self._opened("kills", kills)}
        for user, mark in marks.items():
            age = abs(self._now() - int.from_bytes(mark[:_TIME_BYTES]))
            is_new = self._has_looked and self._done.get(user) != mark
            if is_new and age <= GOOD_SECONDS * 1_000_000:
                self.end_statements(user)
        self._done = marks
        self._has_looked = True

    def _opened(
        self, kind: str, found: Mapping[bytes, bytes]
    ) -> Iterator[tuple[str, bytes, bytes]]:
        """Users, what was ordered of them, and that as Redis has it."""
        for user, sealed in found.items():
            order = self.sealer.open(sealed, self._place(kind, user))
            if order is not None:
                yield user.decode(errors="replace"), order, sealed
            elif not self._has_warned:
                self._has_warned = True
                logger.warning("orders that were not made with cache.redis.secret are not obeyed")

    def _now(self) -> int:
        return int(self.clock() * 1_000_000)

    def _place(self, kind: str, user: bytes) -> bytes:
        return b"%b:%b" % (self._name(kind), user)

    def _name(self, kind: str) -> bytes:
        return b"%b:%b" % (self.prefix, kind.encode())


@asynccontextmanager
async def open_kill_switch(redis: RedisConfig, installation: bytes) -> AsyncIterator[KillSwitch]:
    """The kill switch of this process, and of those that share a Redis where one is configured.

    Args:
        redis: its part of the configuration.
        installation: the secret of this installation, for where Redis has none of its own.
    """
    running = RunningStatements()
    if redis.url is None:
        yield KillSwitch(running)
        return
    client = open_client(redis.url.get_secret_value(), redis.timeout)
    own = redis.secret.get_secret_value().encode() if redis.secret is not None else installation
    switch = SharedKillSwitch(
        running=running,
        client=client,
        breaker=Breaker(redis.timeout),
        prefix=redis.prefix.encode(),
        sealer=Sealer(own),
    )
    await switch.start()
    try:
        yield switch
    finally:
        await switch.close()
