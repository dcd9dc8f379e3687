"""WITH queries, once bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.api import WholeRow
from semantic.compiler.names import Names
from semantic.compiler.plain_columns import PlainColumns
from semantic.compiler.plan import Cte, Query, RowKey, With
from semantic.compiler.scope import BoundQuery, MeasureColumn
from semantic.model.members import Dimension


@dataclass(eq=False, slots=True)
class BoundCte:
    """A WITH query: bound once, built once, referred to any number of times.

    Attributes:
        is_shared: it may be referred to several times.
    """

    name: str
    key: str
    query: BoundQuery
    column_names: tuple[str, ...]
    materialized: bool | None
    used: bool = False
    recursive: bool = False
    is_shared: bool = False

    def plan(self) -> Cte:
        """Its plan node; nothing may be asked of it afterwards."""
        return Cte(self.key, self.query.build(), self.materialized, self.recursive)


class OwnRows(PlainColumns):
    """What a recursive WITH query sees of itself; see ``BoundQuery``."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        taken = Names()
        self._columns = [taken.take(name) for name in names]

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        return self._columns[index]

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``BoundQuery``."""
        return iter(())

    def build(self) -> Query:
        """See ``BoundQuery``. It is only ever referred to."""
        raise TypeError("rows of a recursive query")


class BoundWith:
    """A query under WITH; see ``BoundQuery``."""

    def __init__(self, ctes: list[BoundCte], body: BoundQuery) -> None:
        self._ctes = ctes
        self._body = body
        self.names = body.names

    @property
    def is_rows(self) -> bool:
        """See ``BoundQuery``."""
        return self._body.is_rows

    def is_measure(self, index: int) -> bool:
        """See ``BoundQuery``."""
        return self._body.is_measure(index)

    def measure(self, index: int) -> MeasureColumn | None:
        """See ``BoundQuery``."""
        return self._body.measure(index)

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        return self._body.demand(index)

    def demand_rows(self) -> tuple[WholeRow, ...]:
        """See ``BoundQuery``."""
        return self._body.demand_rows()

    def hand_up(self, index: int) -> exp.Expr:
        """See ``BoundQuery``."""
        return self._body.hand_up(index)

    def time_dimension(self, index: int) -> Dimension | None:
        """See ``BoundQuery``."""
        return self._body.time_dimension(index)

    def hand_up_rows(self, index: int, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``BoundQuery``."""
        return self._body.hand_up_rows(index, repeated=repeated)

    def repeated_by(self, index: int) -> str | None:
        """See ``BoundQuery``."""
        return self._body.repeated_by(index)

    def is_settled(self, index: int, measure: int) -> bool:
        """See ``BoundQuery``."""
        return self._body.is_settled(index, measure)

    def use(self, index: int) -> None:
        """See ``BoundQuery``."""
        self._body.use(index)

    def evaluate(self, index: int, *, shared: bool) -> None:
        """See ``BoundQuery``."""
        self._body.evaluate(index, shared=shared)

    @property
    def multiplied_by(self) -> str | None:
        """See ``BoundQuery``."""
        return self._body.multiplied_by

    def relation_key(self) -> RowKey | None:
        """See ``BoundQuery``."""
        return self._body.relation_key()

    def filter(self) -> None:
        """See ``BoundQuery``."""
        self._body.filter()

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``BoundQuery``."""
        return self._body.unique_keys()

    def build(self) -> Query:
        """See ``BoundQuery``. Later WITH queries ask earlier ones for columns, so go first."""
        body = self._body.build()
        built: list[Cte] = []
        for cte in reversed(self._ctes):
            if cte.used:
                built.append(cte.plan())
        return With(tuple(reversed(built)), body) if built else body
