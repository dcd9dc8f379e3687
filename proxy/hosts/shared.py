"""The Redis that hosts share, as they use it to tell each other something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from proxy.cache.breaker import Breaker
from proxy.cache.redis_client import Client
from proxy.hosts.sealing import Sealer

FORMAT = b"1"
"""Part of all keys: versions of Cubewire that put something else there use another number, and
those of different numbers do not see each other."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedRedis:
    """Where they meet.

    Attributes:
        breaker: after failures, what a user waits for asks nothing until a look has succeeded.
        prefix: what the keys begin with.
    """

    client: Client
    breaker: Breaker
    prefix: bytes
    sealer: Sealer

    def key(self, kind: str, name: str = "") -> bytes:
        """Of what is kept there."""
        return b":".join((self.prefix, kind.encode(), FORMAT, name.encode())).rstrip(b":")

    async def ask(self, *commands: Callable[[Any], object]) -> list[Any]:
        """Send commands together. Raises UnavailableError, also where the last ones failed."""
        return await self.breaker.call(lambda: self._run(commands))

    async def look(self, *commands: Callable[[Any], object]) -> list[Any]:
        """The same, even where the last ones failed. Raises UnavailableError."""
        return await self.breaker.probe(lambda: self._run(commands))

    async def _run(self, commands: tuple[Callable[[Any], object], ...]) -> list[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for command in commands:
            command(pipeline)
        return cast("list[Any]", await pipeline.execute())
