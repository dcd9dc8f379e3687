"""The rows of the other workers of this server, over Unix sockets in its private directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.hosts.board import Row

SECONDS = 1.0
"""What another worker has for its answer; without it, its rows are missing and it is said so."""
_LONGEST_NAME = 64


@dataclass(slots=True, eq=False)
class Peers:
    """The workers of one server.

    Attributes:
        worker: the number of this one.
        directory: where they find each other.
        rows: of a table, in this process.
    """

    worker: int
    directory: Path
    rows: Callable[[str], list[Row]]
    seconds: float = SECONDS
    _server: asyncio.Server | None = field(default=None)

    async def listen(self) -> None:
        """Answer the others."""
        path = self._path(self.worker)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, str(path))

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._path(self.worker).unlink(missing_ok=True)
            self._server = None

    async def ask(self, table: str) -> tuple[list[Row], list[int]]:
        """The rows of all others, and the numbers of those that have not answered in time."""
        others = [each for each in self._others() if each != self.worker]
        answers = await asyncio.gather(*(self._ask_one(each, table) for each in others))
        rows = [row for answer in answers if answer is not None for row in answer]
        silent = [each for each, answer in zip(others, answers, strict=True) if answer is None]
        return rows, silent

    def _others(self) -> list[int]:
        names = (path.suffix[1:] for path in self.directory.glob("rows.*"))
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, worker: int) -> Path:
        return self.directory / f"rows.{worker}"

    async def _ask_one(self, worker: int, table: str) -> list[Row] | None:
        try:
            async with asyncio.timeout(self.seconds):
                reader, writer = await asyncio.open_unix_connection(str(self._path(worker)))
                try:
                    writer.write(f"{table}\n".encode())
                    answer = json.loads(await reader.read(-1))
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            return []  # it has gone, and its sessions with it
        except (OSError, TimeoutError, ValueError):
            return None
        return list(answer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                name = (await reader.readuntil(b"\n"))[:_LONGEST_NAME].decode().strip()
                writer.write(json.dumps(self.rows(name)).encode())
                await writer.drain()
        except (OSError, TimeoutError, KeyError, asyncio.IncompleteReadError):
            with contextlib.suppress(OSError):
                writer.transport.abort()
        finally:
            writer.close()
