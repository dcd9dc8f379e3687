"""Statements that make, fill, change or drop tables, read as far as telling which tables.

Only temporary tables can be changed; everything else about these statements is for PostgreSQL to
read, which runs them. Of those that fill a table from a query, ``source_of`` cuts the query out, so
that it can be compiled where it reads cubes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from semantic.compiler.utility import others
from semantic.compiler.utility.errors import StatementSyntaxError
from semantic.compiler.utility.lexer import Kind, Token
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.types import Other, Select, Statement, TableChange

VERBS = ("insert", "update", "delete", "merge", "truncate", "analyze", "analyse")
TEMPORARY_SCHEMA = "pg_temp"

Names = tuple[tuple[str | None, str], ...]

_CHANGES = ("into", "insert", "update", "delete", "merge")
_CHANGING = re.compile(rf"\b(?:{'|'.join(_CHANGES)})\b")
_WRITES = ("insert", "update", "delete", "merge")
_QUERIES = ("select", "with", "values", "table")
_AFTER_INTO = (
    *("from", "where", "group", "having", "window", "union", "intersect", "except"),
    *("order", "limit", "offset", "fetch", "for"),
)


@dataclass(frozen=True, slots=True)
class TableSource:
    """The query that fills a table.

    Attributes:
        query: as long as the statement's text up to its end, so that positions fit; what is not of
            the query is blank.
        head: what has to stand before a query to do the same with its rows.
        tail: what has to stand after it: ON CONFLICT, RETURNING.
        with_data: False for WITH NO DATA.
        head_start: where in the statement's text ``head`` stands; None where it is of our making.
    """

    query: str
    head: str
    tail: str = ""
    with_data: bool = True
    head_start: int | None = None


def may_change(text: str) -> bool:
    """Whether a query's text has a word of those that can make it change a table."""
    lowered = text.lower()
    # Looking for plain strings takes a twentieth of the time, and most texts have none of them.
    return any(word in lowered for word in _CHANGES) and _CHANGING.search(lowered) is not None


def query(text: str) -> Statement:
    """A query; or SELECT INTO, or a change of a table behind WITH."""
    if not may_change(text):
        return Select(text)
    reader = Reader(text)
    depth = 0
    before = reader.token
    with_first = reader.at_word("with")
    try:
        while not reader.at_end():
            token = reader.token
            if token.kind is Kind.MARK and token.value in "()":
                depth += 1 if token.value == "(" else -1
            elif depth == 0 and reader.at_word("into"):
                return _select_into(text, reader) or Select(text)
            elif depth == 0 and with_first and before.value == ")" and reader.at_word(*_WRITES):
                return change(reader)
            before = reader.take()
    except StatementSyntaxError:
        return Select(text)
    return Select(text)


def _select_into(text: str, reader: Reader) -> TableChange | None:
    """None where no clause follows, about which PostgreSQL's parser has its say."""
    temporary, name, _ = _into(reader)
    if not (reader.at_end() or reader.at_mark(";") or reader.at_word(*_AFTER_INTO)):
        return None
    return TableChange("SELECT INTO", text, temporary or name[0] == TEMPORARY_SCHEMA, (name,))


def _into(reader: Reader) -> tuple[bool, tuple[str | None, str], str]:
    """``INTO [TEMPORARY] [TABLE] name``: whether temporary, the name, and its text."""
    reader.take()
    reader.word("local", "global")
    temporary = reader.word("temporary", "temp") is not None
    if not temporary:
        reader.word("unlogged")
    reader.word("table")
    start = reader.token.start
    name, end = _name(reader)
    return temporary, name, reader.text[start:end]


def definition(reader: Reader) -> Statement:
    """CREATE, ALTER and DROP, of tables and their indexes with the tables' names."""
    again = Reader(reader.text, reader.token.start)
    found = others.definition(reader)
    if not isinstance(found, Other) or found.verb not in _DEFINITIONS:
        return found
    missing_ok = False
    try:
        while not again.at_word("table", "index"):
            again.take()
        again.take()
        if found.verb == "CREATE INDEX":
            _to_table_of_index(again)
        again.word("concurrently")
        if again.words("if", "not"):
            again.need_word("exists")
        missing_ok = again.words("if", "exists")
        again.word("only")
        names = _names(again) if found.verb.startswith("DROP") else (_name(again)[0],)
    except StatementSyntaxError:
        return found
    temporary = found.temporary or (
        found.verb.startswith("CREATE TABLE") and names[0][0] == TEMPORARY_SCHEMA
    )
    return TableChange(found.verb, found.text, temporary, names, missing_ok)


_DEFINITIONS = frozenset(
    (
        "CREATE TABLE",
        "CREATE TABLE AS",
        "CREATE INDEX",
        "ALTER TABLE",
        "DROP TABLE",
        "DROP INDEX",
    )
)


def _to_table_of_index(reader: Reader) -> None:
    while not reader.at_word("on"):
        if reader.at_end():
            raise reader.fault()
        reader.take()
    reader.take()


