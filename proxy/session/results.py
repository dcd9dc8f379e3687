"""What running one statement yields, before it is written to the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy.cache.results import Found
from proxy.queries import Caller
from proxy.session.reader import RowReader
from proxy.wire.backend import FieldDescription


@dataclass(slots=True, eq=False)
class Rows:
    """Rows to send.

    Attributes:
        command: the first words of the command tag; the number of rows follows where ``counted``.
        notices: fields of NoticeResponses that come with the rows; complete once they are read.
        found: of a query over cubes, where its rows come from; ``caller``: for whom.
    """

    reader: RowReader
    fields: tuple[FieldDescription, ...]
    command: str = "SELECT"
    counted: bool = True
    notices: list[dict[str, str]] | None = None
    found: Found | None = None
    caller: Caller | None = None

    async def anticipate(self) -> None:
        """For FETCH, wait for the first rows: PostgreSQL describes them only once it has them."""
        if self.command == "FETCH":
            await self.reader.at_end()

    def tag(self, sent: int) -> str:
        """The command tag after ``sent`` rows (manual, CommandComplete)."""
        return f"{self.command} {sent}" if self.counted else self.command

    async def close(self) -> None:
        """Free the result."""
        await self.reader.close()


@dataclass(frozen=True, slots=True)
class Done:
    """A statement without rows has been carried out."""

    tag: str

    async def close(self) -> None:
        """Nothing is held."""


class CopyChunks(Protocol):
    """COPY data being made: CopyData messages, chunk by chunk."""

    async def next_chunk(self) -> tuple[bytes, int] | None:
        """Whole CopyData messages and how many rows they hold; None at the end."""

    def tag(self, sent: int) -> str:
        """The command tag after ``sent`` rows."""

    async def close(self) -> None:
        """Free the result. Idempotent."""


@dataclass(slots=True, eq=False)
class CopyRows:
    """Rows to send as COPY data; ``format`` is 0 for text and csv, 1 for binary.

    Attributes:
        notices: as those of ``Rows``.
    """

    chunks: CopyChunks
    format: int
    columns: int
    notices: list[dict[str, str]] | None = None

    async def close(self) -> None:
        """Free the result."""
        await self.chunks.close()


Outcome = Rows | Done | CopyRows
