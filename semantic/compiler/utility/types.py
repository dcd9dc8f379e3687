"""The statements as values. Offsets are 0-based characters in the parsed statement's text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["FORWARD", "BACKWARD", "ABSOLUTE", "RELATIVE"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement."""


@dataclass(frozen=True, slots=True)
class Select(Statement):
    """SELECT, WITH, VALUES, TABLE or a parenthesised one: what may touch a cube."""

    text: str


@dataclass(frozen=True, slots=True)
class TransactionOptions:
    """Transaction modes. None where the statement does not say.

    Attributes:
        isolation: ``read committed`` and so on, as SHOW transaction_isolation prints it.
        read_only: READ ONLY or READ WRITE.
        deferrable: DEFERRABLE or NOT DEFERRABLE.
    """

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class Begin(Statement):
    """BEGIN or START TRANSACTION (``start``; the command tags differ)."""

    options: TransactionOptions = TransactionOptions()
    start: bool = False


@dataclass(frozen=True, slots=True)
class Commit(Statement):
    """COMMIT or END."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback(Statement):
    """ROLLBACK or ABORT."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Savepoint(Statement):
    """SAVEPOINT."""

    name: str


@dataclass(frozen=True, slots=True)
class Release(Statement):
    """RELEASE [SAVEPOINT]."""

    name: str


@dataclass(frozen=True, slots=True)
class RollbackTo(Statement):
    """ROLLBACK TO [SAVEPOINT]."""

    name: str


@dataclass(frozen=True, slots=True)
class Set(Statement):
    """SET of a setting, in any of its spellings.

    Attributes:
        name: the setting, in lower case (``timezone`` for SET TIME ZONE, ``role`` for SET ROLE).
        value_text: what ``set_config(name, value, ...)`` would be given; None for DEFAULT.
        local: SET LOCAL.
        text: the whole statement.
    """

    name: str
    value_text: str | None
    local: bool
    text: str


@dataclass(frozen=True, slots=True)
class SetTransaction(Statement):
    """SET TRANSACTION, or SET SESSION CHARACTERISTICS AS TRANSACTION.

    Attributes:
        text: the whole statement.
        session_characteristics: for the session's later transactions, not for this one.
        options: the modes.
        snapshot: the name given to SET TRANSACTION SNAPSHOT.
    """

    text: str
    session_characteristics: bool
    options: TransactionOptions = TransactionOptions()
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class Reset(Statement):
    """RESET; ``name`` None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Show(Statement):
    """SHOW; ``name`` is in lower case, ``all`` for ALL."""

    name: str


@dataclass(frozen=True, slots=True)
class Discard(Statement):
    """DISCARD."""

    what: Literal["ALL", "PLANS", "SEQUENCES", "TEMP"]


@dataclass(frozen=True, slots=True)
class Declare(Statement):
    """DECLARE ... CURSOR.

    Attributes:
        name: of the cursor.
        binary: BINARY.
        scroll: SCROLL, NO SCROLL, or None where neither is said.
        hold: WITH HOLD.
        query: the text after FOR.
        query_offset: its offset.
    """

    name: str
    binary: bool
    scroll: bool | None
    hold: bool
    query: str
    query_offset: int


@dataclass(frozen=True, slots=True)
class Fetch(Statement):
    """FETCH or MOVE, its many forms brought to four.

    NEXT is FORWARD 1, PRIOR is BACKWARD 1, FIRST is ABSOLUTE 1, LAST is ABSOLUTE -1, and a bare
    number or ALL is FORWARD.

    Attributes:
        name: of the cursor.
        direction: see above.
        count: None for ALL. May be negative, as PostgreSQL allows.
        move: MOVE, which returns no rows.
    """

    name: str
    direction: Direction
    count: int | None
    move: bool


@dataclass(frozen=True, slots=True)
class CloseCursor(Statement):
    """CLOSE; ``name`` None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Prepare(Statement):
    """PREPARE name (types) AS query."""

    name: str
    type_texts: tuple[str, ...]
    query: str
    query_offset: int


@dataclass(frozen=True, slots=True)
class Execute(Statement):
    """EXECUTE name (arguments)."""

    name: str
    argument_texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deallocate(Statement):
    """DEALLOCATE; ``name`` None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How COPY writes its rows, checked as PostgreSQL checks it.

    Attributes:
        format: the layout.
        delimiter: one character between values.
        null: what stands for NULL.
        header: a first line of column names.
        quote: csv's quote.
        escape: csv's escape.
        force_quote: csv columns always quoted; None is all of them.
        encoding: as named, None for the client's.
    """

    format: Literal["text", "csv", "binary"] = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] | None = ()
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class CopyOut(Statement):
    """COPY (query) TO STDOUT, and COPY table [(columns)] TO STDOUT as the query it stands for.

    Attributes:
        query: what to run.
        options: how to write it.
        query_offset: add it to an offset in ``query`` to get one in the statement. Negative for a
            table, where it fits the table's name.
        relation: the table's name as written; None for a query.
    """

    query: str
    options: CopyOptions
    query_offset: int
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class CopyIn(Statement):
    """COPY ... FROM."""

    text: str


@dataclass(frozen=True, slots=True)
class CopyServer(Statement):
    """COPY to or from a file or program of the server's host, which nobody may."""

    text: str
    program: bool
    reading: bool


@dataclass(frozen=True, slots=True)
class Explain(Statement):
    """EXPLAIN.

    Attributes:
        analyze: run it too.
        format: ``text``, ``json``, ``xml`` or ``yaml``.
        query: the explained statement's text.
        query_offset: its offset.
        options: all options, names in lower case; None where no value was given.
    """

    analyze: bool
    format: str
    query: str
    query_offset: int
    options: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Listen(Statement):
    """LISTEN."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten(Statement):
    """UNLISTEN; ``channel`` None is ``*``."""

    channel: str | None


@dataclass(frozen=True, slots=True)
class Notify(Statement):
    """NOTIFY."""

    channel: str
    payload: str | None


@dataclass(frozen=True, slots=True)
class Lock(Statement):
    """LOCK [TABLE]."""

    text: str


@dataclass(frozen=True, slots=True)
class Other(Statement):
    """Whatever changes data, definitions or the server.

    Attributes:
        verb: PostgreSQL's command tag: ``INSERT``, ``CREATE TABLE``, ``ALTER SYSTEM``.
        text: the whole statement.
        temporary: creates a temporary relation.
    """

    verb: str
    text: str
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class TableChange(Other):
    """A statement that makes, fills, changes or drops tables: what may be about temporary ones.

    Attributes:
        names: schema (None where not said) and name of each table; of the index for DROP INDEX.
        missing_ok: IF EXISTS.
    """

    names: tuple[tuple[str | None, str], ...] = ()
    missing_ok: bool = False

    @property
    def creates(self) -> bool:
        """Whether it makes the table that it names."""
        return self.verb in ("CREATE TABLE", "CREATE TABLE AS", "SELECT INTO")
