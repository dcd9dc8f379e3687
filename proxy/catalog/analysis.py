"""Analysis: what PostgreSQL makes of a statement, without running it.

Parse and Describe on a few connections of an unprivileged role of our own. Nothing is planned or
executed, so the role has no say in the answer; settings that change how text is read do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from proxy.catalog.backend import analysis_request, read_analysis
from proxy.catalog.errors import CatalogError, ConnectionLostError
from proxy.catalog.pool import Pool, Slot
from proxy.catalog.results import CatalogAnalysis
from proxy.catalog.settings import preamble, relevant_to_types

ATTEMPTS = 3


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
        slot = await self._pool.acquire(self._role, wanted)
        try:
            for attempt in range(ATTEMPTS):
                try:
                    return await self._ask(slot, wanted, request)
                except ConnectionLostError:
                    if attempt == ATTEMPTS - 1:
                        raise
                    slot = await self._pool.replace(slot)
        finally:
            self._pool.release(slot)
        raise ConnectionLostError

    async def _ask(self, slot: Slot, wanted: dict[str, str], request: bytes) -> CatalogAnalysis:
        start = preamble(slot.applied, wanted)
        slot.applied = wanted
        answered = False
        try:
            async with asyncio.timeout(self._deadline):
                slot.connection.send(start.data + request)
                analysis = await read_analysis(slot.connection, start.answers)
            answered = True
        except TimeoutError:
            raise CatalogError("57014", "canceling statement due to statement timeout") from None
        except ConnectionLostError:
            raise
        except CatalogError:
            answered = True
            if start.answers:
                slot.applied = None
            raise
        else:
            return analysis
        finally:
            if not answered:
                # Half an answer may be on its way: the connection is of no more use.
                slot.connection.abort()
