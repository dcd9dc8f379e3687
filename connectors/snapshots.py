"""What a connector gives for a snapshot, whatever it keeps for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from connectors.base import BatchStream, Parameter
from connectors.errors import WarehouseError

Run = Callable[[str, Sequence[Parameter], str, float | None], Awaitable[BatchStream]]
"""Starts a statement, given its parameters, time zone and timeout."""


class Snapshot:
    """See ``connectors.base.SnapshotReader``; what differs is how a statement is run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def execute(
        self,
        sql: str,
        parameters: Sequence[Parameter] = (),
        *,
        time_zone: str = "UTC",
        timeout: float | None = None,
    ) -> BatchStream:
        """See ``connectors.base.SnapshotReader``."""
        return await self._run(sql, parameters, time_zone, timeout)


def still_read() -> WarehouseError:
    """55006: a statement of the snapshot has not ended."""
    return WarehouseError("55006", "the snapshot is already being read", reached=False)


def snapshot_lost() -> WarehouseError:
    """08006: what the snapshot lived on is gone, and another one would be of another moment."""
    return WarehouseError("08006", "the snapshot of the data source is gone", reached=False)
