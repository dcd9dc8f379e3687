"""What rewrite rules know besides the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semantic.compiler.rollups.available import NO_ROLLUPS, Rollups


@dataclass(frozen=True, slots=True)
class RewriteContext:
    """The statement's surroundings, as a value: equal ones give equal plans.

    Attributes:
        dialect: of the warehouse, where ``dialects`` does not know its data source.
        dialects: by data source.
        time_zone: the session's.
        rollups: that the statement may be answered from.
    """

    dialect: str
    time_zone: str = "UTC"
    rollups: Rollups = NO_ROLLUPS
    dialects: Mapping[str, str] = field(default_factory=dict)

    def dialect_of(self, data_source: str) -> str:
        """The dialect of a data source's trees."""
        return self.dialects.get(data_source, self.dialect)
