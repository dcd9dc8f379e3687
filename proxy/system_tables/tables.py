"""What a statement that names tables of the server is given along."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from proxy.catalog.system_tables import ROWS_SETTING, SYSTEM_TABLES, Snapshot
from proxy.hosts.board import Board, Row, Seen
from proxy.system_tables.local import LocalRows
from proxy.system_tables.peers import Peers

_WORD = re.compile(r"\w+")
_NAMES = frozenset(table.name for table in SYSTEM_TABLES)
_OF_ALL = frozenset(("rollups",))
"""Tables in which every process has the same rows."""


@dataclass(slots=True, eq=False)
class SystemTables:
    """The tables of this server, all workers together, and of the others that it knows.

    Attributes:
        hosts: the processes of other servers; None where there can be none.
    """

    local: LocalRows
    peers: Peers | None
    hosts: Board | None = None

    async def snapshot(self, sql: str) -> Snapshot:
        """The rows of the tables whose names stand in a statement."""
        lowered = sql.lower()
        escapes = 'u&"' in lowered
        named = _NAMES if escapes else _NAMES.intersection(_WORD.findall(lowered))
        found, warnings = await self.rows(sorted(named))
        settings = {ROWS_SETTING + name: json.dumps(rows) for name, rows in found.items()}
        return Snapshot(settings, warnings)

    async def rows(self, names: Collection[str]) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
        """The rows of tables, and what is missing. Raises KeyError for a name that is none."""
        found = {name: self.local.of(name) for name in names}
        spread = [name for name in names if name not in _OF_ALL]
        if not spread:
            return found, ()
        silent, seen = await asyncio.gather(self._ask_peers(spread, found), self._look_around())
        for name in spread:
            found[name] += seen.rows(name)
        missing = (
            f"worker {worker} has not answered in time: its rows are missing"
            for worker in sorted(silent)
        )
        return found, (*missing, *seen.warnings)

    async def _ask_peers(self, names: Sequence[str], found: dict[str, list[Row]]) -> set[int]:
        """Add the rows of the other workers; returns those that have not answered."""
        if self.peers is None:
            return set()
        answers = await asyncio.gather(*(self.peers.ask(name) for name in names))
        for name, (rows, _) in zip(names, answers, strict=True):
            found[name] += rows
        return {worker for _, missing in answers for worker in missing}

    async def _look_around(self) -> Seen:
        return Seen() if self.hosts is None else await self.hosts.read()
