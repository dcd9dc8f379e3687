"""Making results invalid before their time: here, and through Redis everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.generations import ALL, Generations
from proxy.cache.marks import Marks
from proxy.cache.redis_client import Client, replaced

logger = logging.getLogger("cubewire.cache")

LOOK_SECONDS = 1.0
"""How often Redis' marks are looked at, and whether it is there: what another process invalidates
is heard of within this time."""

CLOSE_SECONDS = 2.0
ATTEMPTS = 50
"""How often a mark is put in place that others are quicker with; each time one of them was."""

Forget = Callable[[frozenset[str] | None], None]
"""Frees what is kept of some cubes, or of all (None)."""


@dataclass(slots=True, eq=False)
class Invalidation:
    """Invalidates results of cubes.

    Attributes:
        forget: frees what this process keeps.
    """

    generations: Generations
    forget: Forget

    async def start(self) -> None:
        """Begin to hear of what others invalidate."""

    async def invalidate(self, cubes: Iterable[str]) -> bool:
        """What is cached of these cubes, or of all (``*``), is served no more.

        Returns whether all that share the cache have been told.
        """
        self.locally(cubes)
        return True

    def soon(self, cubes: Iterable[str]) -> None:
        """The same, here at once and elsewhere without anybody waiting for it."""
        self.locally(cubes)

    def locally(self, cubes: Iterable[str]) -> None:
        """The same for this process alone."""
        names = frozenset(cubes)
        self.generations.invalidate(names)
        self.forget(None if ALL in names else names)
        logger.info("cache invalidated", extra={"fields": {"cubes": ",".join(sorted(names))}})

    async def close(self) -> None:
        """Stop listening."""


@dataclass(slots=True, eq=False)
class SharedInvalidation(Invalidation):
    """The same, for all processes that share a Redis.

    Attributes:
        marks: as Redis has them.
        cubes: tells which this process may be asked for.
        topic: of the messages that there is something new.
        channel: a client that waits for messages.
    """

    client: Client
    breaker: Breaker
    marks: Marks
    cubes: Callable[[], Iterable[str]]
    topic: bytes
    channel: Client
    _refuses: bool = False
    _closing: bool = False
    _watch: asyncio.Task[None] | None = None
    _soon: asyncio.Event | None = None
    _listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at Redis' marks, and go on doing so. Never fails: Redis may come later."""
        self._soon = asyncio.Event()
        await self._look()
        self._watch = asyncio.create_task(self._keep_looking(), name="cache marks")
        self._listener = asyncio.create_task(self._listen(), name="cache channel")

    async def invalidate(self, cubes: Iterable[str]) -> bool:
        """See ``Invalidation``."""
        self._mark_unshared(cubes)
        await self._look()
        return not self.generations.unshared

    def soon(self, cubes: Iterable[str]) -> None:
        """See ``Invalidation``."""
        self._mark_unshared(cubes)
        if self._soon is not None:
            self._soon.set()

    def _mark_unshared(self, cubes: Iterable[str]) -> None:
        names = frozenset(cubes)
        self.locally(names)
        self.generations.unshared |= names

    async def close(self) -> None:
        """Stop listening."""
        self._closing = True
        tasks = [task for task in (self._watch, self._listener) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            # The driver may take a cancellation for a timeout of its own.
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for client in (self.client, self.channel):
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def _keep_looking(self) -> None:
        assert self._soon is not None
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._soon.wait()
            self._soon.clear()
            await self._look()

    async def _look(self) -> None:
        """Tell Redis what it has not been told, and take over what it knows."""
        was_open = self.breaker.is_open
        try:
            marks = await self._exchange()
        except UnavailableError as error:
            if self.breaker.is_open and not was_open:
                fields = {"reason": str(error)}
                logger.warning("Redis does not answer", extra={"fields": fields})
            return
        if was_open:
            logger.info("Redis answers again")
        changed = self.generations.adopt(marks)
        if changed:
            self.forget(None if ALL in changed else changed)

    async def _exchange(self) -> Mapping[str, str]:
        """Tell what was not told, and return what is believed of what is there, by cube."""
        cubes = frozenset((ALL, *self.cubes()))
        await self._share()
        judged = self.marks.judge(await self._read(), cubes)
        self._report(judged.refused)
        if judged.refused or judged.missing:
            # Where one is missing another process may be quicker, and where one is refused it may
            # have stood for an invalidation.
            self._mark_unshared(judged.refused)
            await self._share(judged.refused)
            judged = self.marks.judge(await self._read(judged.missing), cubes)
        return judged.marks

    async def _share(self, unheard: Collection[str] = ()) -> None:
        """Put the marks of what was invalidated here in place, and wake the others.

        Not for those that only replace others: two processes would wake each other without end.
        """
        for cube in tuple(self.generations.unshared):
            await self._put(cube)
            self.generations.unshared.discard(cube)
            if cube not in unheard:
                await self.breaker.probe(lambda: self.client.publish(self.topic, cube.encode()))  # noqa: B023

    async def _put(self, cube: str) -> None:
        """Put a mark in place that is later than the one there, whatever the others' clocks say."""
        name, before = cube.encode(), self.marks.known(cube)
        for _ in range(ATTEMPTS):
            mark = self.marks.new(cube)
            found = await self.breaker.probe(
                lambda: replaced(self.client, self.marks.name, name, before, mark)  # noqa: B023
            )
            if found is None:
                return
            self.marks.judge({name: found}, (cube,))
            before = found
        raise UnavailableError("others are always quicker")

    async def _read(self, missing: Iterable[str] = ()) -> dict[bytes, bytes]:
        return await self.breaker.probe(lambda: self._ask(missing))

    async def _ask(self, missing: Iterable[str]) -> dict[bytes, bytes]:
        pipeline = self.client.pipeline(transaction=False)
        for cube in missing:
            pipeline.hsetnx(self.marks.name, cube.encode(), self.marks.new(cube))
        pipeline.hgetall(self.marks.name)
        return dict((await pipeline.execute())[-1])

    def _report(self, refused: Collection[str]) -> None:
        self.generations.refused += len(refused)
        if refused and not self._refuses:
            logger.warning(
                "marks in Redis that are too old, or were not made with cache.redis.secret,"
                " are taken for invalidations",
                extra={"fields": {"cubes": ",".join(sorted(refused))}},
            )
        self._refuses = bool(refused)

    async def _listen(self) -> None:
        """Hear at once of what others invalidate; looking makes up for what is not heard."""
        assert self._soon is not None
        while hasattr(self.channel, "pubsub") and not self._closing:
            try:
                async with self.channel.pubsub() as channel:
                    await channel.subscribe(self.topic)
                    async for _ in channel.listen():
                        self._soon.set()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(LOOK_SECONDS)
