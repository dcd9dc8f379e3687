"""WITH queries that are read once, put where they are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from semantic.compiler.plan import Cte, CteReference, Derived, PlanNode, Query, Select, With, walk
from semantic.compiler.rewrite.tools import bottom_up


def inline_ctes(plan: Query) -> Query:
    """A plan in which plain SELECTs under WITH that are read once are subqueries in FROM.

    Measures pass through them (M9), and a subquery in FROM can be merged.
    """
    uses = Counter(node.cte for node in walk(plan) if isinstance(node, CteReference))
    once = {
        node.key: node
        for node in walk(plan)
        if isinstance(node, Cte) and uses[node.key] == 1 and _is_plain(node)
    }
    if not once:
        return plan
    # From the inside out: what is put in place has its own references replaced already.
    made: dict[str, Query] = {}

    def change(node: PlanNode) -> PlanNode:
        if isinstance(node, Cte) and node.key in once:
            made[node.key] = node.query
        if isinstance(node, CteReference) and node.cte in made:
            return Derived(node.alias, made[node.cte])
        if isinstance(node, With):
            kept = tuple(cte for cte in node.ctes if cte.key not in made)
            return replace(node, ctes=kept) if kept else node.body
        return node

    return bottom_up(plan, change)


def _is_plain(cte: Cte) -> bool:
    if cte.materialized or cte.recursive:
        return False
    return isinstance(cte.query, Select) and cte.query.group is None
