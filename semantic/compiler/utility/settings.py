"""SET, RESET, SHOW and DISCARD."""

from __future__ import annotations

import re
from typing import Literal

from semantic.compiler.utility.lexer import Kind
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.transactions import set_transaction
from semantic.compiler.utility.types import Discard, Other, Reset, Set, Show, Statement
from semantic.errors import SemanticError

# Settings whose values are lists of names: their elements are quoted when the list is joined.
_LISTS_OF_NAMES = frozenset(
    (
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "shared_preload_libraries",
        "local_preload_libraries",
        "unix_socket_directories",
    )
)
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_INTERVAL_FIELDS = ("year", "month", "day", "hour", "minute", "second")


def set_statement(reader: Reader) -> Statement:
    """SET in all its forms."""
    reader.take()
    if reader.at_word("constraints"):
        return Other("SET CONSTRAINTS", reader.text)
    local = False
    if reader.at_word("session", "local"):
        after = reader.after()
        if after.kind is not Kind.MARK and after.value not in ("to", "=", "", "authorization"):
            local = reader.take().value == "local"
            if not local and reader.words("characteristics", "as"):
                reader.need_word("transaction")
                return set_transaction(reader, session_characteristics=True)
    if reader.at_word("transaction") and reader.after().value not in ("to", "="):
        reader.take()
        return set_transaction(reader, session_characteristics=False)
    name, value = _assignment(reader)
    reader.need_end()
    return Set(name, value, local, reader.text)


def _assignment(reader: Reader) -> tuple[str, str | None]:
    after = reader.after()
    special = reader.at_word(*_SPECIAL)
    if special and after.kind is not Kind.MARK and after.value not in ("to", "="):
        return _special(reader, reader.take().value)
    name = setting_name(reader)
    if not (reader.word("to") or reader.operator("=")):
        raise reader.fault()
    if reader.word("default"):
        return name, None
    values = [_value(reader)]
    while reader.mark(","):
        values.append(_value(reader))
    if name in _LISTS_OF_NAMES:
        return name, ", ".join(map(_quote_name, values))
    if len(values) > 1 and name not in _LISTS:
        raise SemanticError("22023", f"SET {name} takes only one argument")
    return name, ", ".join(values)


# Settings that are lists, of other things than names. An extension's setting never is.
_LISTS = frozenset(
    (
        "datestyle",
        "log_destination",
        "wal_consistency_checking",
        "synchronous_standby_names",
        "listen_addresses",
        "debug_io_direct",
        "createrole_self_grant",
    )
)

_SPECIAL = ("time", "names", "schema", "role", "session", "catalog", "xml")


def _special(reader: Reader, word: str) -> tuple[str, str | None]:
    """The spellings of SET that name their setting by key words."""
    if word == "time":
        reader.need_word("zone")
        return "timezone", _zone(reader)
    if word == "names":
        if reader.at_end() or reader.word("default"):
            return "client_encoding", None
        return "client_encoding", reader.string()
    if word == "schema":
        return "search_path", _quote_name(reader.string())
    if word == "role":
        return "role", _word_or_string(reader)
    if word == "session":
        reader.need_word("authorization")
        default = reader.word("default")
        return "session_authorization", None if default else _word_or_string(reader)
    if word == "xml":
        reader.need_word("option")
        return "xmloption", reader.need_word("document", "content")
    reader.string()
    raise SemanticError("0A000", "current database cannot be changed")


def _word_or_string(reader: Reader) -> str:
    return reader.string() if reader.token.kind is Kind.STRING else reader.non_reserved()


def _zone(reader: Reader) -> str | None:
    if reader.word("default", "local"):
        return None
    if reader.word("interval"):
        return _interval_zone(reader)
    if reader.at_number():
        return reader.number()
    if reader.token.kind in (Kind.STRING, Kind.QUOTED_NAME):
        return reader.take().value
    return reader.name()


def _interval_zone(reader: Reader) -> str:
    """An interval constant as the text that the timezone setting understands."""
    if reader.mark("("):
        reader.integer()
        reader.need_mark(")")
    value = reader.string()
    unit: str | None = None
    if not reader.at_end():
        token = reader.token
        unit = reader.need_word(*_INTERVAL_FIELDS)
        if reader.word("to"):
            unit = reader.need_word(*_INTERVAL_FIELDS)
        if unit not in ("hour", "minute"):
            raise SemanticError(
                "42601",
                "time zone interval must be HOUR or HOUR TO MINUTE",
                position=token.start + 1,
            )
    if unit and re.fullmatch(r"\s*[+-]?\d+\s*", value):
        value = f"{value.strip()} {unit}"
    quoted = value.replace("'", "''")
    return f"INTERVAL '{quoted}'"


def _value(reader: Reader) -> str:
    token = reader.token
    if token.kind is Kind.STRING or reader.at_word("true", "false", "on"):
        return reader.take().value
    if reader.at_number():
        return reader.number()
    return reader.non_reserved()


def _quote_name(name: str) -> str:
    if _PLAIN_NAME.match(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def setting_name(reader: Reader) -> str:
    """A setting's name, dotted or not, in lower case."""
    parts = [reader.name()]
    while reader.mark("."):
        parts.append(reader.name())
    return ".".join(parts).lower()


def _named_setting(reader: Reader) -> str:
    """The names that RESET and SHOW spell with several words."""
    if reader.at_word("time") and reader.after().value == "zone":
        reader.take()
        reader.take()
        return "timezone"
    if reader.at_word("transaction") and reader.after().value == "isolation":
        reader.take()
        reader.take()
        reader.need_word("level")
        return "transaction_isolation"
    if reader.at_word("session") and reader.after().value == "authorization":
        reader.take()
        reader.take()
        return "session_authorization"
    return setting_name(reader)


def reset(reader: Reader) -> Statement:
    """RESET name or ALL."""
    reader.take()
    name = None if reader.word("all") else _named_setting(reader)
    reader.need_end()
    return Reset(name)


def show(reader: Reader) -> Statement:
    """SHOW name or ALL."""
    reader.take()
    name = "all" if reader.word("all") else _named_setting(reader)
    reader.need_end()
    return Show(name)


def discard(reader: Reader) -> Statement:
    """DISCARD."""
    reader.take()
    word = reader.need_word("all", "plans", "sequences", "temp", "temporary")
    reader.need_end()
    names: dict[str, Literal["ALL", "PLANS", "SEQUENCES", "TEMP"]] = {
        "all": "ALL",
        "plans": "PLANS",
        "sequences": "SEQUENCES",
    }
    return Discard(names.get(word, "TEMP"))
