"""Running statements and reading rows, for tests only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.catalog import Catalog
from proxy.catalog.backend import CatalogBackend, CatalogResult
from proxy.catalog.connection import decode_rows

CORPUS = Path(__file__).parent.parent / "fixtures" / "corpus"

Rows = list[tuple[str | None, ...]]


@dataclass(frozen=True)
class Captured:
    """A statement that a real client sent."""

    client: str
    kind: str
    protocol: str
    sql: str
    parameters: tuple[bytes | None, ...]
    parameter_formats: tuple[int, ...]
    parameter_oids: tuple[int, ...]


def captured(kinds: Sequence[str]) -> list[Captured]:
    """Distinct captured statements of some kinds."""
    found: dict[tuple[object, ...], Captured] = {}
    for path in sorted(CORPUS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry["kind"] not in kinds:
                continue
            statement = Captured(
                path.stem,
                entry["kind"],
                entry["protocol"],
                entry["sql"],
                tuple(_parameter(value) for value in entry.get("params") or ()),
                tuple(entry.get("param_formats") or ()),
                tuple(entry.get("param_oids") or ()),
            )
            found.setdefault((statement.sql, statement.parameters), statement)
    return list(found.values())


def _parameter(value: str | None) -> bytes | None:
    """A captured parameter: bytes that are not UTF-8 were written as backslash escapes."""
    if value is None:
        return None
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), value.encode())


async def rows_of(result: CatalogResult) -> Rows:
    rows: Rows = []
    async for data, number in result:
        found = decode_rows(data)
        assert len(found) == number
        rows += found
    return rows


async def execute(backend: CatalogBackend, sql: str) -> Rows:
    return await rows_of(await backend.run(sql, (), (), (), ()))


async def ask(
    catalog: Catalog, sql: str, user: str = "demo", settings: Mapping[str, str] | None = None
) -> Rows:
    """Run one statement on a lease of its own; its rows, as text."""
    async with catalog.lease(user, settings or {}) as backend:
        return await execute(backend, sql)
