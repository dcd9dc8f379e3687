"""What a statement that names tables of the server is given along."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

from proxy.catalog.system_tables import ROWS_SETTING, SYSTEM_TABLES, Snapshot
from proxy.system_tables.local import LocalRows
from proxy.system_tables.peers import Peers

_WORD = re.compile(r"\w+")
_NAMES = frozenset(table.name for table in SYSTEM_TABLES)
_OF_ALL = frozenset(("rollups",))
"""Tables in which every process has the same rows."""


@dataclass(frozen=True, slots=True, eq=False)
class SystemTables:
    """The tables of this server, all workers together."""

    local: LocalRows
    peers: Peers | None

    async def snapshot(self, sql: str) -> Snapshot:
        """The rows of the tables whose names stand in a statement."""
        lowered = sql.lower()
        escapes = 'u&"' in lowered
        named = _NAMES if escapes else _NAMES.intersection(_WORD.findall(lowered))
        found = await asyncio.gather(*(self._rows(name) for name in sorted(named)))
        silent = {worker for _, missing in found for worker in missing}
        texts = (text for text, _ in found)
        settings = {
            ROWS_SETTING + name: text for name, text in zip(sorted(named), texts, strict=True)
        }
        return Snapshot(settings, tuple(sorted(silent)))

    async def _rows(self, table: str) -> tuple[str, list[int]]:
        rows = self.local.of(table)
        silent: list[int] = []
        if self.peers is not None and table not in _OF_ALL:
            others, silent = await self.peers.ask(table)
            rows += others
        return json.dumps(rows), silent
