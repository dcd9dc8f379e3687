"""Errors of the statement grammar."""

from __future__ import annotations

from semantic.errors import SemanticError


class StatementSyntaxError(SemanticError):
    """The text is no statement (42601), said in PostgreSQL's words."""

    def __init__(
        self, message: str, offset: int, *, sqlstate: str = "42601", hint: str | None = None
    ) -> None:
        """``offset`` is the 0-based character offset of the fault in the text that was parsed."""
        super().__init__(sqlstate, message, hint=hint, position=offset + 1)
