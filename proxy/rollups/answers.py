"""The engine's side of pre-aggregations: what a statement may use, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from connectors.errors import WarehouseError
from proxy.cache.results import Found
from proxy.queries import Caller
from proxy.rollups.opening import Rollups
from proxy.rollups.view import RollupChoice
from semantic.compiler.api import Analysis, CompiledStatement
from semantic.compiler.compiler import BoundStatement, Compiler
from semantic.compiler.rollups.api import UnusedRollup
from semantic.errors import UnsupportedError

logger = logging.getLogger("cubewire.rollups")

_VANISHED = frozenset(("42P01", "42703", "3F000", "58030", "XX001"))
"""What a warehouse says of a table, column or file that is not there, or is not what it was."""

_CLASSES = (
    ("it is not built", "not_built"),
    ("another version", "version"),
    ("another data source", "data_source"),
    ("older", "stale"),
)
"""Reasons that are told apart in the metrics; any other is the statement's own."""


class Answers:
    """What the engine asks about pre-aggregations.

    Args:
        rollups: of the model.
        observe: told what came of each statement over cubes: ``hit``, or the class of a reason.
    """

    def __init__(self, rollups: Rollups, observe: Callable[[str], None]) -> None:
        self.rollups = rollups
        self._observe = observe

    def informed(self, caller: Caller) -> Caller:
        """The caller with the pre-aggregations as they are now."""
        use = self.rollups.service.view.use(caller.rollup_choice)
        return caller if use == caller.rollups else replace(caller, rollups=use)

    def noted(self, found: Found, compiled: CompiledStatement) -> Found:
        """Count what came of a statement; its rows with the names of what it reads."""
        if compiled.rollups:
            self._observe("hit")
            return replace(found, rollups=compiled.rollups)
        if self.rollups.builder.definitions:
            reason = next(iter(unused(compiled)), None)
            if reason is not None:
                self._observe(reason_class(reason))
        return found

    def without(self, compiled: CompiledStatement, caller: Caller, error: WarehouseError) -> Caller:
        """The caller for a second try, where a pre-aggregation's table has gone or is damaged.

        Nothing of the result has been seen yet. Any other error is raised again.
        """
        if error.sqlstate not in _VANISHED or not compiled.rollups:
            raise error
        logger.warning(
            "a pre-aggregation's table is gone",
            extra={"fields": {"rollups": compiled.rollups, "detail": error.message}},
        )
        self.rollups.service.view.vanished(compiled.rollups)
        if caller.rollup_choice.mode == "only":
            raise error
        return self.informed(replace(caller, rollup_choice=RollupChoice("off")))


def compiled_for(
    compiler: Compiler, bound: BoundStatement, analysis: Analysis, caller: Caller
) -> CompiledStatement:
    """A statement, compiled as its caller wants it to be answered. Raises as ``check_only``."""
    compiled = compiler.compile(bound, analysis, caller.semantic, caller.rollups.candidates)
    check_only(compiled, caller)
    return compiled


def check_only(compiled: CompiledStatement, caller: Caller) -> None:
    """Refuse (0A000) a statement that reads a cube's own rows where the session wants none."""
    if caller.rollup_choice.mode != "only":
        return
    for step in compiled.steps.walk():
        if step.kind == "Scan" and step.relation and not step.rollup:
            reasons = [str(each) for each in step.unused]
            raise UnsupportedError(
                f'"{step.relation}" cannot be answered from pre-aggregations',
                detail="\n".join(reasons) or "The model has none for it.",
                hint="SET cubewire.rollups = 'on' answers it from the source.",
            )


def unused(compiled: CompiledStatement) -> Iterator[UnusedRollup]:
    """The pre-aggregations that a statement might have been answered from, and was not."""
    for step in compiled.steps.walk():
        yield from step.unused


def reason_class(reason: UnusedRollup) -> str:
    """A few words for a reason, to count by."""
    return next((name for text, name in _CLASSES if text in reason.reason), "no_match")
