"""One connection to a MySQL or MariaDB, opened by aiomysql and then read here packet by packet.

aiomysql knows everything about connecting (plugins of authentication, TLS) but decodes rows value
by value, as text. Once the connection stands, its transport is given to ``MySqlLink``, where
statements are prepared, their parameters bound and their rows come in binary. This is the one
module that touches attributes of aiomysql that are not public.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence

import aiomysql
from pymysql.constants import CLIENT
from pymysql.err import Error

from connectors.errors import WarehouseError
from connectors.link_buffer import BufferedLink, keep_alive
from connectors.mysql_errors import server_error
from connectors.mysql_flavours import Flavour
from connectors.mysql_packets import ROW, PacketSplitter, Received

CANCEL_SECONDS = 2.0
_CLEAR = "mysql_clear_password"
_SENT_AS_TYPED = {_CLEAR.encode(), b"mysql_old_password"}

Kill = Callable[[int], Awaitable[None]]


class _Connection(aiomysql.Connection):  # type: ignore[misc]
    """A connection that does not show its password to whoever answers."""

    async def _request_authentication(self) -> None:
        if self._ssl_context is not None and not self.server_capabilities & CLIENT.SSL:
            raise WarehouseError(
                "08006",
                "the data source does not support TLS",
                hint="Set ssl_mode to disabled where the network is trusted.",
                reached=False,
            )
        if self._server_auth_plugin == _CLEAR and self._ssl_context is None and not self._secure:
            raise _clear_password()
        # Statements are one each, whatever they say.
        self.client_flag &= ~(CLIENT.MULTI_STATEMENTS | CLIENT.LOCAL_FILES)
        await super()._request_authentication()

    async def _process_auth(self, plugin_name: bytes, auth_packet: object) -> object:
        if plugin_name in _SENT_AS_TYPED and not self._secure:
            raise _clear_password()
        return await super()._process_auth(plugin_name, auth_packet)


class MySqlLink(BufferedLink[Received]):
    """A connection that is only ever used by one statement at a time."""

    altered = False

    def __init__(self, connection: aiomysql.Connection, kill: Kill) -> None:
        self._kill = kill
        self._thread_id = int(connection.thread_id())
        self._splitter = PacketSplitter()
        # A StreamWriter that is collected closes its transport.
        self._writer = connection._writer
        super().__init__(self._writer.transport)
        # The driver warns of connections that it believes to be open.
        connection._reader = connection._writer = None

    async def cancel(self) -> None:
        """Kill the connection in the server, from another one, with the statement that it runs.

        The server notices a client that has gone only when it has a row to send.
        """
        with contextlib.suppress(WarehouseError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._kill(self._thread_id)

    def _split(self, data: bytes) -> list[Received]:
        return self._splitter.feed(data)

    @staticmethod
    def _is_row(message: Received) -> bool:
        return message.kind == ROW

    @staticmethod
    def _joined(runs: Sequence[Received]) -> Received:
        starts: list[int] = []
        offset = 0
        for run in runs:
            starts += [offset + start for start in run.starts]
            offset += len(run.data)
        return Received(ROW, b"".join(run.data for run in runs), starts)

    def _abort(self) -> None:
        self._transport.abort()


async def open_link(
    *,
    address: dict[str, object],
    user: str,
    password: str,
    database: str,
    tls: ssl.SSLContext | None,
    flavour: Flavour,
    connect_seconds: float,
    kill: Kill,
) -> MySqlLink:
    """Connect once. Raises WarehouseError (08006, or what stands for the server's own code)."""
    connection = _Connection(
        **address,
        user=user,
        password=password,
        db=database or None,
        charset="utf8mb4",
        autocommit=True,
        ssl=tls,
        program_name="cubewire",
    )
    try:
        async with asyncio.timeout(connect_seconds):
            await connection._connect()
            flavour.check(connection.server_version)
            for statement in flavour.settings:
                await connection.query(statement)
        transport = connection._writer.transport
        keep_alive(transport)
        return MySqlLink(connection, kill)
    except BaseException as error:
        connection.close()
        if isinstance(error, WarehouseError | asyncio.CancelledError):
            raise
        raise _connecting_failed(error) from error


def _clear_password() -> WarehouseError:
    return WarehouseError(
        "28000",
        "the data source asks for the password without encryption, which is refused",
        hint="Set ssl_mode to verify-identity.",
        reached=False,
    )


def _connecting_failed(error: BaseException) -> BaseException:
    if isinstance(error, TimeoutError):
        return WarehouseError("08006", "timeout while connecting to the data source", reached=False)
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return WarehouseError(
            "08006", "TLS with the data source failed", detail=str(cause), reached=False
        )
    if isinstance(error, Error) and len(error.args) > 1 and cause is None:
        return server_error(int(error.args[0]), "", str(error.args[1]), reached=False)
    if isinstance(error, Error | OSError):
        return WarehouseError(
            "08006",
            "could not connect to the data source",
            detail=str(cause or error),
            reached=False,
        )
    return error
