"""Which Arrow type stands for a PostgreSQL type, and how a column of it becomes bytes."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from proxy.rows import arrays, datetimes, intervals, scalars, strings
from proxy.rows.cells import Cells, fixed_cells, raw, validity, variable_cells
from proxy.rows.errors import EncodeError, RowsError, UnsupportedSetting
from proxy.rows.floats import float_cells
from proxy.rows.moments import MomentStyle
from proxy.rows.numerics import numeric_binary, numeric_text
from proxy.rows.scalars import Scalar
from proxy.rows.settings import BYTEA_OUTPUTS, TextSettings
from proxy.rows.zones import load_zone
from proxy.wire.oids import TYPES

Vector = Callable[[pa.Array], Cells]
TEXT, BINARY = 0, 1

STRING_TYPES = frozenset({"text", "varchar", "bpchar", "name", "unknown", "json", "timetz"})
_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.uint32(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "interval": pa.month_day_nano_interval(),
    "bytea": pa.binary(),
    **dict.fromkeys((*STRING_TYPES, "jsonb"), pa.string()),
}
_NEVER_QUOTED = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "time", "uuid"}
)
# Network byte order in numpy's and in struct's words.
_WIDTHS = {
    "int2": (">i2", ">h"),
    "int4": (">i4", ">i"),
    "int8": (">i8", ">q"),
    "oid": (">u4", ">I"),
    "float4": (">f4", ">f"),
    "float8": (">f8", ">d"),
}


@dataclass(frozen=True, slots=True)
class Codec:
    """One column's way to bytes.

    Attributes:
        type_name: ``pg_type.typname``.
        vector: a whole Arrow column, already ``conform``ed, as cells.
        scalar: the same as a list of values, for few rows.
    """

    type_name: str
    vector: Vector
    scalar: Scalar


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def conform(array: pa.Array, type_name: str) -> pa.Array:
    """The array in the Arrow type that stands for a PostgreSQL type.

    Raises EncodeError 22003 for a number beyond the type, 42846 where there is no way.
    """
    kind = array.type
    wanted = _ARROW.get(type_name)
    if wanted is not None and kind.equals(wanted):
        return array
    if isinstance(array, pa.ExtensionArray):
        return conform(array.storage, type_name)
    if pa.types.is_dictionary(kind):
        return conform(array.dictionary_decode(), type_name)
    if pa.types.is_null(kind):
        default = pa.list_(pa.null()) if type_name.startswith("_") else pa.string()
        return pa.nulls(len(array), wanted or default)
    if pa.types.is_string_view(kind):
        return conform(array.cast(pa.string()), type_name)
    if pa.types.is_binary_view(kind):
        return conform(array.cast(pa.binary()), type_name)
    if type_name.startswith("_"):
        if pa.types.is_nested(kind) and hasattr(kind, "value_type"):
            return array
        raise _mismatch(kind, type_name)
    try:
        return _converted(array, type_name, wanted)
    except pa.ArrowException as error:
        raise EncodeError("22003", f"{type_name} out of range", detail=str(error)) from error


def _converted(array: pa.Array, type_name: str, wanted: pa.DataType | None) -> pa.Array:
    kind = array.type
    if type_name == "numeric":
        if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
            return array.cast(pa.decimal128(kind.precision, kind.scale))
        if pa.types.is_decimal(kind) or _is_string(kind):
            return array
        if pa.types.is_integer(kind):
            return array.cast(pa.string())
    elif type_name == "uuid":
        if _is_string(kind) or (pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16):
            return array
    elif type_name in STRING_TYPES or type_name == "jsonb":
        if _is_string(kind):
            return array
    elif type_name == "bytea":
        if pa.types.is_large_binary(kind):
            return array
        if pa.types.is_fixed_size_binary(kind):
            return array.cast(pa.binary())
    elif pa.types.is_timestamp(kind) and type_name in ("timestamp", "timestamptz"):
        # Its zone is a matter of display: the stored number is UTC either way.
        return array.cast(pa.timestamp("us", kind.tz), safe=False)
    elif _kin(kind, type_name):
        safe = not pa.types.is_time(kind) and not pa.types.is_floating(kind)
        return array.cast(wanted, safe=safe)
    raise _mismatch(kind, type_name)


def _mismatch(kind: pa.DataType, type_name: str) -> EncodeError:
    return EncodeError("42846", f"cannot cast a column of Arrow type {kind} to type {type_name}")


def _kin(kind: pa.DataType, type_name: str) -> bool:
    """Whether Arrow's cast between the two is the one PostgreSQL would make."""
    if type_name in ("int2", "int4", "int8", "oid"):
        return bool(pa.types.is_integer(kind))
    if type_name in ("float4", "float8"):
        return bool(
            pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
        )
    if type_name == "date":
        return bool(pa.types.is_date64(kind))
    return bool(type_name == "time" and pa.types.is_time(kind))


def _integer_text(array: pa.Array) -> Cells:
    return variable_cells(array.cast(pa.string()))


def _swapped(array: pa.Array, sent: str) -> Cells:
    """Fixed-width numbers in network byte order."""
    stored: npt.DTypeLike = np.dtype(sent).newbyteorder("<")
    return fixed_cells(raw(array, stored).astype(sent), validity(array))


