"""What the tests of rows share: PostgreSQL's bytes of a value, ours, and values to try."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import psycopg
import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from psycopg import pq

from proxy.rows.encoded import EncodedRows
from proxy.rows.encoder import RowEncoder
from proxy.rows.settings import TextSettings

TEXT, BINARY = 0, 1
FACTOR = int(os.environ.get("TRY_HARDER", "0"))
"""Makes the tests random, and multiplies the number of values they try."""
DEFAULTS = TextSettings()


class Server:
    """PostgreSQL, asked through libpq without any adaptation of values."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._applied = TextSettings()
        self._oids: dict[str, int] = {}

    @property
    def pgconn(self) -> pq.abc.PGconn:
        return self._connection.pgconn

    def oid(self, type_name: str) -> int:
        if type_name not in self._oids:
            result = self.run(f"SELECT '{type_name}'::regtype::oid")
            self._oids[type_name] = int(result[0][0])
        return self._oids[type_name]

    def run(
        self,
        sql: str,
        parameters: Sequence[bytes | None] = (),
        type_names: Sequence[str] = (),
        form: int = TEXT,
        result_form: int = TEXT,
    ) -> list[list[bytes | None]]:
        result = self.pgconn.exec_params(
            sql.encode(),
            list(parameters),
            [self.oid(name) for name in type_names],
            [form] * len(parameters),
            result_form,
        )
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
            raise ServerError((sqlstate or b"").decode(), result.error_message.decode())
        return [
            [result.get_value(row, column) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]

    def apply(self, settings: TextSettings) -> None:
        if settings == self._applied:
            return
        self.run(
            "SELECT set_config('TimeZone', $1, false), set_config('DateStyle', $2, false),"
            " set_config('IntervalStyle', $3, false), set_config('extra_float_digits', $4, false),"
            " set_config('bytea_output', $5, false)",
            [
                settings.time_zone.encode(),
                settings.date_style.encode(),
                settings.interval_style.encode(),
                str(settings.extra_float_digits).encode(),
                settings.bytea_output.encode(),
            ],
            ["text"] * 5,
        )
        self._applied = settings

    def values(
        self,
        type_name: str,
        parameters: Sequence[bytes | None],
        form: int,
        result_form: int,
        settings: TextSettings,
    ) -> list[bytes | None]:
        """What PostgreSQL sends for values that it gets as parameters in format ``form``."""
        self.apply(settings)
        if not parameters:
            return []
        names = ", ".join(f"${n + 1}" for n in range(len(parameters)))
        types = [type_name] * len(parameters)
        return self.run(f"SELECT {names}", parameters, types, form, result_form)[0]


def tries(count: int) -> settings:
    """How often a test is tried: with the same values each time, unless asked otherwise."""
    return settings(
        max_examples=count * max(FACTOR, 1),
        derandomize=not FACTOR,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class ServerError(Exception):
    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate} {message}")
        self.sqlstate = sqlstate


def parsed(rows: EncodedRows) -> list[list[bytes | None]]:
    """Rows of DataRow messages, every length in them checked."""
    data, out, at = bytes(rows.data), [], 0
    starts = [0]
    while at < len(data):
        kind, size, count = struct.unpack_from("!cih", data, at)
        assert kind == b"D"
        end, at, row = at + 1 + size, at + 7, []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length])
            at += max(length, 0)
        assert at == end
        out.append(row)
        starts.append(end)
    assert len(out) == rows.rows
    assert rows.offsets.tolist() == starts
    return out


def encoded(
    type_name: str, array: pa.Array, form: int, settings: TextSettings = DEFAULTS
) -> list[bytes | None]:
    batch = pa.record_batch([array], names=["value"])
    encoder = RowEncoder([type_name], [form], settings)
    rows, small = encoder.encode_columns(batch), encoder.encode(batch)
    assert bytes(rows.data) == bytes(small.data)
    assert rows.offsets.tolist() == small.offsets.tolist()
    return [row[0] for row in parsed(rows)]


@dataclass(frozen=True)
class Kind:
    """A type to try: values, their Arrow array and their bytes as a parameter of PostgreSQL."""

    type_name: str
    values: st.SearchStrategy[object]
    array: Callable[[list[object]], pa.Array]
    parameter: Callable[[object], bytes]
    form: int = BINARY

    def __str__(self) -> str:
        return self.type_name


