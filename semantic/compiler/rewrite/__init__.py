"""Rewrite rules: each makes a plan simpler, none changes a result, any can be left out."""

from __future__ import annotations

from collections.abc import Callable

from semantic.compiler.plan import Query

Rule = Callable[[Query], Query]

RULES: tuple[Rule, ...] = ()


def rewrite(plan: Query, rules: tuple[Rule, ...] = RULES) -> Query:
    """Apply rules in order, each once."""
    for rule in rules:
        plan = rule(plan)
    return plan
