"""Temporary tables of the session as what stands in FROM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from semantic.compiler.api import SessionSettings, TemporaryTable
from semantic.compiler.names import Names
from semantic.compiler.plan import Relation, TemporaryRows
from semantic.compiler.scope import Source, VisibleColumn
from semantic.compiler.temporary import TemporaryUses
from semantic.compiler.trees import column
from semantic.errors import UnsupportedError

TEMPORARY_SCHEMA = "pg_temp"
PUBLISHED_SCHEMA = "public"


def find_temporary(
    settings: SessionSettings, schema: str | None, name: str, *, published: bool
) -> TemporaryTable | None:
    """The temporary table that a name means.

    Args:
        settings: the session's tables and search path.
        schema: None where the name has none.
        name: as it is spelled, folded.
        published: there is a cube or view of that name too: the search path decides, in which
            temporary tables come first unless it says otherwise.
    """
    found = next((table for table in settings.temporary_tables if table.name == name), None)
    if found is None or schema is not None:
        own = schema in (TEMPORARY_SCHEMA, settings.temporary_schema)
        return found if own else None
    path = settings.search_path
    if published and TEMPORARY_SCHEMA in path and PUBLISHED_SCHEMA in path:
        first = path.index(TEMPORARY_SCHEMA) < path.index(PUBLISHED_SCHEMA)
        return found if first else None
    return found


class TemporarySource(Source):
    """A temporary table."""

    def __init__(
        self,
        name: str,
        alias: str,
        table: TemporaryTable,
        column_names: Sequence[str],
        uses: TemporaryUses,
    ) -> None:
        super().__init__(name, alias)
        self._table = table
        self._uses = uses
        self._demanded: dict[int, int] = {}
        names = (*column_names, *table.columns[len(column_names) :])
        self._columns = [VisibleColumn(own, self, index) for index, own in enumerate(names)]
        plan_names = Names()
        self._plan_names = [plan_names.take(own) for own in table.columns]

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return self._columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        return [item for item in self._columns if item.name == name]

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.value``."""
        self._demand(visible.index)
        return column(self.alias, self._plan_names[visible.index])

    def _demand(self, index: int) -> None:
        table = self._table
        self._demanded[index] = self._uses.number(
            table.name, table.columns[index], table.types[index]
        )

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        table = self._table
        if not table.columns:
            raise UnsupportedError(
                f'temporary table "{table.name}" has no columns and cannot stand beside a cube'
            )
        if not self._demanded:
            self._demand(0)
        columns = tuple(
            (self._plan_names[index], table.types[index], number)
            for index, number in sorted(self._demanded.items())
        )
        return TemporaryRows(self.alias, table.name, columns)

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``."""
        return iter(self._table.keys)
