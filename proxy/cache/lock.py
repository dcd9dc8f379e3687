"""One process at a time runs a statement: a lock in Redis with fencing.

Each holder has a token that no other ever had, and an entry is committed only by who still holds
the lock: one that was held up until another took over cannot put its older rows into place.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.redis_client import Client

HELD_MILLISECONDS = 3_000
"""A holder that has died is missed this long; one that lives renews in time."""
RENEWALS = 3

_TAKE = """
if ARGV[3] == '0' and redis.call('EXISTS', KEYS[1]) == 1 then return '' end
local token = redis.call('INCR', KEYS[2]) .. ':' .. ARGV[1]
redis.call('PEXPIRE', KEYS[2], 86400000)
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_COMMIT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1
"""


@dataclass(slots=True, eq=False)
class Lock:
    """The lock on one entry, held."""

    client: Client
    breaker: Breaker
    name: bytes
    token: bytes
    _renewal: asyncio.Task[None] | None = None

    @classmethod
    async def take(
        cls, client: Client, breaker: Breaker, entry: bytes, *, force: bool
    ) -> Lock | None:
        """Take the lock; None where another holds it, unless it is taken away from them.

        Raises UnavailableError.
        """
        name, fence = entry + b":lock", entry + b":fence"
        token = await breaker.call(
            lambda: client.eval(
                _TAKE,
                2,
                name,
                fence,
                secrets.token_hex(8).encode(),
                HELD_MILLISECONDS,
                int(force),
            )
        )
        if not token:
            return None
        lock = cls(client, breaker, name, bytes(token))
        lock._renewal = asyncio.create_task(lock._renew(), name="cache lock")
        return lock

    async def commit(self, head: bytes, value: bytes, milliseconds: int) -> bool:
        """Put an entry's head into place and let go; False where another holds the lock by now.

        Raises UnavailableError.
        """
        self._stop()
        done = await self.breaker.call(
            lambda: self.client.eval(_COMMIT, 2, self.name, head, self.token, value, milliseconds)
        )
        return bool(done)

    async def release(self) -> None:
        """Let go without an entry."""
        self._stop()
        with contextlib.suppress(UnavailableError):
            await self.breaker.call(lambda: self.client.eval(_RELEASE, 1, self.name, self.token))

    def _stop(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(HELD_MILLISECONDS / 1000 / RENEWALS)
            with contextlib.suppress(UnavailableError):
                await self.breaker.call(
                    lambda: self.client.eval(_RENEW, 1, self.name, self.token, HELD_MILLISECONDS)
                )
