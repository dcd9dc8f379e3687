"""Lowerings: steps every plan takes before the rewrite rules, which may not be left out."""

from __future__ import annotations

from collections.abc import Callable

from semantic.compiler.lower.alike_keys import alike_keys
from semantic.compiler.lower.deduplicate import deduplicate
from semantic.compiler.lower.evaluate_stages import evaluate_stages
from semantic.compiler.lower.outer_measures import outer_measures
from semantic.compiler.lower.row_groups import row_groups
from semantic.compiler.lower.separate_facts import separate_facts
from semantic.compiler.plan import Query

Lowering = Callable[[Query], Query]

LOWERINGS: tuple[Lowering, ...] = (
    alike_keys,
    outer_measures,
    separate_facts,
    evaluate_stages,
    row_groups,
    deduplicate,
)

# What is cheaper on some warehouses only: row_groups has the numbers.
_ONLY_ON: dict[Lowering, frozenset[str]] = {row_groups: frozenset({"duckdb"})}


def lower(plan: Query, dialect: str) -> Query:
    """Write out what a plan says in short, as is cheaper on the dialect."""
    for lowering in LOWERINGS:
        if dialect in _ONLY_ON.get(lowering, (dialect,)):
            plan = lowering(plan)
    return plan
