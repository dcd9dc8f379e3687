"""Rows as messages: cutting, relaying, conforming, limits."""

from __future__ import annotations

import struct
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import find

from proxy.rows import cells, encoder, scalars
from proxy.rows.encoded import rows_from_bodies, rows_from_messages
from proxy.rows.encoder import RowEncoder
from proxy.rows.errors import EncodeError, RowsError, UnsupportedSetting
from proxy.rows.settings import TextSettings
from tests.rows.support import BINARY, DEFAULTS, KINDS, TEXT, encoded, parsed


def batch(rows: int) -> pa.RecordBatch:
    """Three columns, NULLs in one."""
    words = [None if n % 7 == 3 else "x" * (n % 5) for n in range(rows)]
    numbers = np.arange(rows)
    return pa.record_batch(
        [pa.array(words), pa.array(numbers), pa.array(numbers / 4)], names=list("abc")
    )


ENCODER = RowEncoder(["text", "int8", "float8"], [TEXT, BINARY, TEXT])


@pytest.mark.parametrize("rows", [0, 1, 5, 100])
def test_slices_are_the_rows(rows: int) -> None:
    whole = ENCODER.encode(batch(rows))
    all_rows = parsed(whole)
    for start in (0, 1, 3, 99):
        for stop in (0, 2, 4, 1000):
            part = whole.slice(start, stop)
            assert parsed(part) == all_rows[start:stop]
            assert parsed(part.slice(1, 3)) == all_rows[start:stop][1:3]
            assert len(part) == len(part.data)


@pytest.mark.parametrize("rows", [5, 100])
def test_sliced_batches(rows: int) -> None:
    """Arrow slices share buffers: offsets in them are not the array's own."""
    whole, all_rows = batch(rows), parsed(ENCODER.encode(batch(rows)))
    for start in (1, 4, 61):
        part = whole.slice(start)
        assert parsed(ENCODER.encode(part)) == all_rows[start:]
        assert parsed(ENCODER.encode_columns(part)) == all_rows[start:]


def test_bodies_and_messages() -> None:
    whole = ENCODER.encode(batch(50))
    data = bytes(whole.data)
    bodies = [data[start + 5 : stop] for start, stop in pairwise(whole.offsets.tolist())]
    assert bytes(rows_from_bodies(bodies).data) == data
    for rows in (rows_from_messages(data), rows_from_messages(data, 50)):
        assert parsed(rows.slice(10, 20)) == parsed(whole.slice(10, 20))


def test_no_columns() -> None:
    table = pa.record_batch([pa.nulls(2)], names=["x"]).select([])
    rows = RowEncoder([], []).encode(
        pa.RecordBatch.from_struct_array(pa.array([{}, {}], pa.struct([])))
    )
    assert table.num_columns == 0
    assert parsed(rows) == [[], []]