def _packed(code: str) -> Callable[[object], bytes]:
    return lambda value: struct.pack("!" + code, value)


def _shifted(code: str, epoch: int) -> Callable[[object], bytes]:
    """Arrow's count as PostgreSQL's, the ends of the range being the infinities of both."""
    top = 2 ** (31 if code == "i" else 63) - 1

    def pack(value: object) -> bytes:
        assert isinstance(value, int)
        if abs(value) >= top:
            return struct.pack("!" + code, top if value > 0 else -top - 1)
        return struct.pack("!" + code, value - epoch)

    return pack


def _typed(kind: pa.DataType) -> Callable[[list[object]], pa.Array]:
    return lambda values: pa.array(values, kind)


def _counted(width: int, kind: pa.DataType) -> Callable[[list[object]], pa.Array]:
    """Counts of days or microseconds; pyarrow's own conversion refuses some."""
    integer = pa.int32() if width == 4 else pa.int64()
    return lambda values: pa.array(values, integer).view(kind)


def interval_array(values: list[object]) -> pa.Array:
    stored = np.zeros(len(values), [("m", "<i4"), ("d", "<i4"), ("n", "<i8")])
    for at, value in enumerate(values):
        if value is not None:
            months, days, micros = value  # type: ignore[misc]
            stored[at] = (months, days, micros * 1000)
    mask = pa.array([value is not None for value in values], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(
        pa.month_day_nano_interval(), len(values), [mask, pa.py_buffer(stored)]
    )


DAY = 86_400_000_000
EPOCH_DAYS = 10_957
DATES = st.one_of(
    st.integers(-800_000, 100_000),
    st.integers(-25_600, 47_900),
    st.integers(-2_440_588, 2_145_042_905),
    st.sampled_from([2**31 - 1, -(2**31) + 1, -(2**31), -719_163, -719_162, 2_932_896, 2_932_897]),
)
INSTANTS = st.one_of(
    st.integers(0, 2 * 10**15),
    st.integers(-10_000, 80_000_000).map(lambda second: second * 60 * 10**6),
    st.integers(-4 * 10**12, 9 * 10**12).map(lambda milli: milli * 1000),
    st.integers(-2_440_588 * DAY, 2**63 - 2),
    st.sampled_from([2**63 - 1, -(2**63) + 1, -(2**63)]),
)
# In PostgreSQL 16 an interval's parts are printed correctly unless one is the least number.
INTERVALS = st.tuples(
    st.one_of(st.just(0), st.integers(-30, 30), st.integers(-(2**31) + 1, 2**31 - 1)),
    st.one_of(st.just(0), st.integers(-40, 40), st.integers(-(2**31) + 1, 2**31 - 1)),
    st.one_of(
        st.just(0),
        st.integers(-200_000, 200_000).map(lambda second: second * 10**6),
        st.integers(-(10**12), 10**12),
        st.integers(-9 * 10**15, 9 * 10**15),
    ),
)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
FLOATS = st.one_of(
    st.floats(width=64),
    st.integers(-(10**17), 10**17).map(float),
    st.decimals(-(10**9), 10**9, places=2).map(float),
    st.decimals(-(10**14), 10**14, places=2).map(float),
    st.decimals(10**9, 10**13, places=3).map(float),
    st.tuples(st.integers(1, 10**12), st.integers(-30, 30)).map(lambda p: float(f"{p[0]}e{p[1]}")),
)
FLOATS4 = st.one_of(
    st.floats(width=32),
    st.integers(-(10**9), 10**9).map(lambda n: float(np.float32(n))),
    st.integers(-(10**6), 10**6).map(lambda n: float(np.float32(n / 100))),
)


def _float4_array(values: list[object]) -> pa.Array:
    mask = np.array([value is None for value in values], bool)
    return pa.array(
        np.array([0.0 if value is None else value for value in values], np.float32), mask=mask
    )


def timetz_text(micros: int, offset: int) -> str:
    """A timetz as PostgreSQL writes it."""
    minutes, second = divmod(abs(offset), 60)
    zone = f"{'-' if offset < 0 else '+'}{minutes // 60:02d}"
    if minutes % 60 or second:
        zone += f":{minutes % 60:02d}"
    if second:
        zone += f":{second:02d}"
    whole, fraction = divmod(micros, 1_000_000)
    clock = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return clock + (f".{fraction:06d}".rstrip("0") if fraction else "") + zone


TIMETZ = st.builds(
    timetz_text,
    st.integers(0, DAY),
    st.integers(-56, 56).map(lambda n: n * 900) | st.integers(-57_599, 57_599),
)


def simple(type_name: str, values: st.SearchStrategy[object], kind: pa.DataType, code: str) -> Kind:
    return Kind(type_name, values, _typed(kind), _packed(code))


def _text(value: object) -> bytes:
    return str(value).encode()


NUMERICS = st.one_of(
    st.decimals(-(10**14), 10**14, places=2),
    st.decimals(-1, 1, places=2),
    st.decimals(-(10**19), 10**19, places=2),
)


def decimals(precision: int, scale: int) -> st.SearchStrategy[object]:
    """Decimals of a declared type."""
    return st.one_of(
        st.integers(-(10**precision) + 1, 10**precision - 1), st.integers(-(10**scale), 10**scale)
    ).map(lambda number: Decimal(number).scaleb(-scale))


def numeric_kind(precision: int, scale: int) -> Kind:
    make = pa.decimal128 if precision <= 38 else pa.decimal256
    kind = make(precision, scale)
    return Kind(
        "numeric",
        decimals(min(precision, 27), scale),
        _typed(kind),
        lambda value: format(value, "f").encode(),  # type: ignore[str-bytes-safe]
        TEXT,
    )


KINDS = [
    simple("bool", st.booleans(), pa.bool_(), "?"),
    simple("int2", st.integers(-(2**15), 2**15 - 1), pa.int16(), "h"),
    simple("int4", st.integers(-(2**31), 2**31 - 1), pa.int32(), "i"),
    simple("int8", st.integers(-(2**63), 2**63 - 1), pa.int64(), "q"),
    simple("oid", st.integers(0, 2**32 - 1), pa.uint32(), "I"),
    simple("float8", FLOATS, pa.float64(), "d"),
    Kind("float4", FLOATS4, _float4_array, _packed("f")),
    *[
        numeric_kind(p, s)
        for p, s in ((18, 0), (9, 2), (21, 4), (38, 7), (38, 16), (38, 20), (76, 3))
    ],
    *[
        Kind(name, WORDS, _typed(pa.string()), _text, TEXT)
        for name in ("text", "varchar", "bpchar")
    ],
    Kind("text", WORDS, _typed(pa.large_string()), _text, TEXT),
    Kind("text", WORDS, _typed(pa.string_view()), _text, TEXT),
    Kind("name", st.text("abcäé_ ", max_size=20), _typed(pa.string()), _text, TEXT),
    Kind("date", DATES, _counted(4, pa.date32()), _shifted("i", EPOCH_DAYS)),
    Kind("time", st.integers(0, DAY), _counted(8, pa.time64("us")), _packed("q")),
    Kind("timetz", TIMETZ, _typed(pa.string()), _text, TEXT),
    Kind("timestamp", INSTANTS, _counted(8, pa.timestamp("us")), _shifted("q", EPOCH_DAYS * DAY)),
    Kind(
        "timestamptz",
        INSTANTS,
        _counted(8, pa.timestamp("us", "UTC")),
        _shifted("q", EPOCH_DAYS * DAY),
    ),
    Kind(
        "interval",
        INTERVALS,
        interval_array,
        lambda value: struct.pack("!qii", value[2], value[1], value[0]),  # type: ignore[index]
    ),
    Kind(
        "uuid", st.uuids(), lambda v: pa.array([x and str(x) for x in v], pa.string()), _text, TEXT
    ),
    Kind(
        "uuid",
        st.uuids(),
        lambda v: pa.array([x and x.bytes for x in v], pa.binary(16)),  # type: ignore[attr-defined]
        _text,
        TEXT,
    ),
    Kind("bytea", st.binary(max_size=20), _typed(pa.binary()), bytes, BINARY),  # type: ignore[arg-type]
    Kind(
        "json",
        st.sampled_from(['{"a": 1}', "[1,2]", '"x\\n"', "null"]),
        _typed(pa.string()),
        _text,
        TEXT,
    ),
    Kind(
        "jsonb",
        st.sampled_from(['{"a": 1}', "[1, 2]", '"x\\n"', "null"]),
        _typed(pa.string()),
        _text,
        TEXT,
    ),
]
