"""What the catalog answers: analyses, and results that are read while they arrive."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from proxy.catalog import connection as wire
from proxy.catalog import protocol
from proxy.catalog.connection import ChildConnection, Message
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.wire.backend import FieldDescription

_FIELD = struct.Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class CatalogAnalysis:
    """What PostgreSQL says of a statement that it has parsed.

    Attributes:
        parameter_oids: types of $1, $2, ...
        columns: name, type OID and type modifier of each result column; empty without a result.
    """

    parameter_oids: tuple[int, ...]
    columns: tuple[tuple[str, int, int], ...]


def fields_of_row(body: bytes) -> tuple[FieldDescription, ...]:
    """Read a RowDescription, with table OID and column number 0.

    Drivers that see a table's OID ask the catalog once more for every column.
    """
    count = int.from_bytes(body[:2])
    fields: list[FieldDescription] = []
    position = 2
    for _ in range(count):
        end = body.index(0, position)
        _, _, oid, size, modifier, code = _FIELD.unpack_from(body, end + 1)
        fields.append(
            FieldDescription(body[position:end].decode(), 0, 0, oid, size, modifier, code)
        )
        position = end + 1 + _FIELD.size
    return tuple(fields)


class CatalogResult:
    """The result of one statement: an asynchronous iterator of (whole messages, their number).

    The messages are DataRow, or CopyData after a COPY. The result must be read to its end, or
    drained, before the backend can run another statement.

    Attributes:
        fields: the columns; None of a statement that returns no rows.
        copy_formats: format of each column of a COPY TO STDOUT, else None.
        tag: the command tag, once exhausted; empty of an empty statement.
        notices: NoticeResponse fields received so far.
        parameter_status: settings reported as changed so far.
        status: transaction status after the statement (I, T, E), once exhausted.
    """

    def __init__(
        self, connection: ChildConnection, preambles: int, *, extended: bool = False
    ) -> None:
        self.fields: tuple[FieldDescription, ...] | None = None
        self.copy_formats: tuple[int, ...] | None = None
        self.tag = ""
        self.notices: list[dict[str, str]] = []
        self.parameter_status: dict[str, str] = {}
        self.status = ""
        self.produced = False
        self.done = False
        self._connection = connection
        self._preambles = preambles
        self._extended = extended
        self._ahead: Message | None = None
        self._error: CatalogError | None = None
        self.on_done: Callable[[CatalogResult], None] | None = None
        self.deadline_passed = False
        self.preamble_failed = False
        self.alters = False

    def __aiter__(self) -> AsyncIterator[tuple[bytes, int]]:
        return self

    async def __anext__(self) -> tuple[bytes, int]:
        message, self._ahead = self._ahead, None
        if message is None:
            message = await self._next_rows()
        if message is None:
            raise StopAsyncIteration
        return message.body, message.number

    async def begin(self) -> None:
        """Read up to the first rows, or to the end. Raises what the statement has met by then."""
        for _ in range(self._preambles):
            problem = await self._connection.skip_to_ready()
            if problem is not None and self._error is None:
                self._error = problem
                self.preamble_failed = True
        self._ahead = await self._next_rows()

    async def drain(self) -> None:
        """Read the rest and forget it, errors too."""
        self._ahead = None
        try:
            while await self._next_rows() is not None:
                pass
        except ConnectionLostError:
            raise
        except CatalogError:
            return

    async def _next_rows(self) -> Message | None:
        connection = self._connection
        while not self.done:
            message = await connection.receive()
            kind = message.kind
            if kind in (wire.DATA_ROW, wire.COPY_DATA):
                if self._error is None:
                    self.produced = True
                    return message
            elif kind == wire.READY_FOR_QUERY:
                self._finish(message)
            else:
                self._take(message)
        return None

    def _take(self, message: Message) -> None:
        kind, body = message.kind, message.body
        if kind == wire.ROW_DESCRIPTION:
            self.fields = fields_of_row(body)
        elif kind == wire.COMMAND_COMPLETE:
            self.tag = body[:-1].decode()
        elif kind == wire.ERROR_RESPONSE:
            if self._error is None:
                self._error = CatalogError.from_fields(protocol.fields_of(body))
        elif kind == wire.NOTICE_RESPONSE:
            self.notices.append(protocol.fields_of(body))
        elif kind == wire.PARAMETER_STATUS:
            name, value = self._connection.note_status(body)
            self.parameter_status[name] = value
        elif kind == wire.COPY_OUT_RESPONSE:
            count = int.from_bytes(body[1:3])
            self.copy_formats = struct.unpack_from(f"!{count}h", body, 3)
        elif kind == wire.COPY_IN_RESPONSE:
            # In copy mode the server has ignored the Sync that was sent behind Execute.
            self._connection.send(protocol.COPY_FAIL + (protocol.SYNC if self._extended else b""))

    def _finish(self, message: Message) -> None:
        self.status = chr(message.body[0])
        self.done = True
        told, self.on_done = self.on_done, None
        if told is not None:
            told(self)
        if self._error is not None:
            raise self._in_own_words(self._error)

    def _in_own_words(self, error: CatalogError) -> CatalogError:
        if error.sqlstate == "57014" and self.deadline_passed:
            return CatalogError("57014", "canceling statement due to statement timeout")
        return error
