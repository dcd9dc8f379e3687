"""The temporary tables of one session, in a backend of the catalog PostgreSQL of its own.

The backend is taken when the first table is made and ended with the last one. It is always in a
transaction while it works, which follows the session's: blocks, savepoints, and the implicit
transaction around a message. So what PostgreSQL undoes with a transaction is undone here.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from proxy.catalog.errors import CatalogError
from proxy.catalog.private import PrivateBackend, PrivateResult
from proxy.catalog.protocol import identifier, literal
from proxy.catalog.results import CatalogAnalysis, CatalogResult
from proxy.errors import SessionError
from proxy.session.settings import NO_ROLE, Settings
from proxy.session.temporary_catalog import (
    SIZE,
    TABLES,
    arrays_query,
    count_query,
    digits_query,
    narrowed,
    tables_of,
    unscaled,
)
from proxy.session.transaction import Transaction
from proxy.wire.backend import DataRow
from semantic.compiler.api import TemporaryColumn, TemporaryTable
from semantic.compiler.utility.tables import TEMPORARY_SCHEMA, may_change

WATCH_SECONDS = 0.1
"""How often the files of a statement that may write are looked at."""

SLACK_BYTES = 4 * 1024 * 1024
"""What a statement may take on disk above the limit before it has ended: pages, indexes, maps."""

_ROWS = re.compile(r"(?:SELECT|INSERT 0|MERGE) (\d+)\Z")
_FIXED = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""Settings in which values are passed on as text."""


class PrivateCatalog(Protocol):
    """Who opens backends."""

    async def open_private(
        self, user: str, backend_pid: int, role: str | None = None
    ) -> PrivateBackend:
        """A backend for one session alone."""

    def temporary_bytes(self, schema: str) -> int | None:
        """Bytes on disk of what is in a temporary schema; None where that cannot be seen."""


@dataclass(frozen=True, slots=True)
class TemporaryLimits:
    """What the temporary tables of one session may hold; ``max_kept_bytes`` is for cursors."""

    max_rows: int
    max_bytes: int
    max_kept_bytes: int


