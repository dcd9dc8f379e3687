"""interval as text in the four styles (PostgreSQL manual, 8.5.5), and binary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from proxy.rows.cells import Cells, binaries, fixed_cells, raw, validity, variable_cells

HOUR, MINUTE, SECOND = 3_600_000_000, 60_000_000, 1_000_000
STORED = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanos", "<i8")])
_SENT = np.dtype([("micros", ">i8"), ("days", ">i4"), ("months", ">i4")])


def _split(months: int, micros: int) -> tuple[int, int, int, int, int, int]:
    """Years, months, hours, minutes, seconds and microseconds, each with its sign."""
    year, month = divmod(abs(months), 12)
    if months < 0:
        year, month = -year, -month
    size = abs(micros)
    hour, size = divmod(size, HOUR)
    minute, size = divmod(size, MINUTE)
    second, fraction = divmod(size, SECOND)
    sign = -1 if micros < 0 else 1
    return year, month, sign * hour, sign * minute, sign * second, sign * fraction


def _seconds(second: int, fraction: int, width: int) -> str:
    """Absolute seconds with the fraction's trailing zeros removed."""
    text = f"{abs(second):0{width}d}"
    return f"{text}.{abs(fraction):06d}".rstrip("0") if fraction else text


def postgres_style(months: int, days: int, micros: int) -> str:
    """``1 year 2 mons -3 days +04:05:06.7``."""
    year, month, hour, minute, second, fraction = _split(months, micros)
    parts: list[str] = []
    before = False
    for value, unit in ((year, "year"), (month, "mon"), (days, "day")):
        if value:
            plus = "+" if before and value > 0 else ""
            parts.append(f"{plus}{value} {unit}{'' if value == 1 else 's'}")
            before = value < 0
    if not parts or micros:
        sign = "-" if micros < 0 else "+" if before else ""
        clock = f"{abs(hour):02d}:{abs(minute):02d}:{_seconds(second, fraction, 2)}"
        parts.append(sign + clock)
    return " ".join(parts)


def verbose_style(months: int, days: int, micros: int) -> str:
    """``@ 1 year 2 mons 3 days 4 hours 5 mins 6.7 secs ago``."""
    year, month, hour, minute, second, fraction = _split(months, micros)
    units = ((year, "year"), (month, "mon"), (days, "day"), (hour, "hour"), (minute, "min"))
    text, ago = "@", False
    first = True
    for value, unit in units:
        if value:
            if first:
                ago = value < 0
            shown = abs(value) if first else -value if ago else value
            text += f" {shown} {unit}{'' if shown == 1 else 's'}"
            first = False
    if second or fraction:
        negative = micros < 0
        if first:
            ago = negative
        minus = "-" if negative != ago and not first else ""
        plural = "" if abs(second) == 1 and not fraction else "s"
        text += f" {minus}{_seconds(second, fraction, 1)} sec{plural}"
        first = False
    if first:
        text += " 0"
    return text + " ago" if ago else text


def iso_style(months: int, days: int, micros: int) -> str:
    """``P1Y2M-3DT4H5M6.7S``."""
    if not (months or days or micros):
        return "PT0S"
    year, month, hour, minute, second, fraction = _split(months, micros)
    text = "P"
    for value, letter in ((year, "Y"), (month, "M"), (days, "D")):
        if value:
            text += f"{value}{letter}"
    if micros:
        text += "T"
    for value, letter in ((hour, "H"), (minute, "M")):
        if value:
            text += f"{value}{letter}"
    if second or fraction:
        sign = "-" if micros < 0 else ""
        text += f"{sign}{_seconds(second, fraction, 1)}S"
    return text


def sql_style(months: int, days: int, micros: int) -> str:
    """``1-2 3 4:05:06.7``, every field signed where the signs differ."""
    year, month, hour, minute, second, fraction = _split(months, micros)
    negative = min(months, days, micros) < 0
    positive = max(months, days, micros) > 0
    if not (negative or positive):
        return "0"
    clock = f"{abs(minute):02d}:{_seconds(second, fraction, 2)}"
    dated, timed = bool(months), bool(days or micros)
    if (negative and positive) or (dated and timed):
        return (
            f"{'-' if months < 0 else '+'}{abs(year)}-{abs(month)} "
            f"{'-' if days < 0 else '+'}{abs(days)} "
            f"{'-' if micros < 0 else '+'}{abs(hour)}:{clock}"
        )
    sign = "-" if negative else ""
    if dated:
        return f"{sign}{abs(year)}-{abs(month)}"
    if days:
        return f"{sign}{abs(days)} {abs(hour)}:{clock}"
    return f"{sign}{abs(hour)}:{clock}"


STYLES: dict[str, Callable[[int, int, int], str]] = {
    "postgres": postgres_style,
    "postgres_verbose": verbose_style,
    "sql_standard": sql_style,
    "iso_8601": iso_style,
}


def interval_text(array: pa.Array, style: Callable[[int, int, int], str]) -> Cells:
    """A month_day_nano_interval column as text. Each distinct value is laid out once."""
    stored = pa.Array.from_buffers(
        pa.binary(16), len(array), [array.buffers()[0], array.buffers()[1]], offset=array.offset
    )
    encoded = stored.dictionary_encode()
    values = raw(encoded.dictionary, STORED)
    columns = (values["months"], values["days"], to_micros(values["nanos"]))
    texts = [style(*one).encode() for one in zip(*(c.tolist() for c in columns), strict=True)]
    return variable_cells(binaries(texts).take(encoded.indices))


def one_to_micros(nanos: int) -> int:
    """Microseconds of one value, what is less left out (towards zero)."""
    return nanos // 1000 if nanos >= 0 else -(-nanos // 1000)


def to_micros(nanos: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.int64]:
    """Microseconds, what is less left out (towards zero)."""
    micros: np.typing.NDArray[np.int64] = np.sign(nanos) * (np.abs(nanos) // 1000)
    return micros


def interval_binary(array: pa.Array) -> Cells:
    """int64 microseconds, int32 days, int32 months (``interval_send``)."""
    stored = raw(array, STORED)
    sent = np.empty(len(array), _SENT)
    sent["micros"] = to_micros(stored["nanos"])
    sent["days"], sent["months"] = stored["days"], stored["months"]
    return fixed_cells(sent, validity(array))
