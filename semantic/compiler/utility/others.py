"""EXPLAIN, LISTEN and its kin, LOCK, and the command tag of all that we do not run."""

from __future__ import annotations

from semantic.compiler.utility.lexer import Kind
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.types import (
    Explain,
    Listen,
    Lock,
    Notify,
    Other,
    Statement,
    Unlisten,
)
from semantic.errors import SemanticError

_EXPLAIN_FLAGS = frozenset(
    (
        "analyze",
        "verbose",
        "costs",
        "settings",
        "generic_plan",
        "buffers",
        "wal",
        "timing",
        "summary",
    )
)
_FORMATS = ("text", "json", "xml", "yaml")
_TRUE = ("true", "on", "1")
_FALSE = ("false", "off", "0")


def explain(reader: Reader) -> Statement:
    """EXPLAIN [ANALYZE] [VERBOSE] or EXPLAIN (options), and the statement's text."""
    reader.take()
    options: list[tuple[str, str | None]] = []
    after = reader.after()
    if reader.at_mark("(") and not (
        after.value in ("select", "with", "values", "table")
        or (after.kind is Kind.MARK and after.value == "(")
    ):
        options = _listed(reader)
    else:
        if reader.word("analyze", "analyse"):
            options.append(("analyze", None))
        if reader.word("verbose"):
            options.append(("verbose", None))
    query, offset = reader.query()
    analyze, format_ = _checked(options)
    return Explain(analyze, format_, query, offset, tuple(options))


def _listed(reader: Reader) -> list[tuple[str, str | None]]:
    reader.take()
    options: list[tuple[str, str | None]] = []
    while True:
        name = "analyze" if reader.word("analyse") else reader.label()
        value: str | None = None
        if reader.at_number():
            value = reader.number()
        elif reader.token.kind in (Kind.STRING, Kind.WORD, Kind.QUOTED_NAME):
            value = reader.take().value
        options.append((name, value))
        if not reader.mark(","):
            reader.need_mark(")")
            return options


def _checked(options: list[tuple[str, str | None]]) -> tuple[bool, str]:
    values = {}
    for name, value in options:
        if name == "format":
            if value not in _FORMATS:
                raise SemanticError(
                    "22023", f'unrecognized value for EXPLAIN option "format": "{value}"'
                )
            values[name] = value
        elif name not in _EXPLAIN_FLAGS:
            raise SemanticError("42601", f'unrecognized EXPLAIN option "{name}"')
        else:
            lowered = (value or "true").lower()
            if lowered not in _TRUE + _FALSE:
                raise SemanticError("42601", f"{name} requires a Boolean value")
            values[name] = lowered
    analyze = values.get("analyze", "off") in _TRUE
    for name in ("wal", "timing"):
        if values.get(name) in _TRUE and not analyze:
            raise SemanticError("22023", f"EXPLAIN option {name.upper()} requires ANALYZE")
    return analyze, values.get("format", "text")


def listen(reader: Reader) -> Statement:
    """LISTEN channel."""
    reader.take()
    channel = reader.name()
    reader.need_end()
    return Listen(channel)


def unlisten(reader: Reader) -> Statement:
    """UNLISTEN channel or ``*``."""
    reader.take()
    channel = None if reader.operator("*") else reader.name()
    reader.need_end()
    return Unlisten(channel)


def notify(reader: Reader) -> Statement:
    """NOTIFY channel [, payload]."""
    reader.take()
    channel = reader.name()
    payload = reader.string() if reader.mark(",") else None
    reader.need_end()
    return Notify(channel, payload)


def lock(reader: Reader) -> Statement:
    """LOCK [TABLE] names [IN mode MODE] [NOWAIT]."""
    reader.take()
    reader.word("table")
    reader.word("only")
    reader.name()
    return Lock(reader.text)


# Statements whose tag is their first word, whatever follows.
PLAIN_VERBS = frozenset(
    [
        "insert",
        "update",
        "delete",
        "merge",
        "truncate",
        "grant",
        "revoke",
        "comment",
        "vacuum",
        "analyze",
        "analyse",
        "cluster",
        "reindex",
        "do",
        "call",
        "checkpoint",
        "load",
    ]
)
_TAGS = {"truncate": "TRUNCATE TABLE", "analyse": "ANALYZE"}


