"""Orders to end a statement or a session of another host."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy.hosts.identity import Process
from proxy.hosts.shared import SharedRedis

logger = logging.getLogger("cubewire.kill")

GOOD_SECONDS = 30
"""How old an order may be that is carried out: the most that two hosts' clocks may differ."""
ANSWER_SECONDS = 3.0
AGAIN_SECONDS = 0.05
_MARK_BYTES = 12


@dataclass(slots=True, eq=False)
class Orders:
    """Gives orders to other processes, and takes theirs.

    Attributes:
        carry_out: ends a statement or a session of this process by its id, and is told who has
            ordered it; False where there is none.
        clock: Unix seconds.
    """

    redis: SharedRedis
    process: Process
    carry_out: Callable[[str, str], bool]
    clock: Callable[[], float] = time.time

    async def give(self, to_whom: Process, which: str) -> bool | None:
        """End something of another process. Raises UnavailableError.

        Returns:
            Whether it was there; None where nobody has answered in time.
        """
        mark = secrets.token_hex(_MARK_BYTES)
        inbox, answer = self._inbox(to_whom), self.redis.key("order-done", mark)
        by = f"admin port of {self.process.host}"
        order = {"id": which, "mark": mark, "at": self.clock(), "by": by}
        message = self.redis.sealer.seal(json.dumps(order).encode(), inbox)
        await self.redis.ask(
            lambda to: to.rpush(inbox, message), lambda to: to.expire(inbox, GOOD_SECONDS)
        )
        deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            (done,) = await self.redis.ask(lambda to: to.get(answer))
            if done is not None:
                return bool(done == b"1")
            await asyncio.sleep(AGAIN_SECONDS)
        return None

    async def take(self) -> None:
        """Carry out what others have ordered. Raises UnavailableError."""
        inbox = self._inbox(self.process)
        while True:
            (message,) = await self.redis.look(lambda to: to.lpop(inbox))
            if message is None:
                return
            order = self._read(message, inbox)
            if order is None:
                continue
            done = b"1" if self.carry_out(order["id"], order["by"]) else b"0"
            answer = self.redis.key("order-done", order["mark"])
            await self.redis.look(lambda to: to.set(answer, done, ex=GOOD_SECONDS))  # noqa: B023

    def _read(self, message: bytes, inbox: bytes) -> dict[str, str] | None:
        """An order, if somebody who may has given it, and not long ago."""
        opened = self.redis.sealer.open(message, inbox)
        if opened is None:
            logger.warning("an order of another host was not made with cache.redis.secret")
            return None
        order: dict[str, str] = json.loads(opened)
        return order if abs(self.clock() - float(order["at"])) <= GOOD_SECONDS else None

    def _inbox(self, process: Process) -> bytes:
        return self.redis.key("orders", process.token)
