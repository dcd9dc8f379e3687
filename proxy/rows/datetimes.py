"""date, time, timestamp and timestamptz, a column at a time."""

from __future__ import annotations

import functools
import re
import struct

import numpy as np
import pyarrow as pa

from proxy.rows.calendar import (
    DATE_END,
    DAY,
    EPOCH,
    EPOCH_DAYS,
    FIRST_DAY,
    PLAIN_FIRST,
    PLAIN_LAST,
    clock_table,
    date_digits,
    fractions,
)
from proxy.rows.cells import (
    Array,
    Cells,
    Piece,
    binaries,
    fixed_cells,
    numbers,
    patched,
    ragged,
    raw_filled,
    variable_cells,
    variable_lengths,
)
from proxy.rows.errors import EncodeError
from proxy.rows.moments import INFINITY, MomentStyle, binary_date, binary_timestamp
from proxy.rows.zones import Zone, offset_text

_TIMETZ = re.compile(
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(\.(?P<fraction>\d{1,6}))?"
    r"(?P<sign>[+-])(?P<zhour>\d\d)(:(?P<zminute>\d\d)(:(?P<zsecond>\d\d))?)?",
    re.ASCII,
)


def _by_value(cells: list[bytes], valid: Array | None) -> Cells:
    texts = binaries(cells)
    return Cells((texts,), variable_lengths(texts), valid)


def date_text(array: pa.Array, style: MomentStyle) -> Cells:
    """A date32 column as text."""
    days, valid = raw_filled(array, "<i4")
    if style.output != "ISO":
        return _by_value([style.date(day) for day in days.tolist()], valid)
    odd = (days < PLAIN_FIRST) | (days > PLAIN_LAST)
    if not odd.any():
        return Cells(date_digits(days), 10, valid)
    cells = Cells(date_digits(np.where(odd, 0, days)), 10, valid)
    return patched(cells, len(days), odd, lambda row: style.date(int(days[row])))


def date_binary(array: pa.Array) -> Cells:
    """Days since 2000, big-endian."""
    days, valid = raw_filled(array, "<i4")
    if len(days) and (days.min() < FIRST_DAY or days.max() >= DATE_END):
        sent = np.array([binary_date(day) for day in days.tolist()], ">i4")
        return fixed_cells(sent, valid)
    return fixed_cells((days - np.int32(EPOCH_DAYS)).astype(">i4"), valid)


def _clock(micros: Array) -> tuple[Array, Array]:
    """``HH:MM:SS`` as 8 bytes each, and the microseconds beyond."""
    seconds = micros // 1_000_000
    return clock_table().take(seconds), micros - seconds * 1_000_000


def _with_fraction(
    pieces: list[Piece], size: int, micros: Array
) -> tuple[list[Piece], Array | int]:
    if not micros.any():
        return pieces, size
    data, lengths = fractions(micros)
    return [*pieces, ragged(data, lengths)], lengths + size


def time_text(array: pa.Array) -> Cells:
    """A time64[us] column as text; 24:00:00 is a value."""
    micros, valid = raw_filled(array, "<i8")
    _check_time(micros)
    clock, fraction = _clock(micros)
    pieces, lengths = _with_fraction([clock], 8, fraction)
    return Cells(tuple(pieces), lengths, valid)


def time_binary(array: pa.Array) -> Cells:
    """Microseconds since midnight, big-endian."""
    micros, valid = raw_filled(array, "<i8")
    _check_time(micros)
    return fixed_cells(micros.astype(">i8"), valid)


def _check_time(micros: Array) -> None:
    if len(micros) and (micros.min() < 0 or micros.max() > DAY):
        raise EncodeError("22008", "time out of range")


def timetz_binary_one(text: str) -> bytes:
    """int64 microseconds and int32 seconds west of Greenwich, from PostgreSQL's text of it."""
    match = _TIMETZ.fullmatch(text)
    if match is None:
        raise EncodeError("22007", f'invalid input syntax for type time with time zone: "{text}"')
    hour, minute, second = (int(match[name]) for name in ("hour", "minute", "second"))
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000
    micros += int((match["fraction"] or "").ljust(6, "0"))
    east = int(match["zhour"]) * 3600 + int(match["zminute"] or 0) * 60 + int(match["zsecond"] or 0)
    return struct.pack("!qi", micros, east if match["sign"] == "-" else -east)


def timetz_binary(array: pa.Array) -> Cells:
    """A column of PostgreSQL's timetz texts in binary. Each distinct text is read once."""
    encoded = array.dictionary_encode()
    sent = [timetz_binary_one(text) for text in encoded.dictionary.to_pylist()]
    return variable_cells(binaries(sent).take(encoded.indices))


@functools.lru_cache(maxsize=1024)
def _offsets(zone: Zone) -> tuple[pa.Array, Array, Array]:
    """Texts of a zone's offsets, their lengths, and the texts padded to one size."""
    texts = [offset_text(int(offset)) for offset in zone.offsets]
    lengths = np.array([len(text) for text in texts], np.int64)
    return binaries(texts), lengths, np.array(texts, f"S{lengths.max()}")


def _zone_pieces(zone: Zone, index: Array) -> tuple[Piece, Array | int]:
    texts, lengths, fixed = _offsets(zone)
    used = np.unique(index) if len(index) else index
    if len(used) == 1:
        text: bytes = texts[int(used[0])].as_py()
        return text, len(text)
    widths = np.unique(lengths[used])
    if len(widths) == 1:
        return fixed.astype(f"S{widths[0]}").take(index), int(widths[0])
    return texts.take(numbers(index)), lengths.take(index)


def timestamp_text(array: pa.Array, style: MomentStyle, zone: Zone | None = None) -> Cells:
    """A timestamp[us] column as text; with a zone, timestamptz in it."""
    micros, valid = raw_filled(array, "<i8")
    if style.output != "ISO":
        return _by_value([style.timestamp(one, zone) for one in micros.tolist()], valid)
    # A day aside: the offset of a zone may carry a moment into the neighbouring year.
    odd = (micros < (PLAIN_FIRST + 1) * DAY) | (micros > (PLAIN_LAST - 1) * DAY)
    if not odd.any():
        return _plain_timestamps(micros, valid, zone)
    cells = _plain_timestamps(np.where(odd, 0, micros), valid, zone)
    return patched(cells, len(micros), odd, lambda row: style.timestamp(int(micros[row]), zone))


def _plain_timestamps(micros: Array, valid: Array | None, zone: Zone | None) -> Cells:
    index = None
    if zone is not None and (len(zone.offsets) > 1 or zone.offsets[0]):
        index = zone.index(micros // 1_000_000)
        micros = micros + zone.offsets.take(index) * 1_000_000
    days = micros // DAY
    clock, fraction = _clock(micros - days * DAY)
    pieces, lengths = _with_fraction([*date_digits(days), b" ", clock], 19, fraction)
    if zone is not None:
        if index is None:
            index = np.zeros(len(micros), np.int64)
        piece, size = _zone_pieces(zone, index)
        pieces.append(piece)
        lengths = lengths + size
    return Cells(tuple(pieces), lengths, valid)


def timestamp_binary(array: pa.Array) -> Cells:
    """Microseconds since 2000, big-endian."""
    micros, valid = raw_filled(array, "<i8")
    if len(micros) and (micros.min() < FIRST_DAY * DAY or micros.max() == INFINITY):
        sent = np.array([binary_timestamp(one) for one in micros.tolist()], ">i8")
        return fixed_cells(sent, valid)
    return fixed_cells((micros - EPOCH).astype(">i8"), valid)
