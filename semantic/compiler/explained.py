"""A plan as EXPLAIN shows it (rule E3): its nodes, the members and the joins that were resolved."""

from __future__ import annotations

from collections.abc import Iterator

from semantic.compiler.api import PlanStep
from semantic.compiler.plan import PlanNode, Scan, Select


def explained(node: PlanNode) -> PlanStep:
    """A node and all below it, without what only the compiler needs."""
    scan = node if isinstance(node, Scan) else None
    return PlanStep(
        kind=type(node).__name__,
        text=node.describe(),
        relation="" if scan is None else scan.relation,
        alias=str(getattr(node, "alias", "")),
        joins=() if scan is None else tuple(join.name for join in scan.joins),
        members=tuple(dict.fromkeys(_members(node))),
        policies=() if scan is None else scan.policies,
        steps=tuple(explained(child) for child in node.children()),
        rollup="" if scan is None else scan.rollup,
        unused=() if scan is None else scan.unused,
    )


def _members(node: PlanNode) -> Iterator[str]:
    if isinstance(node, Scan) and not node.rollup:
        for column in node.columns:
            # Inputs of measures, and their values for a row, have names of our own.
            if ":" not in column.name:
                yield f"{node.relation}.{column.name}"
            elif column.name.endswith(":row"):
                yield f"{node.relation}.{column.name.removesuffix(':row')}"
    elif isinstance(node, Select):
        for use in node.measures:
            yield use.name
