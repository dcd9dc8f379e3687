"""What rewrite rules know besides the plan."""

from __future__ import annotations

from dataclasses import dataclass

from semantic.compiler.rollups.available import NO_ROLLUPS, Rollups


@dataclass(frozen=True, slots=True)
class RewriteContext:
    """The statement's surroundings, as a value: equal ones give equal plans.

    Attributes:
        dialect: of the warehouse.
        time_zone: the session's.
        rollups: that the statement may be answered from.
    """

    dialect: str
    time_zone: str = "UTC"
    rollups: Rollups = NO_ROLLUPS
