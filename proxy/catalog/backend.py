"""A leased backend: one client's connection to the catalog PostgreSQL for some statements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from proxy.catalog import connection as wire
from proxy.catalog import protocol
from proxy.catalog.connection import ChildConnection
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.catalog.pool import Pool, Slot
from proxy.catalog.results import CatalogAnalysis, CatalogResult, fields_of_row
from proxy.catalog.settings import custom_names, effect_of, normalised, preamble, settings_query

__all__ = ["CatalogAnalysis", "CatalogBackend", "CatalogResult", "Lease"]

CANCEL_GRACE = 5.0
"""Seconds between the cancel of a statement and the end of its connection."""

RELEASE_GRACE = 2.0
"""Seconds a backend gets to become idle when its lease ends."""

ATTEMPTS = 3

_T = TypeVar("_T")


class CatalogBackend:
    """Runs statements, one at a time, in the settings of one session.

    A child that dies is not seen here as long as nothing of the statement's result had arrived and
    no transaction was open: the statement runs again on its successor.
    """

    def __init__(
        self,
        pool: Pool,
        user: str,
        settings: Mapping[str, str],
        extra: Mapping[str, str],
        deadline: float,
    ) -> None:
        self._pool = pool
        self._user = user
        self._extra = normalised(extra)
        self._settings = {**normalised(settings), **self._extra}
        self._deadline = deadline
        self._slot: Slot | None = None
        self._result: CatalogResult | None = None
        self._configured = False
        self._altered = False
        self._objects = False
        self._custom = {name for name in self._settings if "." in name}
        self._timer: asyncio.TimerHandle | None = None
        self._cancels: set[asyncio.Task[None]] = set()

    @property
    def transaction_status(self) -> str:
        """Of the last ReadyForQuery: I, T or E."""
        return "I" if self._slot is None else self._slot.connection.status

    async def prepare(
        self, sql: str, parameter_oids: Sequence[int], *, deadline: float | None = None
    ) -> CatalogAnalysis:
        """Parse and describe a statement without running it."""
        request = analysis_request(sql, parameter_oids)
        seconds = self._deadline if deadline is None else deadline

        async def ask() -> CatalogAnalysis:
            slot, preambles = await self._send(request)
            try:
                async with asyncio.timeout(seconds):
                    return await read_analysis(slot.connection, preambles)
            except TimeoutError:
                slot.connection.abort()
                raise timed_out() from None

        return await self._surviving(ask)

    async def run(
        self,
        sql: str,
        parameter_oids: Sequence[int],
        parameter_formats: Sequence[int],
        parameters: Sequence[bytes | None],
        result_formats: Sequence[int],
        *,
        deadline: float | None = None,
    ) -> CatalogResult:
        """Run one statement by the extended protocol.

        Args:
            deadline: seconds the statement may take, rows read; None is the catalog's own.
        """
        request = (
            protocol.parse(sql, parameter_oids)
            + protocol.bind(parameter_formats, parameters, result_formats)
            + protocol.DESCRIBE_PORTAL
            + protocol.EXECUTE
            + protocol.SYNC
        )
        return await self._start(sql, request, deadline, extended=True)

    async def run_simple(self, sql: str, *, deadline: float | None = None) -> CatalogResult:
        """Run one statement by the simple protocol; its rows are text."""
        return await self._start(sql, protocol.query(sql), deadline, extended=False)

    async def session_settings(self) -> dict[str, str]:
        """Settings of this backend that differ from a fresh one's, by PostgreSQL's own names.

        Those of the lease are among them; those given as ``extra`` are not. Custom settings
        (``cubewire.*``) are found by the names in the lease's settings and statements: PostgreSQL
        does not list them.
        """
        slot, preambles = await self._send(b"", 0)
        for _ in range(preambles):
            await slot.connection.skip_to_ready()
        rows = await slot.connection.execute(settings_query(self._custom))
        found = {name or "": value or "" for name, value in rows}
        shown = {name: value for name, value in found.items() if name.lower() not in self._extra}
        self._settings = {**normalised(shown), **self._extra}
        self._altered = self._objects
        encoding = next(
            (found[name] for name in found if name.lower() == "client_encoding"), "UTF8"
        )
        if not self._objects and encoding.upper() in ("UTF8", "UNICODE"):
            # Else it stays unknown, and the next lease begins with DISCARD ALL.
            slot.applied = normalised(found)
        return shown

    async def cancel(self) -> None:
        """Cancel what runs, if something does."""
        result = self._result
        if self._slot is None or result is None or result.done:
            return
        task = asyncio.create_task(self._slot.connection.cancel(), name="catalog-cancel")
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)
        await asyncio.shield(task)

    async def open(self) -> None:
        """Take a connection from the pool."""
        self._slot = await self._pool.acquire(self._user, self._settings)

    async def close(self) -> None:
        """Give the connection back, idle and out of any transaction, or not at all."""
        slot, self._slot = self._slot, None
        if slot is None:
            return
        self._stop_timer()
        try:
            async with asyncio.timeout(RELEASE_GRACE):
                await self._calm(slot.connection)
        except (TimeoutError, CatalogError):
            slot.connection.abort()
        except BaseException:
            slot.connection.abort()
            raise
        finally:
            self._pool.release(slot)

    async def _calm(self, connection: ChildConnection) -> None:
        result = self._result
        if result is not None and not result.done:
            await connection.cancel()
            await result.drain()
        # A cancel still on its way would hit the next lease's statement.
        while self._cancels:
            await asyncio.wait(self._cancels)
        if connection.outstanding:
            # Somebody stopped reading half way.
            connection.abort()
        elif connection.status != "I" and not connection.closed:
            await connection.execute("ROLLBACK")

    async def _send(self, request: bytes, answers: int = 1) -> tuple[Slot, int]:
        """Send a request, behind what the lease's first one needs; the answers to skip."""
        slot = self._slot
        if slot is None:
            raise CatalogError("XX000", "the catalog backend was given back")
        before, result = b"", self._result
        if result is not None and not result.done:
            await result.drain()
        self._result = None
        skipped = 0
        if not self._configured:
            self._configured = True
            start = preamble(slot.applied, self._settings)
            before, skipped = start.data, start.answers
            slot.applied = dict(self._settings)
        slot.connection.send(before + request, skipped + answers)
        return slot, skipped

    async def _start(
        self, sql: str, request: bytes, deadline: float | None, *, extended: bool
    ) -> CatalogResult:
        effect = effect_of(sql)
        if effect == "settings":
            self._custom |= custom_names(sql)

        async def start() -> CatalogResult:
            slot, preambles = await self._send(request)
            result = CatalogResult(slot.connection, preambles, extended=extended)
            self._begin(slot, result, effect, deadline)
            try:
                await result.begin()
            finally:
                if result.preamble_failed:
                    slot.applied = None
                    self._configured = False
            return result

        return await self._surviving(start)

    async def _surviving(self, action: Callable[[], Awaitable[_T]]) -> _T:
        """Do something once more on the child's successor where nothing is lost by that."""
        for _ in range(ATTEMPTS - 1):
            repeatable = self.transaction_status == "I" and not self._altered
            try:
                return await action()
            except ConnectionLostError:
                result = self._result
                late = result is not None and (result.produced or result.deadline_passed)
                if late or not repeatable:
                    raise
                await self._reconnect()
        return await action()

    def _begin(
        self, slot: Slot, result: CatalogResult, effect: str, deadline: float | None
    ) -> None:
        self._result = result
        if effect != "none":
            slot.applied = None
            self._objects = self._objects or effect == "objects"
        seconds = self._deadline if deadline is None else deadline
        loop = asyncio.get_running_loop()
        self._stop_timer()
        self._timer = loop.call_later(seconds, self._expire, slot, result)
        result.on_done = self._finished
        if effect != "none":
            result.alters = True

    def _finished(self, result: CatalogResult) -> None:
        self._stop_timer()
        if result.alters:
            self._altered = True

    def _expire(self, slot: Slot, result: CatalogResult) -> None:
        if result.done:
            return
        if result.deadline_passed:
            slot.connection.abort()
            return
        result.deadline_passed = True
        task = asyncio.create_task(slot.connection.cancel(), name="catalog-deadline")
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CANCEL_GRACE, self._expire, slot, result)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _reconnect(self) -> None:
        slot, self._slot = self._slot, None
        self._result = None
        self._configured = False
        if slot is not None:
            self._slot = await self._pool.replace(slot)


