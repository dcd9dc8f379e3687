"""Prepared statements: a statement whose parameters and columns are known."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.queries import CatalogQuery, CubeQuery
from proxy.scopes import Scope
from proxy.wire.backend import FieldDescription
from semantic.compiler.statements import Statement
from semantic.security.context import SecurityContext


@dataclass(frozen=True, slots=True, eq=False)
class PreparedStatement:
    """One statement after Parse, PREPARE, or the first step of a simple Query.

    Attributes:
        text: the statement alone, without its neighbours in a Query message.
        statement: its parsed form; None for the empty statement.
        parameter_oids: types of $1, $2, ...
        fields: result columns, None where it returns no rows.
        query: what to run, None for a utility statement.
        security: for whom it was prepared.
        version: of the model as they know it.
    """

    text: str
    statement: Statement | None
    parameter_oids: tuple[int, ...] = ()
    fields: tuple[FieldDescription, ...] | None = None
    query: CubeQuery | CatalogQuery | None = None
    security: SecurityContext | None = None
    version: str = ""

    def is_for(self, security: SecurityContext, scope: Scope) -> bool:
        """Whether it was prepared for this caller, with the model as they know it."""
        return self.security == security and self.version == scope.generation.version

    @property
    def kind(self) -> str:
        """Who answers it: ``cube``, ``catalog`` or, for the session itself, ``utility``."""
        if self.query is None:
            return "utility"
        return "cube" if isinstance(self.query, CubeQuery) else "catalog"
