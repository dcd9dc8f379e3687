"""What a PostgreSQL tells those who LISTEN."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from connectors.postgres_faults import BROKEN

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.25, 5.0
CHECK_SECONDS = 15.0
"""How often the connection is used, so that one which is dead is noticed."""


async def notifications(
    dsn: str, channel: str, *, connect_seconds: float, application_name: str
) -> AsyncIterator[str | None]:
    """Payloads of NOTIFY on a channel, on a connection of its own, opened again when it is lost.

    None stands for what may have been missed meanwhile. Ends when the iterator is closed; a server
    that is away is waited for.
    """
    heard: asyncio.Queue[str | None] = asyncio.Queue()

    def put(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        heard.put_nowait(str(payload))

    def lost(_connection: object) -> None:
        heard.put_nowait(None)

    missed = False
    pause = FIRST_PAUSE_SECONDS
    while True:
        connection: asyncpg.Connection | None = None
        try:
            connection = await asyncpg.connect(
                dsn,
                timeout=connect_seconds,
                server_settings={"application_name": application_name},
            )
            await connection.add_listener(channel, put)
            connection.add_termination_listener(lost)
            pause = FIRST_PAUSE_SECONDS
            if missed:
                yield None
            missed = True
            while not connection.is_closed():
                payload = await _next(heard, connection)
                if payload is not None:
                    yield payload
        except (*BROKEN, asyncpg.PostgresError):
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
        finally:
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.terminate()


async def _next(heard: asyncio.Queue[str | None], connection: asyncpg.Connection) -> str | None:
    """The next payload; None after a while without any. Raises where the connection is lost."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await heard.get()
    except TimeoutError:
        await connection.execute("SELECT 1", timeout=CHECK_SECONDS)
        return None
