"""What is common to queries whose columns are plain values: they hand up no measures (M9)."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.api import WholeRow
from semantic.compiler.plan import RowKey
from semantic.compiler.scope import MeasureColumn
from semantic.model.members import Dimension


class PlainColumns:
    """The part of ``BoundQuery`` that is about measures, where there are none."""

    names: list[str]
    is_rows = False

    def is_measure(self, index: int) -> bool:
        """See ``BoundQuery``."""
        return False

    def measure(self, index: int) -> MeasureColumn | None:
        """See ``BoundQuery``."""
        return None

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        raise NotImplementedError

    def demand_rows(self) -> tuple[WholeRow, ...]:
        """See ``BoundQuery``."""
        for index in range(len(self.names)):
            self.demand(index)
        return ()

    def hand_up(self, index: int) -> exp.Expr:
        """See ``BoundQuery``."""
        raise TypeError(self.names[index])

    def hand_up_rows(self, index: int, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``BoundQuery``."""
        raise TypeError(self.names[index])

    def repeated_by(self, index: int) -> str | None:
        """See ``BoundQuery``."""
        return None

    def is_settled(self, index: int, measure: int) -> bool:
        """See ``BoundQuery``."""
        return False

    def use(self, index: int) -> None:
        """See ``BoundQuery``."""

    def evaluate(self, index: int, *, shared: bool) -> None:
        """See ``BoundQuery``."""

    def filter(self) -> None:
        """See ``BoundQuery``."""

    multiplied_by: str | None = None

    def relation_key(self) -> RowKey | None:
        """See ``BoundQuery``."""
        return None

    def time_dimension(self, index: int) -> Dimension | None:
        """See ``BoundQuery``."""
        return None