class Lease:
    """``async with`` around a backend: opens it, ``before`` that has run, and gives it back."""

    def __init__(
        self, backend: CatalogBackend, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._backend = backend
        self._before = before

    async def __aenter__(self) -> CatalogBackend:
        if self._before is not None:
            await self._before()
        await self._backend.open()
        return self._backend

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._backend.close()


def timed_out() -> CatalogError:
    """What a statement over its deadline fails with."""
    return CatalogError("57014", "canceling statement due to statement timeout")


def analysis_request(sql: str, parameter_oids: Sequence[int]) -> bytes:
    """Parse and Describe of the unnamed statement."""
    return protocol.parse(sql, parameter_oids) + protocol.DESCRIBE_STATEMENT + protocol.SYNC


async def read_analysis(connection: ChildConnection, preambles: int) -> CatalogAnalysis:
    """Read the answers to ``analysis_request``."""
    problem: CatalogError | None = None
    for _ in range(preambles):
        failed = await connection.skip_to_ready()
        problem = problem or failed
    oids: tuple[int, ...] = ()
    columns: tuple[tuple[str, int, int], ...] = ()
    while True:
        message = await connection.receive()
        if message.kind == wire.PARAMETER_DESCRIPTION:
            oids = protocol.parameter_oids_of(message.body)
        elif message.kind == wire.ROW_DESCRIPTION:
            columns = tuple(
                (field.name, field.type_oid, field.type_modifier)
                for field in fields_of_row(message.body)
            )
        elif message.kind == wire.ERROR_RESPONSE and problem is None:
            problem = CatalogError.from_fields(protocol.fields_of(message.body))
        elif message.kind == wire.READY_FOR_QUERY:
            if problem is not None:
                raise problem
            return CatalogAnalysis(oids, columns)
