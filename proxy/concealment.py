"""What callers who may not see everything are not told by plans and by errors."""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.scopes import Scope
from semantic.compiler.api import CompiledStatement, PlanStep
from semantic.errors import SemanticError

WITHHELD = "withheld, since access policies apply"
"""In the place of the warehouse's SQL, which holds rules and names of what is hidden."""

_WORD = re.compile(r"\w+")


def shown_plan(compiled: CompiledStatement, scope: Scope) -> CompiledStatement:
    """A statement as EXPLAIN may show it to a caller: its SQL and expressions may tell too much."""
    if scope.is_whole:
        return compiled
    members = {
        f"{relation.name}.{column.name}"
        for relation in scope.generation.published.relations
        for column in relation.columns
    }
    relations = {relation.name for relation in scope.generation.published.relations}
    return replace(
        compiled,
        sql=WITHHELD,
        fetches=tuple(replace(fetch, sql=WITHHELD, reason=WITHHELD) for fetch in compiled.fetches),
        steps=_shown_step(compiled.steps, relations, members),
        rollups=tuple(name for name in compiled.rollups if _relation_of(name) in relations),
    )


def _shown_step(step: PlanStep, relations: set[str], members: set[str]) -> PlanStep:
    """A step of what may be shown and nothing else, whatever else a step has."""
    known = step.relation in relations
    policies = tuple(policy for policy in step.policies if _relation_of(policy) in relations)
    words = [step.kind.lower()]
    if known:
        words.append(f"{step.relation} as {step.alias}")
    elif step.alias and not step.relation:
        words.append(step.alias)
    if policies:
        words.append(f"policies ({', '.join(policies)})")
    return PlanStep(
        kind=step.kind,
        text=" ".join(words),
        relation=step.relation if known else "",
        alias=step.alias,
        members=tuple(name for name in step.members if name in members),
        policies=policies,
        steps=tuple(_shown_step(inner, relations, members) for inner in step.steps),
    )


def _relation_of(name: str) -> str:
    """The cube or view that the name of a policy or of a pre-aggregation begins with."""
    return re.split("[.:]", name, maxsplit=1)[0]


def conceal(error: SemanticError, sql: str, scope: Scope) -> None:
    """Take out of an error, in place, what names something that the caller may not know of.

    Names that stand in the statement are the caller's own.
    """
    if not scope.hidden:
        return
    said = " ".join(filter(None, (error.message, error.detail, error.hint)))
    words = set(_WORD.findall(said.lower())) - set(_WORD.findall(sql.lower()))
    if not scope.hidden.isdisjoint(words):
        error.message = "this statement is not supported over these relations"
        error.detail = None
        error.hint = "Write it with fewer relations or columns."
