"""What can go wrong between a value and its bytes."""

from __future__ import annotations


class RowsError(Exception):
    """A value, a setting or a parameter that cannot be carried over; root of this package.

    Attributes:
        sqlstate: five characters of PostgreSQL's Appendix A.
        message: one line as PostgreSQL writes it.
        detail: optional second line.
        hint: what to do about it.
    """

    def __init__(
        self, sqlstate: str, message: str, *, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint


class UnsupportedSetting(RowsError):  # noqa: N818 - reads as the fault it names
    """A session setting whose output format is not produced here (0A000)."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("0A000", message, hint=hint)


class EncodeError(RowsError):
    """A value from the warehouse that the announced PostgreSQL type cannot hold."""


class ParameterError(RowsError):
    """A bind parameter whose bytes are not a value of its type."""


class NeedsServer(ParameterError):  # noqa: N818 - reads as the condition it names
    """A parameter text that PostgreSQL may accept but that is not understood here (0A000).

    Whoever catches it may have a PostgreSQL server turn the text into its canonical form
    (``SELECT $1::type``) and decode that instead.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__("0A000", f'unsupported input syntax for type {type_name}: "{text}"')
