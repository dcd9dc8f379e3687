"""Lowerings: steps every plan takes before the rewrite rules, which may not be left out."""

from __future__ import annotations

from collections.abc import Callable

from semantic.compiler.lower.deduplicate import deduplicate
from semantic.compiler.lower.evaluate_stages import evaluate_stages
from semantic.compiler.lower.outer_measures import outer_measures
from semantic.compiler.lower.separate_facts import separate_facts
from semantic.compiler.plan import Query

Lowering = Callable[[Query], Query]

LOWERINGS: tuple[Lowering, ...] = (outer_measures, separate_facts, evaluate_stages, deduplicate)


def lower(plan: Query) -> Query:
    """Write out what a plan says in short."""
    for lowering in LOWERINGS:
        plan = lowering(plan)
    return plan
