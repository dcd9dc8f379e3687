"""Which warehouses have sketches that can be merged, asked when a model is published."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.base import Connector
from semantic.compiler.sketches import sketched
from semantic.model.model import Model

# A name that means the same without quotes; another one is as good as no extension.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_QUESTIONS = {
    "duckdb": "SELECT version() AS place",
    # What hashes values of any type is there since 14. Percentiles need no extension.
    "postgres": "SELECT n.nspname::text AS place FROM pg_extension AS e JOIN pg_namespace AS n"
    " ON n.oid = e.extnamespace WHERE e.extname = 'hll' AND has_schema_privilege(n.oid, 'USAGE')"
    " AND current_setting('server_version_num')::integer >= 140000",
}


async def sketches_of(
    model: Model, connectors: Mapping[str, Connector]
) -> tuple[tuple[str, str], ...]:
    """``PublishedModel.sketches``: only those that a measure of the model asks for are looked for.

    Raises WarehouseError.
    """
    found: list[tuple[str, str]] = []
    named = {
        cube.data_source
        for cube in model.cubes
        if any(sketched(cube, measure) for measure in cube.measures)
    }
    for name in sorted(named):
        connector = connectors[name]
        question = _QUESTIONS.get(connector.dialect)
        if question is None:
            continue
        place = await _first(connector, question)
        is_usable = connector.dialect == "duckdb" or _PLAIN_NAME.fullmatch(place)
        found.append((name, place if is_usable else ""))
    return tuple(found)


async def _first(connector: Connector, question: str) -> str:
    """The only value of an answer; empty where there is no row."""
    place = ""
    stream = await connector.execute(question)
    try:
        async for batch in stream:
            place = batch.column(0)[0].as_py() if batch.num_rows else place
    finally:
        await stream.close()
    return place
