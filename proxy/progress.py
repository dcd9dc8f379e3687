"""How far a statement has come, as the parts that carry it out tell it."""

from __future__ import annotations

from typing import Literal, Protocol

StatementState = Literal["preparing", "waiting", "running", "sending"]
"""Being understood; waiting for its turn in the data source; computed there, or looked up; its rows
being sent."""


class Progress(Protocol):
    """A statement, as those who carry it out see it."""

    def entered(self, state: StatementState) -> None:
        """It is in this state from now on."""
