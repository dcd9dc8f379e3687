"""What entitles one statement to be at a data source: a slot, until its deadline, for so much."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from connectors.errors import WarehouseError, stop_error
from proxy.warehouse.admission import Admission, Entrant
from proxy.warehouse.limits import NO_LIMIT, Limits, exceeded


@dataclass(slots=True, eq=False)
class Ticket:
    """Made when a statement asks for a slot, and given back when its rows have ended.

    Attributes:
        data_source: the source's name, for messages.
        limits: of the statement.
        timeout: seconds that the session gives it; None for any.
        entrant: who holds the slot.
    """

    data_source: str
    limits: Limits
    timeout: float | None
    admission: Admission
    entrant: Entrant
    rows: int = 0
    bytes: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _began: float = 0.0
    _holds: bool = False

    def __post_init__(self) -> None:
        self._began = self._loop.time()

    def __del__(self) -> None:
        # A result that was dropped without being closed, maybe in another thread.
        if self._holds and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.admission.leave, self.entrant)

    @property
    def left(self) -> float | None:
        """Seconds until the statement is out of time, None for never. Raises 57014 at the end."""
        most = min(self.limits.deadline, self.timeout or NO_LIMIT)
        if most == NO_LIMIT:
            return None
        left = self._began + most - self._loop.time()
        if left <= 0:
            raise self.told(stop_error("timeout"))
        return left

    def within(self) -> Ticket:
        """For a statement that runs in this one's slot and time, and is counted by itself."""
        own = Ticket(self.data_source, self.limits, self.timeout, self.admission, self.entrant)
        own._began = self._began
        return own

    async def enter(self) -> None:
        """Wait for the slot, if it is not free."""
        try:
            async with asyncio.timeout(self.left):
                await self.admission.enter(self.entrant)
        except TimeoutError:
            raise self.told(stop_error("timeout")) from None
        self._holds = True

    def try_enter(self) -> bool:
        """Take the slot, if it is free."""
        self._holds = self.admission.try_enter(self.entrant)
        return self._holds

    def leave(self) -> None:
        """Give the slot back. Idempotent."""
        if self._holds:
            self._holds = False
            self.admission.leave(self.entrant)

    def count(self, rows: int, size: int) -> None:
        """The source has sent so much. Raises 53400 beyond what the statement may have."""
        self.rows += rows
        self.bytes += size
        limits = self.limits
        if self.rows > limits.max_rows:
            self.admission.refused("rows")
            raise exceeded(self.data_source, "rows", "max_rows", limits.max_rows)
        if self.bytes > limits.max_bytes:
            self.admission.refused("bytes")
            raise exceeded(self.data_source, "bytes", "max_bytes", limits.max_bytes)

    def told(self, error: WarehouseError) -> WarehouseError:
        """An error, with a hint where it is the deadline that has ended the statement."""
        deadline = self.limits.deadline
        by_deadline = deadline < (self.timeout or NO_LIMIT)
        if error.sqlstate == "57014" and by_deadline and "statement timeout" in error.message:
            self.admission.refused("deadline")
            return WarehouseError(
                "57014",
                f"canceling statement due to the deadline of data source {self.data_source!r}",
                hint=f"A statement may take {deadline:g} s there. The administrator can raise "
                f"limits.{self.data_source}.deadline.",
                reached=error.reached,
            )
        return error