def change(reader: Reader) -> Statement:
    """INSERT, UPDATE, DELETE, MERGE, TRUNCATE and ANALYZE."""
    again = Reader(reader.text, reader.token.start)
    found = others.plain(reader)
    if not isinstance(found, Other):
        return found
    try:
        verb = again.take().value
        if verb in ("insert", "merge"):
            again.need_word("into")
        elif verb == "delete":
            again.need_word("from")
        elif verb == "truncate":
            again.word("table")
        elif verb in ("analyze", "analyse"):
            if again.at_mark("("):
                again.items()
            again.word("verbose")
        again.word("only")
        several = verb in ("truncate", "analyze", "analyse")
        names = _names(again) if several else (_name(again)[0],)
    except StatementSyntaxError:
        return found
    return TableChange(found.verb, found.text, False, names)


def _names(reader: Reader) -> Names:
    found = []
    while True:
        reader.word("only")
        found.append(_name(reader)[0])
        reader.operator("*")
        if reader.at_mark("("):
            reader.items()
        if not reader.mark(","):
            return tuple(found)


def _name(reader: Reader) -> tuple[tuple[str | None, str], int]:
    """A table's name, its schema before it, and the offset behind it."""
    end = reader.token.end
    parts = [reader.name()]
    while reader.mark("."):
        end = reader.token.end
        parts.append(reader.label())
    return (parts[-2] if len(parts) > 1 else None, parts[-1]), end


def source_of(statement: TableChange) -> TableSource | None:
    """The query that a CREATE TABLE AS, SELECT INTO or INSERT takes its rows from.

    None where there is none: INSERT ... DEFAULT VALUES, CREATE TABLE ... AS EXECUTE.
    Raises StatementSyntaxError where the text is not of that form.
    """
    if statement.verb == "SELECT INTO":
        return _source_of_into(statement.text)
    if statement.verb == "CREATE TABLE AS":
        return _source_of_create(statement.text)
    return _source_of_insert(statement.text) if statement.verb == "INSERT" else None


def _skip_to(reader: Reader, word: str) -> None:
    """Take everything up to a word that stands in no parentheses. Raises 42601 without one."""
    depth = 0
    while depth or not reader.at_word(word):
        token = reader.take()
        if token.kind is Kind.END:
            raise reader.fault()
        if token.kind is Kind.MARK and token.value in "()":
            depth += 1 if token.value == "(" else -1


def _source_of_into(text: str) -> TableSource:
    reader = Reader(text)
    _skip_to(reader, "into")
    start = reader.token.start
    _, _, name = _into(reader)
    end = reader.token.start
    query_text = text[:start] + _blank(text[start:end]) + text[end:]
    return TableSource(query_text, f"CREATE TEMPORARY TABLE {name} AS ")


def _source_of_create(text: str) -> TableSource | None:
    reader = Reader(text)
    _skip_to(reader, "as")
    reader.take()
    if reader.at_word("execute"):
        return None
    start = reader.token.start
    last: list[Token] = []
    while not reader.at_end():
        last = [*last[-2:], reader.take()]
    words = [token.value if token.kind is Kind.WORD else "" for token in last]
    end, with_data = len(text), True
    if words[-2:] == ["with", "data"]:
        end = last[-2].start
    elif words == ["with", "no", "data"]:
        end, with_data = last[0].start, False
    query_text = _blank(text[:start]) + text[start:end]
    return TableSource(query_text, text[:start], with_data=with_data, head_start=0)


def _source_of_insert(text: str) -> TableSource | None:
    reader = Reader(text)
    _skip_to(reader, "insert")
    start = reader.token.start
    reader.take()
    reader.need_word("into")
    _name(reader)
    if reader.word("as"):
        reader.name()
    after = reader.after()
    if reader.at_mark("(") and not (
        after.value in _QUERIES or (after.kind is Kind.MARK and after.value == "(")
    ):
        reader.items()
    if reader.word("overriding"):
        reader.need_word("system", "user")
        reader.need_word("value")
    if reader.at_word("default"):
        return None
    middle = reader.token.start
    end = _end_of_source(reader)
    query_text = text[:start] + _blank(text[start:middle]) + text[middle:end]
    return TableSource(query_text, text[start:middle], text[end:], head_start=start)


def _end_of_source(reader: Reader) -> int:
    """The offset of ON CONFLICT or RETURNING, or of the text's end."""
    depth = 0
    while not reader.at_end():
        token = reader.token
        if token.kind is Kind.MARK and token.value in "()":
            depth += 1 if token.value == "(" else -1
        elif depth == 0 and (
            reader.at_word("returning")
            or (reader.at_word("on") and reader.after().value == "conflict")
        ):
            return token.start
        reader.take()
    return len(reader.text)


def _blank(text: str) -> str:
    """As many blanks; line breaks stay, so that a comment before them ends where it did."""
    return re.sub(r"[^\n\r]", " ", text)
