"""Analysis: what PostgreSQL makes of a statement, without running it.

Parse and Describe on a few connections of an unprivileged role of our own. Nothing is planned or
executed, so the role has no say in the answer; settings that change how text is read do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from proxy.catalog.backend import analysis_request, read_analysis, timed_out
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.catalog.pool import Pool, Slot
from proxy.catalog.results import CatalogAnalysis
from proxy.catalog.settings import preamble, relevant_to_types

ATTEMPTS = 5
RETRY_PAUSE = 0.02


class Analyst:
    """Asks the catalog for types and errors."""

    def __init__(self, pool: Pool, role: str, deadline: float) -> None:
        self._pool = pool
        self._role = role
        self._deadline = deadline

    async def analyse(
        self, sql: str, parameter_oids: Sequence[int], settings: Mapping[str, str]
    ) -> CatalogAnalysis:
        """Parse and describe one statement. Raises CatalogError with its position in ``sql``."""
        wanted = relevant_to_types(settings)
        request = analysis_request(sql, parameter_oids)
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._once(wanted, request)
            except ConnectionLostError:
                # Others may have died with it and not know yet.
                await asyncio.sleep(RETRY_PAUSE)
        return await self._once(wanted, request)

    async def _once(self, wanted: dict[str, str], request: bytes) -> CatalogAnalysis:
        slot = await self._pool.acquire(self._role, wanted)
        try:
            return await self._ask(slot, wanted, request)
        finally:
            self._pool.release(slot)

    async def _ask(self, slot: Slot, wanted: dict[str, str], request: bytes) -> CatalogAnalysis:
        start = preamble(slot.applied, wanted)
        slot.applied = wanted
        try:
            async with asyncio.timeout(self._deadline):
                slot.connection.send(start.data + request, start.answers + 1)
                return await read_analysis(slot.connection, start.answers)
        except TimeoutError:
            raise timed_out() from None
        except CatalogError:
            if start.answers:
                slot.applied = None
            raise
        finally:
            if slot.connection.outstanding:
                # Half an answer may be on its way: the connection is of no more use.
                slot.connection.abort()
