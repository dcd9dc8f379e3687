"""EXPLAIN of a query over cubes (rule E3)."""

from __future__ import annotations

import json
import time

from proxy.engine import Engine
from proxy.errors import SessionError
from proxy.queries import CubeQuery, field_of
from proxy.session.portal import Portal
from proxy.session.state import SessionState
from proxy.wire.backend import FieldDescription
from semantic.compiler import statements as sql
from semantic.model.types import JSON, TEXT


def explain_fields(statement: sql.Explain) -> tuple[FieldDescription, ...]:
    """One column, ``QUERY PLAN``, of the type PostgreSQL gives it for the format."""
    return (field_of("QUERY PLAN", JSON if statement.format == "json" else TEXT),)


async def explain_lines(
    engine: Engine,
    state: SessionState,
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
    measured: dict[str, float | int] = {}
    if statement.analyze:
        measured = await _run(engine, state, portal, query)
    compiled = query.compiled
    if statement.format == "json":
        document = {
            "Plan": compiled.plan.splitlines(),
            "Relations": list(compiled.relations),
            "Data Source": compiled.data_source,
            "SQL": compiled.sql,
            **measured,
        }
        return [json.dumps([document], indent=2)]
    lines = [*compiled.plan.splitlines(), f"Data source: {compiled.data_source}"]
    lines += [f"SQL: {compiled.sql}"]
    return lines + [f"{name}: {value}" for name, value in measured.items()]


async def _run(
    engine: Engine, state: SessionState, portal: Portal, query: CubeQuery
) -> dict[str, float | int]:
    started = time.perf_counter()
    formats = (0,) * len(query.fields)
    source = await engine.open_cube(query, portal.values, formats, state.caller())
    rows = 0
    try:
        while (chunk := await source.next_rows()) is not None:
            rows += chunk.rows
    finally:
        await source.close()
    milliseconds = round((time.perf_counter() - started) * 1000, 3)
    return {"Actual Rows": rows, "Execution Time (ms)": milliseconds}
