"""Giving a backend exactly the settings a session has, in the fewest bytes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from proxy.catalog import protocol

Effect = Literal["none", "settings", "objects"]
"""What a statement may leave behind in its backend: nothing, changed settings, or anything."""

_READERS = frozenset({"select", "with", "values", "table", "show", "explain", "copy", "fetch"})
_SETTERS = frozenset(
    "set reset begin start commit end rollback abort savepoint release".split()  # noqa: SIM905
)
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*([a-z]+)", re.I)
# A quoted identifier with escapes (U&"...") can spell set_config in a way that is not seen here.
_SETS = re.compile(r"set_config|u&|discard", re.I)
# Only by one of these words can a statement make a temporary table.
_MAKES = re.compile(r"\b(?:create|into)\b", re.I)

# From the beginning of a word, and never back: a text of one long word is read once.
_DOTTED = re.compile(r"(?<![\w$])[a-z_][\w$]*+(?:\.[a-z_][\w$]*+)+", re.I)

_TYPED = frozenset(
    """search_path datestyle timezone intervalstyle standard_conforming_strings backslash_quote
    transform_null_equals array_nulls xmloption lc_monetary lc_numeric lc_time
    default_text_search_config timezone_abbreviations escape_string_warning""".split()  # noqa: SIM905
)
"""Settings that can change how a statement is parsed; only these matter to analysis."""


@dataclass(frozen=True, slots=True)
class Preamble:
    """What must be sent before a statement, and how many ReadyForQuery it will answer with."""

    data: bytes
    answers: int


NO_PREAMBLE = Preamble(b"", 0)


def effect_of(sql: str) -> Effect:
    """What running a statement may leave behind. Errs on the side of more."""
    found = _FIRST_WORD.match(sql)
    verb = found.group(1).lower() if found else ""
    if _MAKES.search(sql):
        return "objects"
    if verb in _READERS:
        return "settings" if _SETS.search(sql) else "none"
    if verb in _SETTERS or not sql.strip():
        return "settings"
    return "objects"


def normalised(settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings under lower-case names: PostgreSQL's are not case-sensitive.

    Without ``client_encoding``: statements go to the catalog, and rows come from it, in UTF-8.
    """
    lowered = {name.lower(): value for name, value in settings.items()}
    lowered.pop("client_encoding", None)
    return lowered


def custom_names(sql: str) -> set[str]:
    """What may be names of custom settings in a statement: words with a dot in them."""
    return {found.lower() for found in _DOTTED.findall(sql)}


def settings_query(custom: Collection[str]) -> str:
    """A query for names and values of all settings that differ from a fresh session's."""
    parts = [
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'",
        "SELECT 'role', pg_catalog.current_setting('role') "
        "WHERE pg_catalog.current_setting('role') <> 'none'",
    ]
    if custom:
        # Names hold no commas. A part for each would cost the square of their number.
        names = protocol.literal(",".join(sorted(custom)))
        parts.append(
            "SELECT name, value "
            f"FROM pg_catalog.unnest(pg_catalog.string_to_array({names}, ',')) name, "
            "pg_catalog.current_setting(name, true) value WHERE value <> ''"
        )
    return " UNION ".join(parts)


def relevant_to_types(settings: Mapping[str, str]) -> dict[str, str]:
    """Those settings that can change an analysis, under lower-case names."""
    return {
        lowered: value for name, value in settings.items() if (lowered := name.lower()) in _TYPED
    }


def preamble(applied: Mapping[str, str] | None, wanted: Mapping[str, str]) -> Preamble:
    """How to take a backend from one state to another.

    Args:
        applied: settings it has now; None when unknown, or when objects may be left in it.
        wanted: settings it shall have. Both under lower-case names.
    """
    data, answers = b"", 0
    if applied is None:
        data, answers, applied = protocol.query("DISCARD ALL"), 1, {}
    if applied == wanted:
        return Preamble(data, answers)
    changes = [
        f"pg_catalog.set_config({protocol.literal(name)}, NULL, false)"
        for name in applied
        if name not in wanted
    ]
    changes += [
        f"pg_catalog.set_config({protocol.literal(name)}, {protocol.literal(value)}, false)"
        for name, value in wanted.items()
        if applied.get(name) != value
    ]
    return Preamble(data + protocol.query("SELECT " + ", ".join(changes)), answers + 1)
