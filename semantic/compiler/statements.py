"""What kind of statement a text is: the public face of our own statement grammar.

Queries are left whole for the compiler. Everything else is read here, after the grammar that
PostgreSQL's manual gives for each command, so that the session knows exactly what it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from semantic.compiler.utility import copying, cursors, others, settings, tables, transactions
from semantic.compiler.utility.errors import StatementSyntaxError
from semantic.compiler.utility.lexer import Kind
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.split import StatementText, split
from semantic.compiler.utility.types import (
    Begin,
    CloseCursor,
    Commit,
    CopyIn,
    CopyOptions,
    CopyOut,
    CopyServer,
    Deallocate,
    Declare,
    Direction,
    Discard,
    Execute,
    Explain,
    Fetch,
    Listen,
    Lock,
    Notify,
    Other,
    Prepare,
    Release,
    Reset,
    Rollback,
    RollbackTo,
    Savepoint,
    Select,
    Set,
    SetTransaction,
    Show,
    Statement,
    TableChange,
    TransactionOptions,
    Unlisten,
)

# A query is told by its first word alone; comments in front of it take the long way.
_QUERY = re.compile(r"\s*(?:\(|(?:select|with|values|table)\b)", re.IGNORECASE)
_QUERY_WORDS = frozenset(("select", "with", "values", "table"))

_COMMANDS: dict[str, Callable[[Reader], Statement]] = {
    "begin": transactions.begin,
    "start": transactions.start,
    "commit": transactions.commit,
    "end": transactions.commit,
    "rollback": transactions.rollback,
    "abort": transactions.rollback,
    "savepoint": transactions.savepoint,
    "release": transactions.release,
    "set": settings.set_statement,
    "reset": settings.reset,
    "show": settings.show,
    "discard": settings.discard,
    "declare": cursors.declare,
    "fetch": cursors.fetch,
    "move": cursors.fetch,
    "close": cursors.close,
    "prepare": cursors.prepare,
    "execute": cursors.execute,
    "deallocate": cursors.deallocate,
    "copy": copying.copy,
    "explain": others.explain,
    "listen": others.listen,
    "unlisten": others.unlisten,
    "notify": others.notify,
    "lock": others.lock,
    "create": tables.definition,
    "alter": tables.definition,
    "drop": tables.definition,
    **dict.fromkeys(others.PLAIN_VERBS, others.plain),
    **dict.fromkeys(tables.VERBS, tables.change),
    **dict.fromkeys(others.PHRASES, others.phrase),
}


def parse_statement(text: str) -> Statement:
    """One statement's text, without a ``;`` after it, as a value.

    Raises StatementSyntaxError (42601) where it is none that PostgreSQL knows. A query is not
    looked into: whether it is one is for its parser to say.
    """
    if _QUERY.match(text):
        return tables.query(text)
    reader = Reader(text)
    token = reader.token
    if token.kind is Kind.WORD:
        if token.value in _QUERY_WORDS:
            return tables.query(text)
        command = _COMMANDS.get(token.value)
        if command is not None:
            return command(reader)
    elif token.kind is Kind.MARK and token.value == "(":
        return tables.query(text)
    raise reader.fault()


__all__ = [
    "Begin",
    "CloseCursor",
    "Commit",
    "CopyIn",
    "CopyOptions",
    "CopyOut",
    "CopyServer",
    "Deallocate",
    "Declare",
    "Direction",
    "Discard",
    "Execute",
    "Explain",
    "Fetch",
    "Listen",
    "Lock",
    "Notify",
    "Other",
    "Prepare",
    "Release",
    "Reset",
    "Rollback",
    "RollbackTo",
    "Savepoint",
    "Select",
    "Set",
    "SetTransaction",
    "Show",
    "Statement",
    "StatementSyntaxError",
    "StatementText",
    "TableChange",
    "TransactionOptions",
    "Unlisten",
    "parse_statement",
    "split",
]
