"""Writing the outcome of a statement to the client, with back-pressure."""

from __future__ import annotations

import asyncio

from proxy.observability.stages import stage
from proxy.session.client import Client
from proxy.session.portal import Portal
from proxy.session.records import StatementTimer
from proxy.session.results import CopyRows, Outcome, Rows
from proxy.session.state import SessionState
from proxy.wire.backend import (
    CommandComplete,
    CopyDone,
    CopyOutResponse,
    NoticeResponse,
    PortalSuspended,
)

DRAIN_BYTES = 16_384
"""What was sent since the client was last waited for; less of it leaves with what follows."""

_SUSPENDED = PortalSuspended().encode()
_COPY_DONE = CopyDone().encode()


class OutcomeWriter:
    """Sends rows, COPY data and command tags of one session."""

    def __init__(self, client: Client, state: SessionState) -> None:
        self._client = client
        self._state = state
        self._unwaited = 0

    async def write(
        self,
        outcome: Outcome,
        record: StatementTimer,
        *,
        limit: int | None = None,
        portal: Portal | None = None,
    ) -> None:
        """Send an outcome and its command tag.

        Args:
            limit: rows at most in this run of a portal; the rest stays for the next Execute.
            portal: keeps the outcome when given; else it is closed at the end.
        """
        try:
            if isinstance(outcome, Rows):
                if outcome.found is not None:
                    record.cache = outcome.found.outcome
                    record.rollups = outcome.found.rollups
                await self._rows(outcome, record, limit)
            elif isinstance(outcome, CopyRows):
                await self._copy(outcome, record)
            else:
                self._notices(self._state.notices)
                self._client.send(CommandComplete(outcome.tag).encode())
        finally:
            if portal is None:
                # What ends the answer follows, and need not be a packet of its own.
                self._client.hold()
                # A cancellation may come now: what is being freed is freed all the same.
                await asyncio.shield(outcome.close())
        record.phase("send")

    async def _rows(self, outcome: Rows, record: StatementTimer, limit: int | None) -> None:
        sent = 0
        reader = outcome.reader
        while limit is None or sent < limit:
            rows = await reader.read(None if limit is None else limit - sent)
            if rows is None:
                break
            if not sent:
                record.phase("first_row")
                record.entered("sending")
            size = len(rows)
            sent += rows.rows
            record.rows += rows.rows
            record.bytes += size
            await self._send(rows.data, size)
        else:
            self._client.send(_SUSPENDED)
            return
        self._notices(outcome.notices or [])
        self._notices(self._state.notices)
        self._client.send(CommandComplete(outcome.tag(sent)).encode())

    async def _copy(self, outcome: CopyRows, record: StatementTimer) -> None:
        response = CopyOutResponse(outcome.format, (outcome.format,) * outcome.columns)
        self._client.send(response.encode())
        # A small answer is one packet, as PostgreSQL's is: pgtcl takes a pause for the end.
        self._client.hold()
        while (chunk := await outcome.chunks.next_chunk()) is not None:
            data, rows = chunk
            record.rows += rows
            record.bytes += len(data)
            await self._send(data, len(data))
        self._client.send(_COPY_DONE)
        self._notices(outcome.notices or [])
        self._notices(self._state.notices)
        self._client.send(CommandComplete(outcome.chunks.tag(record.rows)).encode())

    async def _send(self, data: bytes | memoryview, size: int) -> None:
        self._client.send(data)
        self._unwaited += size
        if self._unwaited >= DRAIN_BYTES:
            self._unwaited = 0
            with stage("write"):
                await self._client.drain()

    def _notices(self, notices: list[dict[str, str]]) -> None:
        for fields in notices:
            self._client.send(NoticeResponse(fields).encode())
        notices.clear()
