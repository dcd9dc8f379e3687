"""The one error root of the semantic layer.

An error carries what PostgreSQL's ErrorResponse carries, so that the edge of the server can flatten
it without knowing which stage raised it (protocol manual, "Error and Notice Message Fields").
"""

from __future__ import annotations


class SemanticError(Exception):
    """A fault of the caller's statement or model, fit to be shown to the caller.

    Attributes:
        sqlstate: five characters of PostgreSQL's Appendix A.
        message: one line, lower case, no full stop, as PostgreSQL writes them.
        detail: optional second line.
        hint: what to do about it.
        position: 1-based character offset in the client's own SQL, if known.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position


class UnsupportedError(SemanticError):
    """A feature that is refused rather than guessed (0A000)."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        position: int | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__("0A000", message, detail=detail, hint=hint, position=position)


class ForbiddenError(SemanticError):
    """Something that is not on the list of what a query over cubes may use (42501).

    Attributes:
        certain: what stands there can be no misspelling of something that is on the list.
    """

    def __init__(
        self, message: str, *, hint: str, position: int | None = None, certain: bool = False
    ) -> None:
        super().__init__("42501", message, hint=hint, position=position)
        self.certain = certain


class DeniedError(SemanticError):
    """Something that no access policy gives to the caller (42501)."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("42501", message, hint=hint)
