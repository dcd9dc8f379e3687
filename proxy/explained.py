"""EXPLAIN's answer (rule E3): plan, resolved members and joins, the SQL, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from semantic.compiler.api import CompiledStatement, PlanStep


@dataclass(frozen=True, slots=True)
class Measurement:
    """What ANALYZE has found.

    Attributes:
        rows: that the statement returned.
        first: milliseconds until the warehouse had an answer.
        total: milliseconds until the last row.
        cache: where the rows came from (``proxy.cache.results.Outcome``).
    """

    rows: int
    first: float
    total: float
    cache: str = "bypass"


def explain_text(
    compiled: CompiledStatement,
    measured: Measurement | None = None,
    snapshots: Mapping[str, bool] | None = None,
) -> list[str]:
    """One line a node of the plan, then one a fact.

    Args:
        compiled: the statement.
        measured: what it has taken.
        snapshots: by data source, whether all that is fetched of it is of one moment; None where
            that is not known.
    """
    lines = list(compiled.steps.lines())
    if measured is not None:
        lines[0] += (
            f" (actual time={measured.first:.3f}..{measured.total:.3f} "
            f"rows={measured.rows} loops=1)"
        )
    facts = {
        "Members": ", ".join(members(compiled)) or "none",
        "Join paths": ", ".join(join_paths(compiled)) or "none",
        "Policies": ", ".join(policies(compiled)) or "none",
        "Rollups": ", ".join(compiled.rollups) or "none",
        "Data source": ", ".join(compiled.data_sources),
        "SQL": compiled.sql,
        **_fetches(compiled),
    }
    if snapshots:
        facts["Snapshots"] = ", ".join(
            f"one of {name}" if is_one else f"one for each fetch of {name}"
            for name, is_one in snapshots.items()
        )
    if measured is not None:
        facts["Cache"] = measured.cache
        facts["Execution Time"] = f"{measured.total:.3f} ms"
    return [*lines, *(f"{name}: {value}" for name, value in facts.items())]


def explain_document(
    compiled: CompiledStatement,
    measured: Measurement | None = None,
    snapshots: Mapping[str, bool] | None = None,
) -> dict[str, object]:
    """The same in the form of PostgreSQL's JSON, which readers of plans know."""
    plan = _node(compiled.steps)
    if measured is not None:
        plan["Actual Startup Time"] = round(measured.first, 3)
        plan["Actual Total Time"] = round(measured.total, 3)
        plan["Actual Rows"] = measured.rows
        plan["Actual Loops"] = 1
    document: dict[str, object] = {
        "Plan": plan,
        "Relations": list(compiled.relations),
        "Members": members(compiled),
        "Join Paths": join_paths(compiled),
        "Policies": policies(compiled),
        "Rollups": list(compiled.rollups),
        "Rollups Not Used": [
            {"Name": each.name, "Reason": each.reason, "Change": each.change}
            for step in compiled.steps.walk()
            for each in step.unused
        ],
        "Data Source": ", ".join(compiled.data_sources),
        "SQL": compiled.sql,
        "Fetches": [
            {
                "Table": fetch.table,
                "Data Source": fetch.data_source,
                "Kind": fetch.kind,
                "Reason": fetch.reason,
                "SQL": fetch.sql,
            }
            for fetch in compiled.fetches
        ],
    }
    if snapshots:
        document["Snapshots"] = [
            {"Data Source": name, "One": is_one} for name, is_one in snapshots.items()
        ]
    if measured is not None:
        document["Cache"] = measured.cache
        document["Execution Time"] = round(measured.total, 3)
    return document


def _fetches(compiled: CompiledStatement) -> dict[str, str]:
    """What is fetched before the SQL is run here."""
    return {
        f"Fetch {fetch.table}": f"{fetch.kind} of {fetch.data_source}, since {fetch.reason}: "
        f"{fetch.sql}"
        for fetch in compiled.fetches
    }


def members(compiled: CompiledStatement) -> list[str]:
    """The members of the model that the statement resolves, in the order of the plan."""
    return list(dict.fromkeys(name for step in compiled.steps.walk() for name in step.members))


def policies(compiled: CompiledStatement) -> list[str]:
    """The access policies that rule what is read, and why nothing of a cube is; never values."""
    return list(dict.fromkeys(name for step in compiled.steps.walk() for name in step.policies))


def join_paths(compiled: CompiledStatement) -> list[str]:
    """The model's joins that the statement goes over, from the cube or view that it names."""
    found = (f"{s.relation} -> {path}" for s in compiled.steps.walk() for path in s.joins)
    return list(dict.fromkeys(found))


def _node(step: PlanStep) -> dict[str, object]:
    node: dict[str, object] = {"Node Type": step.kind, "Description": step.text}
    if step.relation:
        node["Relation Name"] = step.relation
    if step.alias:
        node["Alias"] = step.alias
    if step.members:
        node["Members"] = list(step.members)
    if step.policies:
        node["Policies"] = list(step.policies)
    if step.steps:
        node["Plans"] = [{"Parent Relationship": "Outer", **_node(inner)} for inner in step.steps]
    return node
