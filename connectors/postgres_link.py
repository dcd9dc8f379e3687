"""One connection to a PostgreSQL, opened by asyncpg and then read here message by message.

asyncpg knows everything about connecting (DSN, TLS, SCRAM, several hosts) but decodes every row.
What is wanted here is the rows as they were sent, so once the connection stands, its transport is
given to ``PostgresLink``: rows then cost one look at each header. This is the one module that
touches attributes of asyncpg that are not public.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import asyncpg
from asyncpg import connect_utils

from connectors.errors import WarehouseError
from connectors.link_buffer import BufferedLink, keep_alive
from connectors.postgres_faults import BROKEN
from connectors.postgres_messages import (
    DATA_ROW,
    PARAMETER_STATUS,
    MessageSplitter,
    Received,
    parameter_of_status,
)

CANCEL_SECONDS = 2.0
CLIENT_CHECK_SINCE = (14, 0)

# Results are relayed as text, so whatever changes the text is fixed for every connection.
_SETTINGS = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_min_messages": "error",
    "default_transaction_read_only": "on",
}

# Reported by the server when they change; a statement that changes another than the time zone must
# not leave it to the next one.
_FIXED = ("DateStyle", "IntervalStyle", "client_encoding", "default_transaction_read_only")


class PostgresLink(BufferedLink[Received]):
    """A connection that is only ever used by one statement at a time."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._secret: int = connection._protocol.backend_secret
        self._process_id: int = connection.get_server_pid()
        self._splitter = MessageSplitter()
        self.time_zone = "UTC"
        self.altered = False
        super().__init__(connection._transport)

    async def cancel(self) -> None:
        """Send a CancelRequest for the running statement and wait until the server has taken it."""
        connection = self._connection
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await connect_utils._cancel(
                    loop=asyncio.get_running_loop(),
                    addr=connection._addr,
                    params=connection._params,
                    backend_pid=self._process_id,
                    backend_secret=self._secret,
                )

    def _split(self, data: bytes) -> list[Received]:
        messages = []
        for message in self._splitter.feed(data):
            if message.kind == PARAMETER_STATUS:
                self._note(*parameter_of_status(message.data))
            else:
                messages.append(message)
        return messages

    @staticmethod
    def _is_row(message: Received) -> bool:
        return message.kind == DATA_ROW

    @staticmethod
    def _joined(runs: Sequence[Received]) -> Received:
        return Received(DATA_ROW, b"".join(run.data for run in runs), sum(run.rows for run in runs))

    def _abort(self) -> None:
        # asyncpg is told too, so that it does not warn of a connection left open.
        self._connection.terminate()

    def _note(self, name: str, value: str) -> None:
        if name == "TimeZone":
            self.time_zone = value
        elif name in _FIXED:
            self.altered = True


async def open_link(
    dsn: str, connect_seconds: float, settings: Mapping[str, str] | None = None
) -> PostgresLink:
    """Connect once. Raises WarehouseError (08006, or the server's own code)."""
    try:
        connection = await asyncpg.connect(
            dsn, timeout=connect_seconds, statement_cache_size=0, command_timeout=connect_seconds
        )
    except TimeoutError:
        raise WarehouseError(
            "08006", "timeout while connecting to the data source", reached=False
        ) from None
    except (*BROKEN, ValueError) as error:
        raise WarehouseError(
            "08006",
            "could not connect to the data source",
            detail=str(error),
            reached=False,
        ) from error
    except asyncpg.PostgresError as error:
        raise WarehouseError(
            error.sqlstate or "08006",
            str(error),
            detail=error.detail,
            hint=error.hint,
            reached=False,
        ) from error
    try:
        await _configure(connection, settings or {})
    except BaseException as error:
        connection.terminate()
        if isinstance(error, BROKEN):
            raise WarehouseError(
                "08006",
                "could not set up the connection to the data source",
                detail=str(error),
                reached=False,
            ) from error
        if isinstance(error, asyncpg.PostgresError):
            raise WarehouseError(
                error.sqlstate or "08006", str(error), detail=error.detail, reached=False
            ) from error
        raise
    return PostgresLink(connection)


async def _configure(connection: asyncpg.Connection, settings: Mapping[str, str]) -> None:
    wanted = _SETTINGS | dict(settings)
    version = connection.get_server_version()
    if (version.major, version.minor) >= CLIENT_CHECK_SINCE:
        # A statement whose client has vanished ends by itself instead of running to its end.
        wanted["client_connection_check_interval"] = "5s"
    # `SELECT set_config` in one statement: SET takes no parameters.
    calls = ", ".join(
        f"set_config(${2 * index + 1}, ${2 * index + 2}, false)" for index in range(len(wanted))
    )
    arguments = [text for pair in wanted.items() for text in pair]
    await connection.execute(f"SELECT {calls}", *arguments)
    keep_alive(connection._transport)
