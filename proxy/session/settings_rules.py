"""Which values of settings the server cannot serve, whoever's SET PostgreSQL itself accepts."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import SessionError, Severity
from proxy.queries import CACHE
from proxy.rollups.duration import parse_seconds

MEASURE_AGGREGATES = "cubewire.measure_aggregates"
ROLLUPS = "cubewire.rollups"
MAX_STALENESS = "cubewire.max_staleness"
MODEL_VERSION = "cubewire.model_version"

_OWN = {
    MEASURE_AGGREGATES: ("strict", "defined"),
    CACHE: ("on", "off", "refresh", "only"),
    ROLLUPS: ("on", "off", "only"),
}
_ENCODINGS = frozenset(("utf8", "unicode", "sqlascii"))
_PLANNER = "enable_"
_FIXED = {"standard_conforming_strings": "on", "transform_null_equals": "off"}


def check_settings(settings: Mapping[str, str], severity: Severity = "ERROR") -> None:
    """Refuse settings under which answers would not be right.

    Text is sent in UTF-8 only, and statements are read by the standard's rules for strings and
    for NULL (0A000): the catalog would follow other settings, the warehouse not. The planner of
    the catalog is not for clients to steer (42501): by an index it could pass by the row that
    stops a cube from being read there.
    """
    for name, value in settings.items():
        lowered = name.lower()
        if lowered == "client_encoding" and _letters(value) not in _ENCODINGS:
            raise SessionError(
                "0A000",
                f'client_encoding "{value}" is not supported',
                hint="Use UTF8.",
                severity=severity,
            )
        if value != _FIXED.get(lowered, value):
            raise SessionError(
                "0A000",
                f'{name} = "{value}" is not supported',
                hint=f"Leave it {_FIXED[lowered]}.",
                severity=severity,
            )
        if lowered == MODEL_VERSION:
            raise SessionError(
                "55P02", f'parameter "{MODEL_VERSION}" cannot be changed', severity=severity
            )
        if lowered.startswith(_PLANNER):
            raise SessionError(
                "42501", f'permission denied to set parameter "{name}"', severity=severity
            )
        known = _OWN.get(lowered)
        if known is not None and value not in known:
            raise SessionError(
                "22023",
                f'invalid value for parameter "{name}": "{value}"',
                hint=f"Available values: {', '.join(known)}.",
                severity=severity,
            )
        if lowered == MAX_STALENESS and value and parse_seconds(value) is None:
            raise SessionError(
                "22023",
                f'invalid value for parameter "{name}": "{value}"',
                hint="Write a span such as '10 min', or '' for what the refresh keys allow.",
                severity=severity,
            )


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
