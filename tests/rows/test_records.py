"""Composite values are written as record_out and record_send write them."""

from __future__ import annotations

import struct

from proxy.rows.encoded import rows_from_messages
from proxy.rows.records import Record, with_records
from proxy.wire.backend import DataRow


def decoded(message: bytes) -> tuple[bytes | None, ...]:
    """The values of one DataRow."""
    (count,) = struct.unpack_from("!h", message, 5)
    position, values = 7, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", message, position)
        position += 4
        values.append(None if size < 0 else message[position : position + size])
        position += max(size, 0)
    assert position == len(message) == struct.unpack_from("!i", message, 1)[0] + 1
    return tuple(values)


def test_text() -> None:
    record = Record((25,) * 4, 0)
    assert record.value((b"a", None, b"", b"b")) == b'(a,,"",b)'
    assert (
        record.value((b'say "x"', b"c:\\d", b"e,f", b"(g")) == rb'("say ""x""","c:\\d","e,f","(g")'
    )
    assert (
        record.value((b"\t", b"\x0b", b"{1,2}", "é".encode())) == '("\t","\x0b","{1,2}",é)'.encode()
    )
    assert Record((25,), 0).value((None,)) == b"()"


def test_binary() -> None:
    value = Record((23, 25), 1).value((b"\0\0\0\x07", None))
    assert value == struct.pack("!iIiiIi", 2, 23, 4, 7, 25, -1)


def test_places_in_the_row() -> None:
    first = DataRow((b"1", b"2", b"a", b"b", b"c")).encode()
    second = DataRow((None, b"3", None, None, b"")).encode()
    pair, single = Record((25, 25), 0), Record((25,), 0)
    rows = with_records(rows_from_messages(first + second), (pair, None, single, None))
    assert rows.rows == 2
    found = [decoded(bytes(rows.slice(n, n + 1).data)) for n in range(2)]
    assert found == [(b"(a,b)", b"1", b"(c)", b"2"), (b"(,)", None, b'("")', b"3")]
