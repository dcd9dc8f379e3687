"""The links of a connector, and the statements that run on them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from connectors.errors import WarehouseError
from connectors.kept_link import KeptLink
from connectors.link_pool import Lender, LinkPool, LinkT
from connectors.link_statement import LinkStatement

# Links kept for probing and health, so that neither waits behind statements.
CONTROL_LINKS = 2

ROLLBACK_SECONDS = 5.0
"""How long the end of a snapshot may take before its link is closed instead."""

StatementT = TypeVar("StatementT", bound=LinkStatement[Any])
Start = Callable[[float | None], Awaitable[StatementT]]
"""A new statement with its link, and so many seconds."""
Step = Callable[[StatementT], Awaitable[None]]
"""What a statement does to begin or to end a transaction."""


class Links(Generic[LinkT, StatementT]):
    """Two pools of links, and what runs on either.

    Args:
        make: a new statement of a pool, which reports its end to the callable.
        connect: opens a link.
        size: statements that run at once.
        queue_seconds: how long a statement may wait for a link before 53300.
        retry_seconds: how long connecting is tried again while the server is away.

    Attributes:
        statements: that have not ended.
    """

    def __init__(
        self,
        make: Callable[[Lender[LinkT], Callable[[LinkStatement[LinkT]], None]], StatementT],
        connect: Callable[[], Awaitable[LinkT]],
        size: int,
        queue_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._make = make
        self._data = LinkPool(connect, size, queue_seconds, retry_seconds)
        self._control = LinkPool(connect, CONTROL_LINKS, queue_seconds, retry_seconds)
        self._kept: set[KeptLink[LinkT]] = set()
        self.statements: set[LinkStatement[LinkT]] = set()

    async def statement(self, timeout: float | None, *, control: bool = False) -> StatementT:
        """A new statement with its link, for ``control`` one of those kept for that."""
        return await self._statement_of(self._control if control else self._data, timeout)

    @contextlib.asynccontextmanager
    async def snapshot(
        self, begin: Step[StatementT], end: Step[StatementT], timeout: float | None
    ) -> AsyncIterator[Start[StatementT]]:
        """A link for statements one after the other, in one transaction.

        Args:
            begin: starts the transaction.
            end: ends it; where that fails, the link is closed.
            timeout: of ``begin``, and of the wait for the link.
        """
        kept = KeptLink(self._data)
        self._kept.add(kept)
        start = partial(self._statement_of, kept)
        ended = False
        try:
            await begin(await start(timeout))
            try:
                yield start
            finally:
                with contextlib.suppress(WarehouseError):
                    await end(await start(ROLLBACK_SECONDS))
                    ended = True
        finally:
            self._kept.discard(kept)
            kept.release(reusable=ended)

    def sever(self) -> None:
        """End every running statement: the server has not answered for long."""
        self._end_snapshots()
        for statement in list(self.statements):
            statement.stop("silence")

    async def close(self) -> None:
        """Stop what runs and close every link."""
        self._data.close()
        self._control.close()
        self._end_snapshots()
        statements = list(self.statements)
        for statement in statements:
            statement.stop("shutdown")
        for statement in statements:
            await statement.closed()

    async def _statement_of(self, lender: Lender[LinkT], timeout: float | None) -> StatementT:
        statement = self._make(lender, self.statements.discard)
        self.statements.add(statement)
        statement.arm(timeout)
        await statement.take_link()
        return statement

    def _end_snapshots(self) -> None:
        for kept in self._kept:
            kept.release(reusable=False)
