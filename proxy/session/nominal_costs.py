"""Costs for postgres_fdw, which plans by the remote server's EXPLAIN (``use_remote_estimate``).

Cubewire knows neither costs nor numbers of rows, and shows nobody else any. These are made such
that what can be computed here is: rows of a cube are many, groups few, and a row that is looked up
by a value is cheap. So joins and aggregates are pushed down, measures' too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from proxy.engine import Engine
from proxy.queries import Caller, CubeQuery

APPLICATION = "postgres_fdw"
"""What postgres_fdw calls itself where its ``application_name`` is not set."""

PLACEHOLDER = "((SELECT null::"
"""How postgres_fdw writes a value that it will have for each row of an outer table."""

ROWS, GROUPS, FOUND = 1_000_000, 1_000, 100
START, ROW = 100.0, 0.01


def reads_costs(caller: Caller) -> bool:
    """Whether the client takes its costs from EXPLAIN."""
    return caller.overlay.get("application_name") == APPLICATION


async def nominal_cost(engine: Engine, caller: Caller, query: CubeQuery) -> str:
    """How the first line of a plan ends in PostgreSQL: ``  (cost=... rows=... width=...)``.

    The catalog's plan of the query, over its empty tables, tells of the width and the groups.
    """
    text = query.analysed.text
    (found,) = await engine.evaluate(f"EXPLAIN (FORMAT JSON) {text}", caller)
    plan = json.loads(found or b"")[0]["Plan"]
    rows = _groups(plan) or (FOUND if PLACEHOLDER in text else ROWS)
    cost = START + rows * ROW
    return f"  (cost={START:.2f}..{cost:.2f} rows={rows} width={plan['Plan Width']})"


def _groups(plan: Mapping[str, Any]) -> int | None:
    """How many rows there are where they are groups; None where they are not."""
    while True:
        kind = plan["Node Type"]
        if kind == "Aggregate" and "Group Key" not in plan and "Grouping Sets" not in plan:
            return 1
        if kind in ("Aggregate", "Group", "Unique"):
            return GROUPS
        inputs = [each for each in plan.get("Plans", ()) if _is_input(each)]
        if len(inputs) != 1:
            return None
        (plan,) = inputs


def _is_input(plan: Mapping[str, Any]) -> bool:
    return plan["Parent Relationship"] in ("Outer", "Inner", "Member", "Subquery")
