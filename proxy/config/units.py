"""Amounts as people write them: ``30s``, ``5min``, ``64MiB``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "b": 1,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
}


def parse_seconds(value: object) -> object:
    """Seconds from text with a unit; anything else is left for the type's own check."""
    if not isinstance(value, str):
        return value
    found = _AMOUNT.fullmatch(value)
    if found is None or found[2] not in _SECONDS:
        raise ValueError("a duration is a number of seconds, or a number with ms, s, min, h or d")
    return float(found[1]) * _SECONDS[found[2]]


def parse_bytes(value: object) -> object:
    """Bytes from text with a unit; anything else is left for the type's own check."""
    if not isinstance(value, str):
        return value
    found = _AMOUNT.fullmatch(value)
    if found is None or found[2].lower() not in _BYTES:
        raise ValueError("a size is a number of bytes, or a number with KiB, MiB or GiB")
    return int(float(found[1]) * _BYTES[found[2].lower()])


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)]
