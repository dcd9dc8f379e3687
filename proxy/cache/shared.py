"""Level 2: results in Redis, which all processes share."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.generations import Generations
from proxy.cache.lock import Lock
from proxy.cache.redis_client import Client, timed_value
from proxy.cache.results import Request, SharedRows
from proxy.cache.stored import (
    ARROW,
    DamagedError,
    Head,
    unpack_batches,
    unpack_chunk,
    unpack_head,
    unpack_rows,
    unpack_written,
)
from proxy.cache.storing import INLINE_BYTES, StoredSource, Storing, chunk_name
from proxy.rows.encoded import EncodedRows
from proxy.rows.encoder import RowEncoder
from proxy.sources import ENCODE_INLINE_ROWS, in_encoder

LONGEST_SECONDS = 7 * 86_400
"""For which a result is stored that has no end of its own."""
AT_ONCE = 8
"""Chunks asked for with one command."""
POLL_SECONDS = (0.005, 0.1)
"""Shortest and longest pause of who waits for another process' run."""


@dataclass(slots=True, eq=False)
class RedisResults:
    """The results in one Redis.

    Attributes:
        generations: whose marks are part of the keys.
        prefix: of all names.
        secret: of the checksums.
        max_entry_bytes: of a result, compressed.
        lock_wait: seconds to wait for another process' run of a statement.
        grace: seconds for which results are stored beyond their lifetime.
    """

    client: Client
    breaker: Breaker
    generations: Generations
    prefix: bytes
    secret: bytes
    max_entry_bytes: int
    lock_wait: float
    grace: float = 0.0

    # ------------------------------------------------------------------------- Shared

    async def open(self, request: Request, *, refresh: bool) -> SharedRows:
        """See ``proxy.cache.results.Shared``."""
        try:
            lock = await self._found_or_locked(request, refresh=refresh)
        except UnavailableError:
            lock = None
        if isinstance(lock, SharedRows):
            return lock
        if lock is None:
            return SharedRows(await request.run(None))
        return SharedRows(await self._run(request, lock))

    async def find(self, request: Request) -> SharedRows | None:
        """See ``proxy.cache.results.Shared``."""
        try:
            return await self._find(request) if self._is_usable else None
        except UnavailableError:
            return None

    @property
    def is_available(self) -> bool:
        """See ``proxy.cache.results.Shared``."""
        return not self.breaker.is_open

    @property
    def refused_marks(self) -> int:
        """See ``proxy.cache.results.Shared``."""
        return self.generations.refused

    @property
    def _is_usable(self) -> bool:
        return not self.breaker.is_open and self.generations.are_shared

    async def _found_or_locked(
        self, request: Request, *, refresh: bool
    ) -> SharedRows | Lock | None:
        """The rows, or the right to run the statement; None where Redis is to be left alone."""
        deadline = time.monotonic() + self.lock_wait
        pause, longest = POLL_SECONDS
        while self._is_usable:
            found = None if refresh else await self._find(request)
            if found is not None:
                return found
            entry = self._name(request)
            lock = await Lock.take(self.client, self.breaker, entry, force=refresh)
            if lock is not None:
                return lock
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        return None

    async def _run(self, request: Request, lock: Lock) -> StoredSource:
        seconds = min(request.lifetime, LONGEST_SECONDS) + self.grace
        storing = Storing(
            self.client,
            self.breaker,
            lock,
            self._name(request),
            request.shared_key,
            self.secret,
            max(1, math.ceil(seconds * 1000)),
            self.max_entry_bytes,
            request.form,
        )
        try:
            source = await request.run(storing.add)
        except BaseException:
            storing.abandon()
            raise
        return StoredSource(source, storing, with_rows=request.encoder is None)

    def _name(self, request: Request) -> bytes:
        # In braces, so that a Cluster keeps all of an entry's names in one place.
        return b"%s:{%s}" % (self.prefix, request.shared_key.hex().encode())

    # ------------------------------------------------------------------------- reading

    async def _find(self, request: Request) -> SharedRows | None:
        """The rows, if they are stored, whole and young enough. Raises UnavailableError."""
        name = self._name(request)
        data, now = await self.breaker.call(lambda: timed_value(self.client, name))
        if data is None or len(data) > self.max_entry_bytes:
            return None
        try:
            head = unpack_head(data, request.shared_key, self.secret)
            age = (now - head.stored) / 1000
            # In the future it was stored only where Redis' clock has been set back.
            if not 0 <= age < request.lifetime:
                return None
            rows = unpack_written(head.written, request.form)
            if rows is not None and request.encoder is not None:
                return SharedRows(WrittenSource(rows), age)
            chunks = [head.first] if head.chunks else []
            chunks += await self._chunks(name, head, request.shared_key, len(data))
        except DamagedError:
            return None
        if (head.kind == ARROW) != (request.encoder is not None) and chunks:
            return None
        return SharedRows(ChunkSource(chunks, request.encoder), age)

    async def _chunks(self, name: bytes, head: Head, key: bytes, size: int) -> list[bytes]:
        """The chunks after the first.

        All of them before a row goes out: who was sent rows cannot be told that the rest is gone.
        """
        found: list[bytes] = []
        for start in range(1, head.chunks, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, head.chunks))
            names = [chunk_name(name, head.nonce, number) for number in numbers]
            values = await self.breaker.call(lambda names=names: self.client.mget(names))  # type: ignore[misc]
            for number, value in zip(numbers, values, strict=True):
                size += 0 if value is None else len(value)
                if value is None or size > self.max_entry_bytes + len(values) * 64:
                    raise DamagedError
                found.append(unpack_chunk(value, key, head.nonce, number, self.secret))
        return found


class WrittenSource:
    """Rows that were stored as they are sent."""

    def __init__(self, rows: EncodedRows) -> None:
        self._rows: EncodedRows | None = rows

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        rows, self._rows = self._rows, None
        return rows if rows is None or rows.rows else None

    async def close(self) -> None:
        """See RowSource."""


class ChunkSource:
    """The rows of stored chunks, written chunk by chunk."""

    def __init__(self, chunks: list[bytes], encoder: RowEncoder | None) -> None:
        self._rows = aiter(_written(chunks, encoder))

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        return await anext(self._rows, None)

    async def close(self) -> None:
        """See RowSource."""


async def _written(chunks: list[bytes], encoder: RowEncoder | None) -> AsyncIterator[EncodedRows]:
    while chunks:
        chunk = chunks.pop(0)
        if encoder is None:
            is_large = len(chunk) > INLINE_BYTES
            yield await asyncio.to_thread(unpack_rows, chunk) if is_large else unpack_rows(chunk)
            continue
        for batch in unpack_batches(chunk):
            if batch.num_rows <= ENCODE_INLINE_ROWS:
                yield encoder.encode(batch)
            else:
                yield await in_encoder(encoder.encode, batch)