class TemporaryTables:
    """See the module.

    Attributes:
        tables: as they are now.
        version: grows whenever ``exist`` changes.
        limits: what the tables may hold.
        writes: how often they may have been changed; more often where that was undone.
    """

    def __init__(
        self,
        catalog: PrivateCatalog,
        transaction: Transaction,
        settings: Settings,
        limits: TemporaryLimits,
        user: str,
        process_id: int,
    ) -> None:
        self._catalog = catalog
        self._transaction = transaction
        self._settings = settings
        self.limits = limits
        self._user = user
        self._process_id = process_id
        self._backend: PrivateBackend | None = None
        self._marks: list[int] = []
        self._changed = False
        self._rows = 0
        self.writes = 0
        self._results: weakref.WeakSet[PrivateResult] = weakref.WeakSet()
        self.tables: tuple[TemporaryTable, ...] = ()
        self.version = 0

    def move(self, catalog: PrivateCatalog) -> None:
        """Take the next backend of another catalog: there is none now."""
        self._catalog = catalog

    # ------------------------------------------------------------------------- names

    @property
    def exist(self) -> bool:
        """Whether the session has a backend of its own."""
        return self._backend is not None

    @property
    def schema(self) -> str:
        """The temporary schema's own name."""
        return "" if self._backend is None else self._backend.temporary_schema

    def find(self, schema: str | None, name: str) -> TemporaryTable | None:
        """The table that a name in a statement means."""
        if schema not in (None, TEMPORARY_SCHEMA, self.schema):
            return None
        return next((table for table in self.tables if table.name == name), None)

    def concerns(self, sql: str) -> bool:
        """Whether a statement may name one of the tables, or something of their schema."""
        lowered = sql.lower()
        if TEMPORARY_SCHEMA in lowered or 'u&"' in lowered:
            return True
        return any(_occurs(table, lowered) for table in self.tables)

    async def named_in(self, sql: str) -> tuple[TemporaryTable, ...]:
        """The tables that a statement may name, with what their numbers have in common."""
        lowered = sql.lower()
        escapes = 'u&"' in lowered
        found = [table for table in self.tables if escapes or _occurs(table, lowered)]
        return tuple([await self._narrowed(table) for table in found])

    async def _narrowed(self, table: TemporaryTable) -> TemporaryTable:
        indexes = unscaled(table)
        if not indexes:
            return table
        rows = await (await self.ready()).command(digits_query(table, indexes))
        return narrowed(table, indexes, rows[0])

    # ------------------------------------------------------------------------- statements

    async def ready(self) -> PrivateBackend:
        """The backend in the session's settings and transaction, a new one if there is none.

        Raises 57P02 where the catalog has been restarted and the tables are lost.
        """
        backend = self._backend
        if backend is None:
            settings = self._settings
            user = settings.get("session_authorization") or self._user
            role = settings.get("role")
            role = None if role == NO_ROLE else role
            backend = await self._catalog.open_private(user, self._process_id, role)
            self._backend = backend
            self.version += 1
        if backend.closed:
            self.close()
            raise SessionError(
                "57P02",
                "the temporary tables of this session are lost",
                detail="The catalog PostgreSQL, which held them, has been restarted.",
                hint="Make them again.",
            )
        await self._configured(backend, self._settings.effective())
        return backend

    async def _configured(self, backend: PrivateBackend, settings: dict[str, str]) -> None:
        if backend.transaction_status == "I":
            await backend.configure(settings)
            await backend.command(_begin(self._transaction.modes))
            self._marks.clear()
        for mark in self._transaction.marks[len(self._marks) :]:
            await backend.command(f"SAVEPOINT cubewire_{mark}")
            self._marks.append(mark)
        await backend.configure(settings)

    async def analyse(self, sql: str, parameter_oids: Sequence[int]) -> CatalogAnalysis:
        """See ``OwnBackend``."""
        return await (await self.ready()).analyse(sql, parameter_oids)

    async def open(
        self,
        sql: str,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
        result_formats: Sequence[int] = (),
    ) -> PrivateResult:
        """See ``OwnBackend``. Raises 53400 beyond the limits."""
        backend = await self.ready()
        run = self._write if may_change(sql) else PrivateBackend.open
        result = await run(
            backend, sql, parameter_oids, parameter_formats, parameters, result_formats
        )
        self._results.add(result)
        return result

    async def _write(
        self,
        backend: PrivateBackend,
        sql: str,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
        result_formats: Sequence[int] = (),
    ) -> PrivateResult:
        self.writes += 1
        async with self.watched(backend):
            result = await backend.open(
                sql, parameter_oids, parameter_formats, parameters, result_formats
            )
        # EXPLAIN ANALYZE says nothing of the rows that it has written.
        await self.check_limits("" if result.tag == "EXPLAIN" else result.tag)
        return result

    async def define(
        self,
        sql: str,
        parameter_oids: Sequence[int] = (),
        parameter_formats: Sequence[int] = (),
        parameters: Sequence[bytes | None] = (),
    ) -> PrivateResult:
        """Run a statement that makes, changes or drops tables."""
        self._changed = True
        result = await self._write(
            await self.ready(), sql, parameter_oids, parameter_formats, parameters
        )
        await self.refresh()
        return result

    async def fill(self, name: str, chunks: AsyncIterator[tuple[bytes, int]]) -> int:
        """Put rows into a table; how many.

        Args:
            name: of the table.
            chunks: CopyData messages in binary format, with the number of rows in each.

        Raises 53400 beyond the limits, before what comes beyond them is read.
        """
        backend = await self.ready()
        self.writes += 1
        counted = rows = 0

        async def bounded() -> AsyncIterator[bytes]:
            nonlocal counted, rows
            async for data, number in chunks:
                rows, counted = rows + number, counted + len(data)
                if rows > self.limits.max_rows:
                    raise self.too_many()
                if counted > self.limits.max_bytes + SLACK_BYTES:
                    raise self.too_large()
                yield data

        target = f"pg_temp.{identifier(name)}"
        async with self.watched(backend):
            await backend.copy_in(f"COPY {target} FROM STDIN (FORMAT binary)", bounded())
        await self.check_limits("COPY", rows)
        return rows

    async def provide(self, settings: Mapping[str, str]) -> None:
        """See ``OwnBackend``."""
        values = (f"({literal(name)}, {literal(value)})" for name, value in settings.items())
        await (await self.ready()).command(
            "SELECT pg_catalog.set_config(name, value, true) "
            f"FROM (VALUES {', '.join(values)}) given(name, value)"
        )

    async def copy_out(self, sql: str) -> CatalogResult:
        """See ``OwnBackend``."""
        return await (await self.ready()).copy_out(sql)

    async def arrays(
        self, columns: Sequence[TemporaryColumn], *, text: bool
    ) -> tuple[bytes | None, ...]:
        """See ``OwnBackend``."""
        backend = await self.ready()
        await backend.configure({**self._settings.effective(), **_FIXED})
        found: dict[TemporaryColumn, bytes | None] = {}
        for table in dict.fromkeys(item.table for item in columns):
            own = [item for item in columns if item.table == table]
            query = arrays_query(table, own, text=text)
            result = await backend.open(query, (), (), (), (0 if text else 1,), rows=0)
            data = b"".join([bytes(body) async for body, _ in result])
            found.update(zip(own, DataRow.decode(data[5:]).values, strict=True))
        return tuple(found[item] for item in columns)

    async def refresh(self) -> None:
        """Look which tables there are."""
        backend = self._backend
        if backend is None or backend.transaction_status == "E":
            return
        self.tables = tables_of(await backend.command(TABLES))

    # ------------------------------------------------------------------------- limits

    @asynccontextmanager
    async def watched(self, backend: PrivateBackend) -> AsyncIterator[None]:
        """While a statement runs, stop it once the tables have outgrown their limit (53400)."""
        if self._catalog.temporary_bytes(backend.temporary_schema) is None:
            yield
            return
        over = asyncio.Event()
        task = asyncio.create_task(self._watch(backend, over), name="temporary tables' size")
        try:
            yield
        except CatalogError as error:
            if over.is_set() and error.sqlstate == "57014":
                raise self.too_large() from None
            raise
        finally:
            if over.is_set():
                # A cancel that is still on its way would hit what comes next.
                await asyncio.wait([task])
            task.cancel()

    async def _watch(self, backend: PrivateBackend, over: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            size = self._catalog.temporary_bytes(backend.temporary_schema) or 0
            if size > self.limits.max_bytes + SLACK_BYTES:
                over.set()
                await backend.cancel()
                return

    async def check_limits(self, tag: str, rows: int = 0) -> None:
        """Raise 53400 where the tables hold more than they may.

        Args:
            tag: of the statement that has just run; empty where that is not known.
            rows: how many it has added besides.
        """
        backend = await self.ready()
        counted = _ROWS.match(tag)
        self._rows += rows + (int(counted[1]) if counted else 0)
        if not tag or self._rows > self.limits.max_rows:
            await self.refresh()
            found = await backend.command(count_query(self.tables))
            self._rows = int(found[0][0] or 0)
            if self._rows > self.limits.max_rows:
                raise self.too_many()
        size = await backend.command(SIZE)
        if int(size[0][0] or 0) > self.limits.max_bytes:
            raise self.too_large()

    def too_many(self) -> SessionError:
        """The error of more rows than there may be."""
        return SessionError(
            "53400",
            f"temporary tables of a session may hold {self.limits.max_rows} rows",
            hint="Drop or truncate some, or raise temporary_tables.max_rows.",
        )

    def too_large(self) -> SessionError:
        """The error of more bytes than there may be."""
        return SessionError(
            "53400",
            f"temporary tables of a session may take {self.limits.max_bytes} bytes",
            hint="Drop or truncate some, or raise temporary_tables.max_bytes.",
        )

    # ------------------------------------------------------------------------- transactions

    async def commit(self) -> None:
        """The session's transaction commits. Raises what PostgreSQL says against it."""
        backend = self._backend
        if backend is None:
            return
        if backend.closed:
            await self.ready()
        if backend.transaction_status == "I":
            self._end_if_unused()
            return
        if backend.transaction_status == "E":
            await self.rollback()
            raise SessionError("25P02", "the transaction of the temporary tables has failed")
        for result in list(self._results):
            await result.read_ahead(self.limits.max_kept_bytes)
        self.writes += 1
        await backend.command("COMMIT")
        await self._ended()

    async def rollback(self) -> None:
        """The session's transaction is undone."""
        backend = self._backend
        if backend is None or backend.closed or backend.transaction_status == "I":
            self._end_if_unused()
            return
        self.writes += 1
        await backend.command("ROLLBACK")
        backend.settings_unknown()
        await self._ended()

    async def rollback_to_savepoint(self) -> None:
        """What came after the innermost savepoint that is still open is undone."""
        backend, marks = self._backend, self._transaction.marks
        if backend is None or backend.closed or backend.transaction_status == "I":
            return
        # A savepoint that the backend does not know is later than all that was done there.
        if len(marks) <= len(self._marks):
            self.writes += 1
            await backend.command(f"ROLLBACK TO SAVEPOINT cubewire_{marks[-1]}")
            backend.settings_unknown()
            del self._marks[len(marks) :]
            await self.refresh()

    async def release_savepoints(self) -> None:
        """Savepoints that the session has released."""
        backend, marks = self._backend, self._transaction.marks
        if backend is None or backend.closed or len(self._marks) <= len(marks):
            return
        await backend.command(f"RELEASE SAVEPOINT cubewire_{self._marks[len(marks)]}")
        del self._marks[len(marks) :]

    async def _ended(self) -> None:
        self._marks.clear()
        self._results.clear()
        if self._changed:
            self._changed = False
            await self.refresh()
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._backend is not None and not self.tables and not self._changed:
            self.close()

    async def discard(self) -> None:
        """DISCARD TEMP."""
        if self._backend is not None:
            await self.define("DISCARD TEMP")

    def close(self) -> None:
        """Drop everything by ending the backend."""
        backend, self._backend = self._backend, None
        self._marks.clear()
        self._changed = False
        self._rows = 0
        self._results.clear()
        self.tables = ()
        if backend is not None:
            self.version += 1
            backend.close()


def _occurs(table: TemporaryTable, lowered: str) -> bool:
    return table.name.lower().replace('"', '""') in lowered


def _begin(modes: dict[str, str]) -> str:
    words = ["BEGIN"]
    isolation = modes.get("transaction_isolation")
    if isolation is not None:
        words.append(f"ISOLATION LEVEL {isolation.upper()}")
    read_only = modes.get("transaction_read_only")
    if read_only is not None:
        words.append("READ ONLY" if read_only == "on" else "READ WRITE")
    return " ".join(words)
