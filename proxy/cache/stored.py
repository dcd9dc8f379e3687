"""How results are written into Redis: chunks of Arrow or of rows, each under a keyed checksum.

An entry is a head, which holds the first chunk, and further chunks under a name that this writing
of it alone has. A small result of Arrow is there as rows as well, in the form in which it was first
asked for: decoding and encoding it would take longer than fetching it. A checksum covers the
entry's key, the writing and the place of the chunk: what was changed, or stands under another key
than it was stored under, is not read. The head has the moment it was stored, since how long Redis
keeps it can be changed there. Nothing is unpickled.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from proxy.cache.keys import checksum
from proxy.rows.encoded import EncodedRows, rows_from_messages

MAGIC = b"CWR3"
NONCE_BYTES = 16
MAC_BYTES = 32
ARROW, ROWS = b"A", b"R"

WRITTEN_BYTES = 4096
"""Of the rows that are stored beside Arrow, at most."""

_HEAD = struct.Struct(">4s1sIQ16sI")
_WRITTEN = struct.Struct(">HI")
_ROWS = struct.Struct(">QQ")
_SMALL = 16_384
"""Bytes of a batch below which compressing it is not worth the time."""


class DamagedError(Exception):
    """A stored entry that is not, whole and unchanged, what was stored under its key."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an entry.

    Attributes:
        kind: ``ARROW`` or ``ROWS``.
        chunks: how many there are, the first one included; an empty result has none.
        stored: when, in milliseconds of Redis' clock.
        nonce: of this writing.
        first: the first chunk.
        written: the whole result as rows, as ``pack_written`` has it; empty where it is not there.
    """

    kind: bytes
    chunks: int
    stored: int
    nonce: bytes
    first: bytes = b""
    written: bytes = b""


def new_nonce() -> bytes:
    """What tells one writing of an entry from another."""
    return secrets.token_bytes(NONCE_BYTES)


def pack_head(head: Head, key: bytes, secret: bytes) -> bytes:
    """A head as it is stored."""
    fields = (MAGIC, head.kind, head.chunks, head.stored, head.nonce, len(head.written))
    body = b"".join((_HEAD.pack(*fields), head.written, head.first))
    return body + _mac(secret, key, b"head", body)


def unpack_head(data: bytes, key: bytes, secret: bytes) -> Head:
    """Raises DamagedError."""
    body = _checked(data, secret, key, b"head")
    if len(body) < _HEAD.size:
        raise DamagedError
    magic, kind, chunks, stored, nonce, written = _HEAD.unpack_from(body)
    first = _HEAD.size + written
    if magic != MAGIC or first > len(body):
        raise DamagedError
    return Head(kind, chunks, stored, nonce, body[first:], body[_HEAD.size : first])


def pack_chunk(data: bytes, key: bytes, nonce: bytes, number: int, secret: bytes) -> bytes:
    """A chunk after the first as it is stored."""
    return data + _mac(secret, key, b"%s %d" % (nonce, number), data)


def unpack_chunk(data: bytes, key: bytes, nonce: bytes, number: int, secret: bytes) -> bytes:
    """Raises DamagedError."""
    return _checked(data, secret, key, b"%s %d" % (nonce, number))


def _checked(data: bytes, secret: bytes, key: bytes, place: bytes) -> bytes:
    body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, key, place, body)):
        raise DamagedError
    return body


def _mac(secret: bytes, key: bytes, place: bytes, body: bytes) -> bytes:
    return checksum(secret, (key, place, body))


# ------------------------------------------------------------------------------- content


def pack_batches(batches: Sequence[pa.RecordBatch]) -> bytes:
    """Batches of one schema as an Arrow IPC stream, compressed."""
    size = sum(batch.nbytes for batch in batches)
    options = pa.ipc.IpcWriteOptions(compression="zstd" if size > _SMALL else None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack_batches(data: bytes) -> Iterator[pa.RecordBatch]:
    """The batches of a chunk. Raises DamagedError."""
    try:
        with pa.ipc.open_stream(data) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise DamagedError from error


def pack_rows(runs: Sequence[EncodedRows]) -> bytes:
    """Rows that are written already, compressed."""
    data = b"".join(run.data for run in runs)
    rows = sum(run.rows for run in runs)
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return _ROWS.pack(rows, len(data)) + packed


def unpack_rows(data: bytes) -> EncodedRows:
    """The rows of a chunk. Raises DamagedError."""
    try:
        rows, size = _ROWS.unpack_from(data)
        plain = pa.decompress(data[_ROWS.size :], size, codec="zstd", asbytes=True)
    except (struct.error, OSError, ValueError) as error:
        raise DamagedError from error
    return rows_from_messages(plain, rows)


def pack_written(runs: Sequence[EncodedRows], form: bytes) -> bytes:
    """A whole result as rows of a form, to stand beside its Arrow; empty where it is large."""
    if sum(map(len, runs)) > WRITTEN_BYTES:
        return b""
    rows = sum(run.rows for run in runs)
    return b"".join((_WRITTEN.pack(len(form), rows), form, *(run.data for run in runs)))


def unpack_written(data: bytes, form: bytes) -> EncodedRows | None:
    """The rows, if they are there in this form. Raises DamagedError."""
    if not data:
        return None
    try:
        size, rows = _WRITTEN.unpack_from(data)
    except struct.error as error:
        raise DamagedError from error
    start = _WRITTEN.size + size
    return rows_from_messages(data[start:], rows) if data[_WRITTEN.size : start] == form else None
