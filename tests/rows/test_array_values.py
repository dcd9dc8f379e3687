"""Whole columns as arrays: the quick way reads what the general way reads."""

from __future__ import annotations

import struct

import pytest

from proxy.rows.array_values import array_values
from proxy.rows.parameters import decode_parameter
from proxy.wire.oids import TYPES


def array(type_name: str, items: list[bytes | None]) -> bytes:
    oid = TYPES[type_name].oid
    flags = int(None in items)
    if not items:
        return struct.pack("!iiI", 0, 0, oid)
    parts = [struct.pack("!iiIii", 1, flags, oid, len(items), 1)]
    for item in items:
        parts.append(struct.pack("!i", -1) if item is None else struct.pack("!i", len(item)) + item)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("type_name", "items"),
    [
        ("int2", [struct.pack("!h", n) for n in (-(2**15), 0, 2**15 - 1)]),
        ("int4", [struct.pack("!i", n) for n in (-(2**31), 1, 2**31 - 1)]),
        ("int8", [struct.pack("!q", n) for n in (-(2**63), 2**63 - 1)]),
        ("float8", [struct.pack("!d", n) for n in (-0.0, 1.5, float("inf"))]),
        ("float4", [struct.pack("!f", 0.25)]),
        ("bool", [b"\0", b"\1"]),
        ("text", [b"", "é".encode(), b"x" * 300]),
        ("bytea", [b"", b"\0\xff"]),
        ("date", [struct.pack("!i", 0)]),
    ],
)
def test_the_same_either_way(type_name: str, items: list[bytes]) -> None:
    for given in (items, [], [None, *items, None], [None]):
        data = array(type_name, list(given))
        expected = decode_parameter(data, f"_{type_name}", 1)
        (found,) = array_values((data,), (f"_{type_name}",), text=False)
        assert found == expected
        assert [type(item) for item in found] == [type(item) for item in expected]  # type: ignore[attr-defined]


def test_text_is_passed_on() -> None:
    assert array_values((b'{1,NULL,"a b"}', None), ("_text", "_text"), text=True) == (
        '{1,NULL,"a b"}',
        None,
    )
