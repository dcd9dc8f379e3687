"""Rewrite rules: each makes a plan simpler, none changes a result, any can be left out."""

from __future__ import annotations

from collections.abc import Callable

from semantic.compiler.plan import Query
from semantic.compiler.rewrite.compute_keys import compute_keys
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.drop_tautologies import drop_tautologies
from semantic.compiler.rewrite.drop_unused_join import drop_unused_join
from semantic.compiler.rewrite.inline_cte import inline_cte
from semantic.compiler.rewrite.inline_scan import inline_scan
from semantic.compiler.rewrite.match_rollup import match_rollup
from semantic.compiler.rewrite.merge_subquery import merge_subquery
from semantic.compiler.rewrite.push_conditions import push_conditions

Rule = Callable[[Query, RewriteContext], Query]

RULES: tuple[Rule, ...] = (
    drop_tautologies,
    inline_cte,
    merge_subquery,
    drop_unused_join,
    match_rollup,
    compute_keys,
    inline_scan,
    push_conditions,
)


def rewrite(plan: Query, context: RewriteContext, rules: tuple[Rule, ...] = RULES) -> Query:
    """Apply rules in order, each once."""
    for rule in rules:
        plan = rule(plan, context)
    return plan
