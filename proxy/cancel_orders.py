"""Cancel requests for sessions of other hosts: a balancer may bring them here.

What no worker of this host has the key of is put on a channel of the shared Redis. The secret is
not sent: only who has the session can tell that the message was made with its secret, and a message
is good for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from proxy.cache.redis_client import Client, open_client
from proxy.cancellation import CancelRegistry
from proxy.config.caching import RedisConfig

logger = logging.getLogger("cubewire.cancel")

GOOD_SECONDS = 30
"""How long a message is taken for what it says: the most that two hosts' clocks may differ."""
MOST_WAITING = 100
"""Messages on their way to Redis; further ones are dropped, since anybody can send requests."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 2.0

_ID_BYTES, _TIME_BYTES = 4, 8
_HEAD_BYTES = _ID_BYTES + _TIME_BYTES
_MESSAGE_BYTES = _HEAD_BYTES + 32


@dataclass(slots=True, eq=False)
class CancelChannel:
    """Sends and hears cancel requests through Redis.

    Attributes:
        client: of the Redis.
        channel: a client that waits for messages.
        name: of the channel.
        key: which all that share the Redis have.
        registry: of this process' sessions.
        clock: Unix seconds.
    """

    client: Client
    channel: Client
    name: bytes
    key: bytes
    registry: CancelRegistry
    clock: Callable[[], float] = time.time
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _listener: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Hear, and send what is for nobody here."""
        self.registry.elsewhere = self.send
        self._listener = asyncio.create_task(self._listen(), name="cancel channel")

    async def close(self) -> None:
        """Hear and send no more."""
        self.registry.elsewhere = None
        tasks = [*self._sending, *([self._listener] if self._listener is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            # The driver may take a cancellation for a timeout of its own.
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for client in (self.client, self.channel):
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    def send(self, process_id: int, secret: bytes) -> None:
        """Tell the other hosts. A request that cannot be told is lost, as PostgreSQL's may be."""
        if len(self._sending) >= MOST_WAITING:
            return
        head = process_id.to_bytes(_ID_BYTES) + int(self.clock()).to_bytes(_TIME_BYTES)
        task = asyncio.create_task(self._publish(head + self._proof(head, secret)), name="cancel")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def heard(self, message: bytes) -> None:
        """Carry out a request, if it is for a session of this process and not too old."""
        if len(message) != _MESSAGE_BYTES:
            return
        head, proof = message[:_HEAD_BYTES], message[_HEAD_BYTES:]
        sent = int.from_bytes(head[_ID_BYTES:])
        if abs(self.clock() - sent) > GOOD_SECONDS:
            return
        self.registry.cancel_where(
            int.from_bytes(head[:_ID_BYTES]),
            lambda secret: hmac.compare_digest(proof, self._proof(head, secret)),
        )

    def _proof(self, head: bytes, secret: bytes) -> bytes:
        return hmac.digest(self.key, head + secret, "sha256")

    async def _publish(self, message: bytes) -> None:
        try:
            await self.client.publish(self.name, message)
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("a cancel request could not be told: %s", error)

    async def _listen(self) -> None:
        while hasattr(self.channel, "pubsub"):
            try:
                async with self.channel.pubsub() as channel:
                    await channel.subscribe(self.name)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self.heard(message["data"])
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def cancels_shared(
    redis: RedisConfig, installation: bytes, registry: CancelRegistry
) -> AsyncIterator[None]:
    """Cancel requests reach the sessions of all that share a Redis, where one is configured.

    Args:
        redis: its part of the configuration.
        installation: the secret of this installation, for where Redis has none of its own.
        registry: of this process' sessions.
    """
    if redis.url is None:
        yield
        return
    url = redis.url.get_secret_value()
    own = redis.secret.get_secret_value().encode() if redis.secret is not None else installation
    channel = CancelChannel(
        open_client(url, redis.timeout),
        open_client(url, redis.timeout, waits=True),
        redis.prefix.encode() + b":cancel",
        hmac.digest(own, b"cancel requests", "sha256"),
        registry,
    )
    channel.start()
    try:
        yield
    finally:
        await channel.close()
