"""Transactions and savepoints."""

from __future__ import annotations

from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.types import (
    Begin,
    Commit,
    Other,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
    SetTransaction,
    Statement,
    TransactionOptions,
)


def transaction_modes(reader: Reader, *, required: bool) -> TransactionOptions:
    """Modes with or without commas between them, up to the statement's end; the last one wins."""
    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    first = True
    while not reader.at_end() or (first and required):
        if not first:
            reader.mark(",")
        first = False
        if reader.word("isolation"):
            reader.need_word("level")
            isolation = isolation_level(reader)
        elif reader.word("read"):
            read_only = reader.need_word("only", "write") == "only"
        elif reader.word("not"):
            reader.need_word("deferrable")
            deferrable = False
        else:
            reader.need_word("deferrable")
            deferrable = True
    return TransactionOptions(isolation, read_only, deferrable)


def isolation_level(reader: Reader) -> str:
    """The level after ISOLATION LEVEL."""
    if reader.word("serializable"):
        return "serializable"
    if reader.word("repeatable"):
        reader.need_word("read")
        return "repeatable read"
    reader.need_word("read")
    return "read " + reader.need_word("committed", "uncommitted")


def begin(reader: Reader) -> Statement:
    """BEGIN [WORK | TRANSACTION] modes."""
    reader.take()
    reader.word("work", "transaction")
    return Begin(transaction_modes(reader, required=False))


def start(reader: Reader) -> Statement:
    """START TRANSACTION modes."""
    reader.take()
    reader.need_word("transaction")
    return Begin(transaction_modes(reader, required=False), start=True)


def commit(reader: Reader) -> Statement:
    """COMMIT or END, and COMMIT PREPARED."""
    verb = reader.take().value
    if verb == "commit" and reader.word("prepared"):
        reader.string()
        reader.need_end()
        return Other("COMMIT PREPARED", reader.text)
    return Commit(_chain(reader))


def rollback(reader: Reader) -> Statement:
    """ROLLBACK or ABORT, ROLLBACK TO, ROLLBACK PREPARED."""
    verb = reader.take().value
    if verb == "rollback" and reader.word("prepared"):
        reader.string()
        reader.need_end()
        return Other("ROLLBACK PREPARED", reader.text)
    reader.word("work", "transaction")
    if verb == "rollback" and reader.word("to"):
        return RollbackTo(_savepoint_name(reader))
    return Rollback(_chain(reader))


def _chain(reader: Reader) -> bool:
    reader.word("work", "transaction")
    chain = False
    if reader.word("and"):
        chain = reader.word("no") is None
        reader.need_word("chain")
    reader.need_end()
    return chain


def savepoint(reader: Reader) -> Statement:
    """SAVEPOINT name."""
    reader.take()
    name = reader.name()
    reader.need_end()
    return Savepoint(name)


def release(reader: Reader) -> Statement:
    """RELEASE [SAVEPOINT] name."""
    reader.take()
    return Release(_savepoint_name(reader))


def _savepoint_name(reader: Reader) -> str:
    # SAVEPOINT may itself be the name.
    if reader.at_word("savepoint") and reader.after().value:
        reader.take()
    name = reader.name()
    reader.need_end()
    return name


def set_transaction(reader: Reader, *, session_characteristics: bool) -> Statement:
    """What follows SET TRANSACTION or SET SESSION CHARACTERISTICS AS TRANSACTION."""
    if not session_characteristics and reader.word("snapshot"):
        snapshot = reader.string()
        reader.need_end()
        return SetTransaction(reader.text, session_characteristics=False, snapshot=snapshot)
    options = transaction_modes(reader, required=True)
    return SetTransaction(reader.text, session_characteristics, options)