def _text_ways(type_name: str, settings: TextSettings) -> tuple[Vector, Scalar]:
    """The two ways to text of a type whose text depends on settings."""
    if type_name in ("float4", "float8"):
        kind = "<f4" if type_name == "float4" else "<f8"
        digits = settings.extra_float_digits
        vector = functools.partial(float_cells, kind=kind, extra_float_digits=digits)
        return vector, scalars.mapped(scalars.float_text(kind, digits))
    if type_name == "bytea":
        if settings.bytea_output not in BYTEA_OUTPUTS:
            raise UnsupportedSetting(f'unsupported bytea_output: "{settings.bytea_output}"')
        if settings.bytea_output == "hex":
            return strings.bytea_hex, scalars.mapped(scalars.bytea_hex)
        return strings.bytea_escape, scalars.mapped(strings.escape_text)
    if type_name == "interval":
        style = intervals.STYLES.get(settings.interval_style.lower())
        if style is None:
            raise UnsupportedSetting(f'unsupported IntervalStyle: "{settings.interval_style}"')
        whole = functools.partial(intervals.interval_text, style=style)
        return whole, scalars.interval_text(style)
    moment = MomentStyle(*settings.date_format())
    if type_name == "date":
        dates = functools.partial(datetimes.date_text, style=moment)
        return dates, scalars.from_stored(moment.date, "<i4")
    zone = load_zone(settings.time_zone) if type_name == "timestamptz" else None
    moments = functools.partial(datetimes.timestamp_text, style=moment, zone=zone)
    return moments, scalars.from_stored(scalars.timestamp_text(moment, zone), "<i8")


_BY_SETTINGS = frozenset(
    {"float4", "float8", "bytea", "interval", "date", "timestamp", "timestamptz"}
)
_INTEGERS = ("int2", "int4", "int8", "oid")
_TEXT: dict[str, tuple[Vector, Scalar]] = {
    "bool": (strings.bool_text, scalars.mapped(scalars.bool_text)),
    "numeric": (numeric_text, scalars.mapped(scalars.numeric_text)),
    "time": (datetimes.time_text, scalars.from_stored(scalars.time_text, "<i8")),
    "uuid": (strings.uuid_text, scalars.uuid_text),
    "jsonb": (variable_cells, scalars.mapped(str.encode)),
    **dict.fromkeys(_INTEGERS, (_integer_text, scalars.mapped(scalars.integer_text))),
    **dict.fromkeys(STRING_TYPES, (variable_cells, scalars.mapped(str.encode))),
}
_BINARY: dict[str, tuple[Vector, Scalar]] = {
    "bool": (strings.bool_binary, scalars.mapped(scalars.bool_binary)),
    "bytea": (variable_cells, scalars.mapped(bytes)),
    "date": (datetimes.date_binary, scalars.from_stored(scalars.date_binary, "<i4")),
    "interval": (
        intervals.interval_binary,
        scalars.from_stored(scalars.interval_binary, intervals.STORED),
    ),
    "jsonb": (strings.jsonb_binary, scalars.mapped(scalars.jsonb_binary)),
    "numeric": (numeric_binary, scalars.mapped(scalars.numeric_binary)),
    "time": (datetimes.time_binary, scalars.from_stored(scalars.time_binary, "<i8")),
    "timetz": (datetimes.timetz_binary, scalars.mapped(datetimes.timetz_binary_one)),
    "uuid": (strings.uuid_binary, scalars.uuid_binary),
    **dict.fromkeys(
        ("timestamp", "timestamptz"),
        (datetimes.timestamp_binary, scalars.from_stored(scalars.timestamp_binary, "<i8")),
    ),
    **{
        name: (
            functools.partial(_swapped, sent=sent),
            scalars.from_stored(struct.Struct(code).pack, "<" + sent[1:]),
        )
        for name, (sent, code) in _WIDTHS.items()
    },
    **dict.fromkeys(STRING_TYPES - {"timetz"}, (variable_cells, scalars.mapped(str.encode))),
}


def _array_codec(type_name: str, form: int, settings: TextSettings) -> Codec:
    element_name = type_name.removeprefix("_")
    element = codec(element_name, form, settings)

    def cells(elements: pa.Array) -> Cells:
        return element.vector(conform(elements, element_name))

    def values(elements: pa.Array) -> scalars.Values:
        return element.scalar(conform(elements, element_name))

    if form == TEXT:
        plain = element_name in _NEVER_QUOTED
        vector: Vector = functools.partial(arrays.array_text, element=cells, plain=plain)
        return Codec(type_name, vector, functools.partial(scalars.array_text, element=values))
    oid = TYPES[element_name].oid
    vector = functools.partial(arrays.array_binary, element=cells, element_oid=oid)
    scalar = functools.partial(scalars.array_binary, element=values, element_oid=oid)
    return Codec(type_name, vector, scalar)


@functools.lru_cache(maxsize=1024)
def codec(type_name: str, form: int, settings: TextSettings) -> Codec:
    """The codec of a type in format 0 (text) or 1 (binary).

    Raises UnsupportedSetting, or RowsError 0A000 for a type that is not carried.
    """
    try:
        if type_name.startswith("_"):
            return _array_codec(type_name, form, settings)
        if form == BINARY:
            return Codec(type_name, *_BINARY[type_name])
        if type_name in _BY_SETTINGS:
            return Codec(type_name, *_text_ways(type_name, settings))
        return Codec(type_name, *_TEXT[type_name])
    except KeyError:
        word = "text" if form == TEXT else "binary"
        raise RowsError("0A000", f"type {type_name} has no {word} output here") from None
