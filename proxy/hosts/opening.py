"""Joining the hosts that share a Redis, and leaving them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.exceptions import RedisError

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.redis_client import open_client
from proxy.config.caching import RedisConfig
from proxy.hosts.board import Board, Row
from proxy.hosts.identity import Process
from proxy.hosts.orders import Orders
from proxy.hosts.sealing import Sealer
from proxy.hosts.shared import SharedRedis

logger = logging.getLogger("cubewire.hosts")

POST_SECONDS = 1.0
"""How often rows are posted, and orders taken."""
LEAST_TIMEOUT = 1.0
"""Seconds that Redis has for an answer: rows are larger than what results wait for."""
CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """The others: their rows, and orders to them."""

    board: Board
    orders: Orders

    async def keep_posting(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.board.post()
                await self.orders.take()
            except UnavailableError as error:
                logger.debug("Redis does not answer: %s", error)
            except Exception:
                logger.exception("other hosts cannot be told of this process")
            await asyncio.sleep(POST_SECONDS)


@asynccontextmanager
async def hosts_shared(
    redis: RedisConfig,
    installation: bytes,
    process: Process,
    rows: Callable[[str], list[Row]],
    carry_out: Callable[[str, str], bool],
) -> AsyncIterator[Hosts | None]:
    """The other hosts, where a Redis is configured that they may share.

    Args:
        redis: its part of the configuration.
        installation: the secret of this installation, for where Redis has none of its own.
        process: this one.
        rows: see ``Board``.
        carry_out: see ``Orders``.
    """
    if redis.url is None:
        yield None
        return
    secret = redis.secret.get_secret_value().encode() if redis.secret is not None else installation
    timeout = max(redis.timeout, LEAST_TIMEOUT)
    shared = SharedRedis(
        open_client(redis.url.get_secret_value(), timeout),
        Breaker(timeout),
        redis.prefix.encode(),
        Sealer(secret),
    )
    hosts = Hosts(Board(shared, process, rows), Orders(shared, process, carry_out))
    task = asyncio.create_task(hosts.keep_posting(), name="rows for other hosts")
    try:
        yield hosts
    finally:
        task.cancel()
        # The driver may take a cancellation for a timeout of its own.
        await asyncio.wait([task], timeout=CLOSE_SECONDS)
        with contextlib.suppress(UnavailableError):
            await hosts.board.withdraw()
        with contextlib.suppress(RedisError, OSError):
            await shared.client.aclose()
