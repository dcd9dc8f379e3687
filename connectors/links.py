"""The links of a connector, and the statements that run on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from connectors.link_pool import LinkPool, LinkT
from connectors.link_statement import LinkStatement

# Links kept for probing and health, so that neither waits behind statements.
CONTROL_LINKS = 2

StatementT = TypeVar("StatementT", bound=LinkStatement[Any])


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
        make: Callable[[LinkPool[LinkT], Callable[[LinkStatement[LinkT]], None]], StatementT],
        connect: Callable[[], Awaitable[LinkT]],
        size: int,
        queue_seconds: float,
        retry_seconds: float,
    ) -> None:
        self._make = make
        self._data = LinkPool(connect, size, queue_seconds, retry_seconds)
        self._control = LinkPool(connect, CONTROL_LINKS, queue_seconds, retry_seconds)
        self.statements: set[LinkStatement[LinkT]] = set()

    async def statement(self, timeout: float | None, *, control: bool = False) -> StatementT:
        """A new statement with its link, for ``control`` one of those kept for that."""
        pool = self._control if control else self._data
        statement = self._make(pool, self.statements.discard)
        self.statements.add(statement)
        statement.arm(timeout)
        await statement.take_link()
        return statement

    def sever(self) -> None:
        """End every running statement: the server has not answered for long."""
        for statement in list(self.statements):
            statement.stop("silence")

    async def close(self) -> None:
        """Stop what runs and close every link."""
        self._data.close()
        self._control.close()
        statements = list(self.statements)
        for statement in statements:
            statement.stop("shutdown")
        for statement in statements:
            await statement.closed()
