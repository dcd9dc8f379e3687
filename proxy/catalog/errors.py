"""The catalog's one error: what PostgreSQL, or the pool in front of it, reports."""

from __future__ import annotations

from collections.abc import Mapping


class CatalogError(Exception):
    """An ErrorResponse of the catalog PostgreSQL, or one that the catalog makes itself.

    Attributes:
        sqlstate: five characters of PostgreSQL's Appendix A.
        message: the primary message.
        detail: optional second line.
        hint: what to do about it.
        position: 1-based character offset in the statement that was sent, if known.
        fields: the whole ErrorResponse by field code (protocol manual, "Error and Notice Message
            Fields"), ready to be relayed.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.fields: dict[str, str] = dict(fields) if fields is not None else self._own_fields()

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> CatalogError:
        """Read an ErrorResponse.

        What names the child's source code (F, L, R) is dropped, and the context (W) where it is a
        function of ours: clients cannot make any.
        """
        position = fields.get("P")
        kept = {code: value for code, value in fields.items() if code not in "FLR"}
        if kept.get("W", "").startswith("PL/pgSQL function"):
            del kept["W"]
        return cls(
            fields.get("C", "XX000"),
            fields.get("M", "unknown error"),
            detail=fields.get("D"),
            hint=fields.get("H"),
            position=int(position) if position is not None else None,
            fields=kept,
        )

    def moved(self, position: int) -> CatalogError:
        """The same error at another position."""
        return CatalogError.from_fields({**self.fields, "P": str(position)})

    def _own_fields(self) -> dict[str, str]:
        fields = {"S": "ERROR", "V": "ERROR", "C": self.sqlstate, "M": self.message}
        if self.detail is not None:
            fields["D"] = self.detail
        if self.hint is not None:
            fields["H"] = self.hint
        if self.position is not None:
            fields["P"] = str(self.position)
        return fields


class ConnectionLostError(CatalogError):
    """The connection to the catalog PostgreSQL ended before it had answered (08006)."""

    def __init__(self, message: str = "connection to the catalog was lost") -> None:
        super().__init__("08006", message, hint="Run the statement again.")
