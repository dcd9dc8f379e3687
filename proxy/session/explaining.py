"""EXPLAIN of a query over cubes (rule E3)."""

from __future__ import annotations

import json
import time

from proxy.concealment import shown_plan
from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.explained import Measurement, explain_document, explain_text
from proxy.queries import Caller, CubeQuery, field_of
from proxy.session.nominal_costs import nominal_cost, reads_costs
from proxy.session.portal import Portal
from proxy.wire.backend import FieldDescription
from semantic.compiler import statements as sql
from semantic.model.types import JSON, TEXT


def explain_fields(statement: sql.Explain) -> tuple[FieldDescription, ...]:
    """One column, ``QUERY PLAN``, of the type PostgreSQL gives it for the format."""
    return (field_of("QUERY PLAN", JSON if statement.format == "json" else TEXT),)


async def explain_lines(
    engine: Engine,
    caller: Caller,
    portal: Portal,
    statement: sql.Explain,
    query: CubeQuery,
) -> list[str]:
    """The plan, one row per line of text, or one JSON document.

    With ANALYZE the query runs to its end and its rows and milliseconds are added.
    """
    if statement.format not in ("text", "json"):
        raise SessionError(
            "0A000",
            f"EXPLAIN (FORMAT {statement.format.upper()}) is not supported over cubes",
            hint="Use FORMAT TEXT or FORMAT JSON.",
        )
    measured = await _run(engine, caller, portal, query) if statement.analyze else None
    compiled = shown_plan(query.compiled, caller.scope)
    snapshots = engine.snapshots(query.compiled)
    if statement.format == "json":
        return [json.dumps([explain_document(compiled, measured, snapshots)], indent=2)]
    lines = explain_text(compiled, measured, snapshots)
    if reads_costs(caller) and not statement.options and not query.parameter_oids:
        lines[0] += await nominal_cost(engine, caller, query)
    return lines


async def _run(engine: Engine, caller: Caller, portal: Portal, query: CubeQuery) -> Measurement:
    started = time.perf_counter()
    formats = (0,) * len(query.fields)
    found = await engine.open_cube(query, portal.values, formats, caller)
    source = found.source
    opened = time.perf_counter()
    rows = 0
    try:
        while (chunk := await source.next_rows()) is not None:
            rows += chunk.rows
    finally:
        await source.close()
    ended = time.perf_counter()
    return Measurement(rows, (opened - started) * 1000, (ended - started) * 1000, found.outcome)
