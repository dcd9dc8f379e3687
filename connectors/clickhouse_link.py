"""A place among the statements that ClickHouse runs at once: one HTTP exchange at a time."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import Error as DriverError

from connectors.clickhouse_errors import warehouse_error
from connectors.errors import WarehouseError, stop_error
from connectors.link_statement import being_cancelled

T = TypeVar("T")

ARROW = "ArrowStream"
KILL_SECONDS = 5.0

# What the driver and its transport raise.
_FAULTS = (DriverError, aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Request:
    """A statement as it is sent: values by name, settings by name."""

    sql: str
    values: Mapping[str, object]
    settings: Mapping[str, str]
    query_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def all_settings(self) -> dict[str, str]:
        """The settings with the name under which the statement can be killed."""
        return {**self.settings, "query_id": self.query_id}


class ClickHouseLink:
    """One exchange over the client's pool of HTTP connections."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._task: asyncio.Task[Any] | None = None
        self._exit = contextlib.AsyncExitStack()
        self._stream: Any = None
        self._query_id = ""
        self._failure: WarehouseError | None = None
        self.lost = False
        self.altered = False

    def idle_alive(self) -> bool:
        """Whether the link may be used; the client itself looks after its connections."""
        return not self.lost

    async def start(self, request: Request) -> None:
        """Send the statement; return when the server has begun to answer."""
        self._query_id = request.query_id
        self._stream = await self._run(self._open(request))

    async def read(self) -> bytes:
        """The next piece of the answer; nothing at its end."""
        return await self._run(self._next())

    async def text(self, request: Request, output: str) -> bytes:
        """The whole answer to a small statement, in the format ``output``.

        An answer that is being read stays open: this one comes over another connection.
        """
        self._query_id = self._query_id or request.query_id
        return await self._run(
            self._client.raw_query(
                request.sql, dict(request.values), request.all_settings, fmt=output
            )
        )

    async def finish(self) -> None:
        """Free what the exchange held; the answer was read to its end."""
        self._query_id = ""
        self._stream = None
        with contextlib.suppress(*_FAULTS):
            await self._exit.aclose()

    def fail(self, error: WarehouseError) -> None:
        """Make whoever waits for the server get ``error``; the link is of no more use."""
        self._failure = error
        self.lost = True
        if self._task is not None:
            self._task.cancel()

    async def cancel(self) -> None:
        """Hang up, and tell the server to stop the statement. Never raises."""
        query_id, self._query_id = self._query_id, ""
        await self.finish()
        if not query_id:
            return
        with contextlib.suppress(*_FAULTS):
            async with asyncio.timeout(KILL_SECONDS):
                await self._client.command(f"KILL QUERY WHERE query_id = '{query_id}' ASYNC")

    def terminate(self) -> None:
        """Hang up at once."""
        self.lost = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.source.close()

    async def _open(self, request: Request) -> Any:
        stream = await self._client.raw_stream(
            request.sql, dict(request.values), request.all_settings, fmt=ARROW
        )
        return await self._exit.enter_async_context(stream)

    async def _next(self) -> bytes:
        piece: bytes = await anext(self._stream, b"")
        return piece

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` gives, or the error of ``fail`` as soon as there is one."""
        if self._failure is not None:
            work.close()
            raise self._failure
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        self._task = task
        try:
            return await task
        except asyncio.CancelledError:
            if not being_cancelled():
                raise self._reason() from None
            raise
        except _FAULTS as error:
            raise warehouse_error(error) from error
        finally:
            self._task = None

    def _reason(self) -> WarehouseError:
        return self._failure or stop_error("user")
