"""Stores a result in Redis while it goes to the client, never keeping the client waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa

from proxy.cache.breaker import Breaker, UnavailableError
from proxy.cache.lock import Lock
from proxy.cache.redis_client import Client, time_at
from proxy.cache.stored import (
    ARROW,
    ROWS,
    WRITTEN_BYTES,
    Head,
    new_nonce,
    pack_batches,
    pack_chunk,
    pack_head,
    pack_rows,
    pack_written,
)
from proxy.rows.encoded import EncodedRows
from proxy.sources import RowSource

CHUNK_BYTES = 512 * 1024
"""Of rows before they are compressed: what one command carries takes a millisecond or so."""
WAITING_BYTES = 32 * 1024 * 1024
"""Of rows that Redis has not taken yet; beyond it the result is not stored."""
INLINE_BYTES = 64 * 1024
"""Up to here a chunk is compressed on the event loop: a thread hop would cost more."""

Piece: TypeAlias = pa.RecordBatch | EncodedRows


@dataclass(slots=True, eq=False)
class Storing:
    """One result on its way into Redis.

    Attributes:
        entry: the name under which its head will stand.
        key: what its checksums are about.
        lifetime: milliseconds for which it is stored.
        limit: bytes of it, compressed, at most.
        form: in which its rows are written.
    """

    client: Client
    breaker: Breaker
    lock: Lock
    entry: bytes
    key: bytes
    secret: bytes
    lifetime: int
    limit: int
    form: bytes
    nonce: bytes = field(default_factory=new_nonce)
    _pieces: list[Piece] = field(default_factory=list)
    _size: int = 0
    _waiting: int = 0
    _chunks: int = 0
    _stored: int = 0
    _first: bytes = b""
    _last: asyncio.Task[None] | None = None
    _over: bool = False
    _kind: bytes = ROWS
    _written: list[EncodedRows] = field(default_factory=list)
    _written_size: int = 0

    def add(self, piece: Piece) -> None:
        """Some more of it."""
        if self._over:
            return
        size = piece.nbytes if isinstance(piece, pa.RecordBatch) else len(piece)
        self._pieces.append(piece)
        self._size += size
        self._waiting += size
        if self._waiting > WAITING_BYTES:
            self.abandon()
        elif self._size >= CHUNK_BYTES:
            self._send()

    def written(self, rows: EncodedRows) -> None:
        """What some of it was written as for the client."""
        self._written_size += len(rows)
        if self._written_size > WRITTEN_BYTES:
            self._written.clear()
        else:
            self._written.append(rows)

    def complete(self) -> asyncio.Task[None]:
        """That was all: put it into place, in the background."""
        if not self._over and self._pieces:
            self._send()
        self._over = True
        return self._after(self._commit)

    def abandon(self) -> None:
        """It is not to be stored."""
        if not self._over:
            self._over = True
            self._pieces.clear()
            self._after(self._give_up)

    def _send(self) -> None:
        pieces, size = self._pieces, self._size
        self._pieces, self._size = [], 0
        self._after(lambda: self._store(pieces, size))

    def _after(self, step: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Steps follow each other, whoever waits for none of them."""
        before = self._last

        async def run() -> None:
            if before is not None:
                await asyncio.wait([before])
            try:
                await step()
            except UnavailableError:
                self._over = True
                self._chunks = -1

        self._last = asyncio.create_task(run(), name="cache store")
        return self._last

    async def _store(self, pieces: list[Piece], size: int) -> None:
        if self._chunks < 0:
            return
        pack = self._pack_batches if isinstance(pieces[0], pa.RecordBatch) else self._pack_rows
        data = pack(pieces) if size <= INLINE_BYTES else await asyncio.to_thread(pack, pieces)
        self._waiting -= size
        self._stored += len(data)
        if self._stored > self.limit:
            raise UnavailableError("larger than cache.redis.max_entry_bytes")
        number, self._chunks = self._chunks, self._chunks + 1
        if number == 0:
            self._first = data
            return
        value = pack_chunk(data, self.key, self.nonce, number, self.secret)
        name = chunk_name(self.entry, self.nonce, number)
        # They outlive the head, so that nobody who has read that one misses them.
        lifetime = self.lifetime + 60_000
        await self.breaker.call(lambda: self.client.set(name, value, px=lifetime))

    def _pack_batches(self, pieces: list[Piece]) -> bytes:
        self._kind = ARROW
        return pack_batches([each for each in pieces if isinstance(each, pa.RecordBatch)])

    def _pack_rows(self, pieces: list[Piece]) -> bytes:
        return pack_rows([each for each in pieces if isinstance(each, EncodedRows)])

    async def _commit(self) -> None:
        if self._chunks < 0:
            await self._give_up()
            return
        small = self._kind == ARROW and self._written_size <= WRITTEN_BYTES
        written = pack_written(self._written, self.form) if small else b""
        now = await self.breaker.call(lambda: time_at(self.client, self.entry))
        head = Head(self._kind, self._chunks, now, self.nonce, self._first, written)
        value = pack_head(head, self.key, self.secret)
        await self.lock.commit(self.entry, value, self.lifetime)

    async def _give_up(self) -> None:
        self._chunks = -1
        await self.lock.release()


def chunk_name(entry: bytes, nonce: bytes, number: int) -> bytes:
    """Under which a chunk after the first stands."""
    return b"%s:%s:%d" % (entry, nonce.hex().encode(), number)


class StoredSource:
    """Rows of the warehouse that are stored as they pass by.

    Args:
        with_rows: whether what is stored is the rows; else somebody else adds what they are of.
    """

    def __init__(self, source: RowSource, storing: Storing, *, with_rows: bool) -> None:
        self._source = source
        self._storing: Storing | None = storing
        self._with_rows = with_rows

    async def next_rows(self) -> EncodedRows | None:
        """See RowSource."""
        storing = self._storing
        try:
            rows = await self._source.next_rows()
        except BaseException:
            self._abandon()
            raise
        if storing is not None:
            if rows is None:
                self._storing = None
                storing.complete()
            elif self._with_rows:
                storing.add(rows)
            else:
                storing.written(rows)
        return rows

    async def close(self) -> None:
        """See RowSource."""
        self._abandon()
        await self._source.close()

    def _abandon(self) -> None:
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.abandon()