def plain(reader: Reader) -> Statement:
    """A statement known by its first word."""
    verb = reader.take().value
    return Other(_TAGS.get(verb, verb.upper()), reader.text)


def phrase(reader: Reader) -> Statement:
    """REFRESH MATERIALIZED VIEW, REASSIGN OWNED, SECURITY LABEL, IMPORT FOREIGN SCHEMA."""
    first = reader.take().value
    for word in _PHRASES[first]:
        reader.need_word(word)
    return Other(" ".join((first, *_PHRASES[first])).upper(), reader.text)


_PHRASES = {
    "refresh": ("materialized", "view"),
    "reassign": ("owned",),
    "security": ("label",),
    "import": ("foreign", "schema"),
}
PHRASES = frozenset(_PHRASES)

# What CREATE, ALTER and DROP may be followed by, where it is more than one word.
_OBJECTS = (
    ("access", "method"),
    ("default", "privileges"),
    ("event", "trigger"),
    ("foreign", "data", "wrapper"),
    ("foreign", "table"),
    ("large", "object"),
    ("materialized", "view"),
    ("operator", "class"),
    ("operator", "family"),
    ("text", "search", "configuration"),
    ("text", "search", "dictionary"),
    ("text", "search", "parser"),
    ("text", "search", "template"),
    ("user", "mapping"),
)
_SINGLE_OBJECTS = frozenset(
    [
        "aggregate",
        "cast",
        "collation",
        "conversion",
        "database",
        "domain",
        "extension",
        "function",
        "group",
        "index",
        "language",
        "operator",
        "owned",
        "policy",
        "procedure",
        "publication",
        "role",
        "routine",
        "rule",
        "schema",
        "sequence",
        "server",
        "statistics",
        "subscription",
        "system",
        "table",
        "tablespace",
        "transform",
        "trigger",
        "type",
        "user",
        "view",
    ]
)
_RENAMED = {"user": "role", "group": "role"}
_ADJECTIVES = (
    "or replace",
    "global",
    "local",
    "temp",
    "temporary",
    "unlogged",
    "unique",
    "recursive",
    "constraint",
    "default",
    "trusted",
    "procedural",
)


def definition(reader: Reader) -> Statement:
    """CREATE, ALTER or DROP, with what it is about as the tag's second part."""
    verb = reader.take().value
    temporary = False
    while verb == "create" and reader.at_word(*_ADJECTIVES, "or"):
        if reader.at_word("default") and reader.after().value == "privileges":
            break
        if reader.take().value == "or":
            reader.need_word("replace")
            continue
        temporary = temporary or _was_temporary(reader)
    if verb != "create":
        reader.word("procedural")
    kind = _object(reader)
    tag = f"{verb} {_RENAMED.get(kind, kind)}".upper()
    if tag == "CREATE TABLE" and _has_query(reader):
        tag = "CREATE TABLE AS"
    return Other(tag, reader.text, temporary)


def _was_temporary(reader: Reader) -> bool:
    before = reader.text[: reader.token.start].split()
    return bool(before) and before[-1].lower() in ("temp", "temporary")


def _object(reader: Reader) -> str:
    for phrase_ in _OBJECTS:
        if not reader.at_word(phrase_[0]):
            continue
        rest = Reader(reader.text, reader.token.end)
        if all(rest.word(word) for word in phrase_[1:]):
            reader.token = rest.token
            return " ".join(phrase_)
    if not reader.at_word(*_SINGLE_OBJECTS):
        raise reader.fault()
    return reader.take().value


def _has_query(reader: Reader) -> bool:
    """Whether CREATE TABLE goes on to AS and a query, outside parentheses."""
    depth = 0
    while not reader.at_end():
        token = reader.take()
        if token.kind is Kind.MARK and token.value in "()":
            depth += 1 if token.value == "(" else -1
        elif depth == 0 and token.kind is Kind.WORD and token.value == "as":
            return True
    return False