def test_beyond_two_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where int32 offsets do not reach, large ones are used, with the same bytes."""
    expected = bytes(ENCODER.encode_columns(batch(100)).data)
    lists = pa.array([["a b", None], [], None, ["x"]])
    texts, binaries = (encoded("_text", lists, form) for form in (TEXT, BINARY))
    times = encoded("time", pa.array([1, 2_000], pa.time64("us")), TEXT)
    monkeypatch.setattr(cells, "OFFSET_LIMIT", 10)
    assert bytes(ENCODER.encode_columns(batch(100)).data) == expected
    assert encoded("_text", lists, TEXT) == texts
    assert encoded("_text", lists, BINARY) == binaries
    assert encoded("time", pa.array([1, 2_000], pa.time64("us")), TEXT) == times


def test_too_long_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    one = pa.record_batch([pa.array(["x" * 100, "y"])], names=["a"])
    for module in (encoder, scalars):
        monkeypatch.setattr(module, "LONGEST_ROW", 100)
    for encode in (RowEncoder(["text"], []).encode, RowEncoder(["text"], []).encode_columns):
        with pytest.raises(EncodeError) as error:
            encode(one)
        assert error.value.sqlstate == "54000"


CONFORMING = [
    ("int4", pa.array([1, None], pa.int64()), [b"1", None]),
    ("int8", pa.array([1], pa.uint8()), [b"1"]),
    ("float8", pa.array([1.5], pa.float32()), [b"1.5"]),
    ("numeric", pa.array([1, -2], pa.int64()), [b"1", b"-2"]),
    ("numeric", pa.array(["1.50", "NaN"]), [b"1.50", b"NaN"]),
    ("text", pa.array(["a", None]).dictionary_encode(), [b"a", None]),
    ("text", pa.nulls(2), [None, None]),
    ("_text", pa.nulls(1), [None]),
    ("date", pa.array([86_400_000], pa.date64()), [b"1970-01-02"]),
    ("time", pa.array([1], pa.time32("s")), [b"00:00:01"]),
    ("timestamp", pa.array([1], pa.timestamp("s")), [b"1970-01-01 00:00:01"]),
    ("timestamp", pa.array([1_999], pa.timestamp("ns")), [b"1970-01-01 00:00:00.000001"]),
    ("timestamptz", pa.array([0], pa.timestamp("ms", "Asia/Tokyo")), [b"1970-01-01 00:00:00+00"]),
    ("bytea", pa.array([b"\x01"], pa.large_binary()), [b"\\x01"]),
    ("bytea", pa.array([b"\x01"], pa.binary(1)), [b"\\x01"]),
    ("uuid", pa.array([bytes(16)], pa.binary(16)), [b"00000000-0000-0000-0000-000000000000"]),
    ("_int4", pa.array([[1], None], pa.large_list(pa.int32())), [b"{1}", None]),
    ("_int4", pa.array([[1, 2]], pa.list_(pa.int32(), 2)), [b"{1,2}"]),
]


@pytest.mark.parametrize(("type_name", "array", "values"), CONFORMING)
def test_other_arrow_types(type_name: str, array: pa.Array, values: list[bytes | None]) -> None:
    assert encoded(type_name, array, TEXT) == values


REFUSED = [
    ("int2", pa.array([40_000], pa.int32()), "22003"),
    ("int4", pa.array(["1"]), "42846"),
    ("text", pa.array([1]), "42846"),
    ("_int4", pa.array([1]), "42846"),
    ("_int4", pa.array([[[1]]]), "0A000"),
    ("date", pa.array([2_145_042_906], pa.int32()).view(pa.date32()), "22008"),
    ("timestamp", pa.array([-(2**62)], pa.int64()).view(pa.timestamp("us")), "22008"),
    ("time", pa.array([86_400_000_001], pa.int64()).view(pa.time64("us")), "22008"),
]


@pytest.mark.parametrize(("type_name", "array", "sqlstate"), REFUSED)
@pytest.mark.parametrize("form", [TEXT, BINARY])
@pytest.mark.parametrize("small", [True, False])
def test_refused(type_name: str, array: pa.Array, sqlstate: str, form: int, small: bool) -> None:
    one = RowEncoder([type_name], [form])
    encode = one.encode if small else one.encode_columns
    with pytest.raises(EncodeError) as error:
        encode(pa.record_batch([array], names=["x"]))
    assert error.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    "settings",
    [
        TextSettings(time_zone="Mars/Olympus"),
        TextSettings(date_style="Klingon"),
        TextSettings(interval_style="short"),
        TextSettings(bytea_output="base64"),
    ],
)
def test_unknown_settings(settings: TextSettings) -> None:
    with pytest.raises(UnsupportedSetting) as error:
        RowEncoder(["timestamptz", "interval", "bytea"], [TEXT], settings)
    assert error.value.sqlstate == "0A000"


IMPORTS = """
import sys
import pyarrow as pa
from proxy.rows.encoder import RowEncoder
batch = pa.ipc.open_stream(sys.stdin.buffer.read()).read_next_batch()
for form in (0, 1):
    encoder = RowEncoder(sys.argv[1].split(","), [form])
    encoder.encode(batch)
    encoder.encode_columns(batch)
assert "pandas" not in sys.modules
"""


def test_pandas_is_not_imported() -> None:
    """Arrow imports it for some conversions: a second, and none of the rows' business."""
    columns = [kind.array([find(kind.values, lambda _: True), None]) for kind in KINDS]
    batch = pa.record_batch(columns, names=list(map(str, range(len(KINDS)))))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    names = ",".join(kind.type_name for kind in KINDS)
    data = sink.getvalue().to_pybytes()
    subprocess.run([sys.executable, "-c", IMPORTS, names], input=data, check=True, timeout=50)


def test_formats_of_bind() -> None:
    one = pa.record_batch([pa.array([1], pa.int32())] * 2, names=["a", "b"])
    number = struct.pack("!i", 1)
    assert parsed(RowEncoder(["int4", "int4"], []).encode(one)) == [[b"1", b"1"]]
    assert parsed(RowEncoder(["int4", "int4"], [1]).encode(one)) == [[number, number]]
    assert parsed(RowEncoder(["int4", "int4"], [1, 0]).encode(one)) == [[number, b"1"]]
    with pytest.raises(RowsError) as error:
        RowEncoder(["int4", "int4"], [0, 0, 0], DEFAULTS)
    assert error.value.sqlstate == "08P01"


def test_unknown_type() -> None:
    with pytest.raises(RowsError) as error:
        RowEncoder(["box"], [TEXT])
    assert error.value.sqlstate == "0A000"
