"""COPY data equals PostgreSQL's, message for message."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq

from proxy.rows.copying import CopyEncoder, CopyOptions
from proxy.rows.errors import RowsError
from proxy.rows.settings import TextSettings
from tests.rows.support import DEFAULTS, Kind, Server, tries
from tests.rows.test_values import BY_NAME

OPTIONS = [
    ("text", CopyOptions()),
    ("text, DELIMITER '|', NULL 'x'", CopyOptions(delimiter="|", null="x")),
    ("text, DELIMITER '-', HEADER", CopyOptions(delimiter="-", header=True)),
    ("text, NULL ''", CopyOptions(null="")),
    ("csv", CopyOptions("csv")),
    ("csv, HEADER, FORCE_QUOTE *", CopyOptions("csv", header=True, force_quote=None)),
    ("csv, FORCE_QUOTE (a)", CopyOptions("csv", force_quote=("a",))),
    (
        "csv, QUOTE '''', ESCAPE '\\', DELIMITER ' ', NULL 'NaN'",
        CopyOptions("csv", quote="'", escape="\\", delimiter=" ", null="NaN"),
    ),
    ("csv, DELIMITER '1', NULL '2'", CopyOptions("csv", delimiter="1", null="2")),
    ("binary", CopyOptions("binary")),
]
IDS = [text for text, _ in OPTIONS]
WORD = st.text("ab\\.,\"'|-1 \t\n\r\b\f\v\x01é", max_size=4) | st.sampled_from(
    ["\\.", "", "NaN", "x"]
)


def bodies(messages: bytes) -> list[bytes]:
    """Bodies of CopyData messages."""
    out, at = [], 0
    while at < len(messages):
        kind, size = struct.unpack_from("!ci", messages, at)
        assert kind == b"d"
        out.append(messages[at + 5 : at + 1 + size])
        at += 1 + size
    return out


def copied(server: Server, options: str) -> list[bytes]:
    """Bodies that PostgreSQL sends of the table."""
    pgconn = server.pgconn
    result = pgconn.exec_(f"COPY tried TO STDOUT (FORMAT {options})".encode())
    assert result.status == pq.ExecStatus.COPY_OUT, result.error_message
    out = []
    while True:
        size, data = pgconn.get_copy_data(0)
        if size == -1:
            break
        out.append(bytes(data))
    while pgconn.get_result() is not None:
        pass
    return out


def fill(server: Server, kinds: list[Kind], rows: list[tuple[object, ...]]) -> None:
    server.run("DROP TABLE IF EXISTS tried")
    names = "abc"[: len(kinds)]
    columns = ", ".join(f"{name} {kind.type_name}" for name, kind in zip(names, kinds, strict=True))
    server.run(f"CREATE TEMP TABLE tried ({columns})")
    for row in rows:
        forms = [kind.form for kind in kinds]
        marks = ", ".join(f"${n + 1}" for n in range(len(kinds)))
        server.pgconn.exec_params(
            f"INSERT INTO tried VALUES ({marks})".encode(),
            [None if v is None else k.parameter(v) for k, v in zip(kinds, row, strict=True)],
            [server.oid(kind.type_name) for kind in kinds],
            forms,
        )


def ours(kinds: list[Kind], rows: list[tuple[object, ...]], options: CopyOptions) -> list[bytes]:
    names = list("abc"[: len(kinds)])
    encoder = CopyEncoder([kind.type_name for kind in kinds], names, options)
    out = encoder.header()
    for part in (rows[:1], rows[1:]):
        arrays = [kind.array([row[n] for row in part]) for n, kind in enumerate(kinds)]
        if part:
            out += encoder.encode(pa.record_batch(arrays, names=names))
    return bodies(out + encoder.trailer())


@pytest.mark.parametrize(("text", "options"), OPTIONS, ids=IDS)
def test_words(server: Server, text: str, options: CopyOptions) -> None:
    server.apply(DEFAULTS)
    word = Kind("text", WORD, BY_NAME["text"].array, BY_NAME["text"].parameter, 0)
    kinds = [word, BY_NAME["float8"], word]

    @tries(20)
    @given(st.lists(st.tuples(*(st.none() | kind.values for kind in kinds)), max_size=5))
    def equal(rows: list[tuple[object, ...]]) -> None:
        fill(server, kinds, rows)
        assert ours(kinds, rows, options) == copied(server, text)

    equal()


@pytest.mark.parametrize(("text", "options"), OPTIONS, ids=IDS)
def test_one_column(server: Server, text: str, options: CopyOptions) -> None:
    server.apply(DEFAULTS)
    word = Kind("text", WORD, BY_NAME["text"].array, BY_NAME["text"].parameter, 0)

    @tries(20)
    @given(st.lists(st.tuples(st.none() | WORD), max_size=5))
    def equal(rows: list[tuple[object, ...]]) -> None:
        fill(server, [word], rows)
        assert ours([word], rows, options) == copied(server, text)

    equal()


@pytest.mark.parametrize(("text", "options"), [OPTIONS[0], OPTIONS[4], OPTIONS[9]], ids=str)
def test_every_type(server: Server, text: str, options: CopyOptions) -> None:
    server.apply(DEFAULTS)
    kinds = list(BY_NAME.values())

    @tries(25)
    @given(st.data(), st.sampled_from(kinds))
    def equal(data: st.DataObject, kind: Kind) -> None:
        rows = [(value,) for value in data.draw(st.lists(st.none() | kind.values, max_size=4))]
        fill(server, [kind], rows)
        assert ours([kind], rows, options) == copied(server, text)

    equal()


def test_settings_reach_the_text() -> None:
    settings = TextSettings(time_zone="Asia/Kolkata", bytea_output="escape")
    encoder = CopyEncoder(["timestamptz", "bytea"], ["a", "b"], CopyOptions("csv"), settings)
    batch = pa.record_batch(
        [pa.array([0], pa.timestamp("us", "UTC")), pa.array([b"\x00a"])], names=["a", "b"]
    )
    assert bodies(encoder.encode(batch)) == [b"1970-01-01 05:30:00+05:30,\\000a\n"]


def test_unknown_forced_column() -> None:
    with pytest.raises(RowsError, match='column "z" does not exist') as error:
        CopyEncoder(["int4"], ["a"], CopyOptions("csv", force_quote=("z",)))
    assert error.value.sqlstate == "42703"
