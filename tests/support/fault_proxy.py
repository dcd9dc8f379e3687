"""A TCP proxy that does to a connection what networks do: stop, slow down, cut, reset.

It runs an event loop in a thread of its own. A link that `stop`s reads no more from either side but
keeps both sockets open: to the server the client is one that has stopped reading.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

CHUNK = 16_384
SMALL_WINDOW = 8_192
"""Receive buffer towards the server: what it sends must not be swallowed by the kernel."""


class FaultProxy:
    """Forwards to a server until told otherwise; use as a context manager.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        bytes_per_second: pace from server to client, None for none. May be changed at any time.
        delay_seconds: time that what the server sends takes. May be changed at any time.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._running = asyncio.Event()
        self._running.set()
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.bytes_per_second: int | None = None
        self.delay_seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def stop(self) -> None:
        """Forward nothing from here on."""
        self._loop.call_soon_threadsafe(self._running.clear)

    def go_on(self) -> None:
        """Forward again."""
        self._loop.call_soon_threadsafe(self._running.set)

    def reset(self) -> None:
        """Cut every link with RST to both sides, as a crashed machine does."""

        async def cut() -> None:
            for pair in list(self._links):
                for writer in pair:
                    _reset(writer)

        self._call(cut())

    @property
    def links(self) -> int:
        """Connections that both sides still hold."""
        return len(self._links)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # what has been accepted has a task by now
        for pair in list(self._links):
            for writer in pair:
                _reset(writer)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were closed let go of their sockets

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            link = await self._connect()
            if link is None:
                _reset(writer)
            else:
                await self._forward(reader, writer, link)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _connect(self) -> socket.socket | None:
        """A link to the server; None where the server is not there: nor is the way to it."""
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        link.setblocking(False)
        try:
            await self._loop.sock_connect(link, self._target)
        except OSError:
            link.close()
            return None
        except BaseException:
            link.close()
            raise
        return link

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: socket.socket
    ) -> None:
        there_reader, there_writer = await asyncio.open_connection(sock=link, limit=CHUNK)
        pair = (writer, there_writer)
        self._links.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, there_writer), self._pump(there_reader, writer, paced=True)
            )
        finally:
            self._links.discard(pair)
            there_writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, paced: bool = False
    ) -> None:
        """One direction. The end of one side ends the other."""
        while True:
            await self._running.wait()
            pace = self.bytes_per_second if paced else None
            data = await source.read(CHUNK if pace is None else max(1, min(CHUNK, pace)))
            if paced and self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._running.wait()
            if not data:
                target.close()
                return
            target.write(data)
            await target.drain()
            if pace is not None:
                await asyncio.sleep(len(data) / pace)


def _reset(writer: asyncio.StreamWriter) -> None:
    link = writer.get_extra_info("socket")
    if link is not None and link.fileno() >= 0:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
