"""What names mean inside one SELECT: its sources, their columns, and the scope around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from semantic.compiler.api import WholeRow
from semantic.compiler.measures import MeasureDefinition
from semantic.compiler.plan import CteReference, Derived, Query, Relation, RowKey
from semantic.compiler.trees import column, identifier, rebuild
from semantic.model.members import Dimension
from semantic.model.published import PublishedColumn
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class MeasureColumn:
    """A measure as a column, wherever it has been handed up to (M9)."""

    definition: MeasureDefinition
    type: PostgresType


@dataclass(eq=False, slots=True)
class VisibleColumn:
    """A column that a name can mean.

    Attributes:
        name: as the client sees it.
        source: where it comes from.
        index: its place in the source.
        published: the member behind it, for columns of cubes and views.
        boundary_measure: the measure that a subquery has already evaluated into plain values.
    """

    name: str
    source: Source
    index: int
    published: PublishedColumn | None = None

    @property
    def measure(self) -> MeasureColumn | None:
        """The measure that this column is, None for plain columns."""
        return self.source.measure(self)

    @property
    def is_measure(self) -> bool:
        """Whether this column is a measure; cheaper than asking for its definition."""
        return self.source.is_measure(self)


class Source:
    """Something in FROM.

    Attributes:
        name: the alias that the client's text uses.
        alias: the alias in the plan, unique in the statement.
    """

    def __init__(self, name: str, alias: str) -> None:
        self.name = name
        self.alias = alias

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        raise NotImplementedError

    @property
    def is_rows(self) -> bool:
        """Whether its rows are a cube's own, perhaps through subqueries that measures pass."""
        return False

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """Columns of that name; a member in mixed case is found in any case if unquoted (R3)."""
        raise NotImplementedError

    def measure(self, visible: VisibleColumn) -> MeasureColumn | None:
        """The measure behind a column."""
        return None

    def is_measure(self, visible: VisibleColumn) -> bool:
        """Whether a column is a measure."""
        return False

    def use(self, visible: VisibleColumn) -> None:
        """A column is named: what it is made of has a say in which rows there are (R2).

        While names are bound, so that the rows do not depend on what is done with the column.
        """

    def evaluate(self, visible: VisibleColumn, *, shared: bool = False) -> None:
        """A measure is evaluated over groups: the joins that it is made of are needed.

        Args:
            visible: the measure.
            shared: the rows are also those of other references.

        Raises:
            UnsupportedError: others must not see the rows multiplied.
        """

    def filter_by(self, columns: Sequence[VisibleColumn] | None) -> None:
        """WHERE is over these columns; None where it may be over anything."""

    @property
    def multiplied_by(self) -> str | None:
        """The measure whose evaluation makes the rows more than the relation has."""
        return None

    def relation_key(self) -> RowKey | None:
        """What tells the relation's own rows apart, where they are multiplied; None if nothing."""
        return None

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """The plan column that holds a column's value for a row."""
        raise NotImplementedError

    def time_dimension(self, visible: VisibleColumn) -> Dimension | None:
        """The time dimension with custom granularities whose values a column holds."""
        return None

    def period(self, visible: VisibleColumn, granularity: str) -> exp.Expr | None:
        """The value of a granularity that is defined by sql; None where its row is out of reach."""
        return None

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """The formula of a measure over plan columns of this source."""
        raise NotImplementedError

    def relation(self) -> Relation:
        """The plan relation; nothing may be asked for afterwards."""
        raise NotImplementedError

    def repeated_by(self, visible: VisibleColumn) -> str | None:
        """What repeats the rows of a measure's cube in this source: a name for people."""
        return None

    def row_keys(self, visible: VisibleColumn, *, repeated: bool) -> tuple[RowKey, ...]:
        """What tells the rows apart that a measure is aggregated over, where they are repeated.

        Args:
            visible: the measure.
            repeated: something beside this source repeats its rows.

        Raises:
            UnsupportedError: nothing tells them apart.
        """
        raise TypeError(visible.name)

    def is_settled(self, visible: VisibleColumn, measure: VisibleColumn) -> bool:
        """Whether a column has one value for each row that a measure is aggregated over."""
        return visible is measure

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """Sets of columns (by index) whose values no two rows share; an empty set: one row."""
        return iter(())


class BoundQuery(Protocol):
    """A query whose names are resolved and whose columns are made when they are asked for."""

    names: list[str]

    @property
    def is_rows(self) -> bool:
        """See ``Source.is_rows``."""

    def is_measure(self, index: int) -> bool:
        """Whether an output column is a measure that is handed up."""

    def measure(self, index: int) -> MeasureColumn | None:
        """The measure that an output column hands up."""

    def demand(self, index: int) -> str:
        """Ask for an output column; its name in the plan."""

    def demand_rows(self) -> tuple[WholeRow, ...]:
        """Ask for all output columns of the outermost query, whole rows as their columns."""

    def hand_up(self, index: int) -> exp.Expr:
        """The formula of a measure over output columns, ``table`` being ``OUTPUT``."""

    def time_dimension(self, index: int) -> Dimension | None:
        """See ``Source.time_dimension``."""

    def hand_up_rows(self, index: int, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``Source.row_keys``, over output columns, ``table`` being ``OUTPUT``."""

    def repeated_by(self, index: int) -> str | None:
        """See ``Source.repeated_by``."""

    def is_settled(self, index: int, measure: int) -> bool:
        """See ``Source.is_settled``."""

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``, by output column."""

    def use(self, index: int) -> None:
        """See ``Source.use``."""

    def evaluate(self, index: int, *, shared: bool) -> None:
        """See ``Source.evaluate``."""

    def relation_key(self) -> RowKey | None:
        """See ``Source.relation_key``, over output columns, ``table`` being ``OUTPUT``."""

    def filter(self) -> None:
        """See ``Source.filter_by``: WHERE around the query is over anything."""

    @property
    def multiplied_by(self) -> str | None:
        """See ``Source.multiplied_by``."""

    def build(self) -> Query:
        """The plan; nothing may be asked for afterwards."""


def use_all(query: BoundQuery) -> None:
    """All columns of a query matter, ``*`` or not."""
    for index in range(len(query.names)):
        query.use(index)


OUTPUT = "output:"


class QuerySource(Source):
    """A subquery or a WITH query in FROM."""

    def __init__(
        self,
        name: str,
        alias: str,
        query: BoundQuery,
        *,
        column_names: Sequence[str] = (),
        cte: str | None = None,
        lateral: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__(name, alias)
        self.query = query
        self._cte = cte
        self._shared = shared
        self.is_lateral = lateral
        self._columns: list[VisibleColumn] = []
        self._by_name: dict[str, list[VisibleColumn]] = {}
        for index, own in enumerate(query.names):
            visible = VisibleColumn(
                column_names[index] if index < len(column_names) else own, self, index
            )
            self._columns.append(visible)
            self._by_name.setdefault(visible.name, []).append(visible)

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return self._columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        return self._by_name.get(name, ())

    @property
    def is_rows(self) -> bool:
        """See ``Source.is_rows``."""
        return self.query.is_rows

    def is_measure(self, visible: VisibleColumn) -> bool:
        """See ``Source.is_measure``."""
        return self.query.is_measure(visible.index)

    def use(self, visible: VisibleColumn) -> None:
        """See ``Source.use``."""
        self.query.use(visible.index)

    def evaluate(self, visible: VisibleColumn, *, shared: bool = False) -> None:
        """See ``Source.evaluate``."""
        self.query.evaluate(visible.index, shared=shared or self._shared)

    def filter_by(self, columns: Sequence[VisibleColumn] | None) -> None:
        """See ``Source.filter_by``."""
        self.query.filter()

    @property
    def multiplied_by(self) -> str | None:
        """See ``Source.multiplied_by``."""
        return self.query.multiplied_by

    def relation_key(self) -> RowKey | None:
        """See ``Source.relation_key``."""
        key = self.query.relation_key()
        return None if key is None else RowKey(tuple(self._outside(n) for n in key.columns))

    def measure(self, visible: VisibleColumn) -> MeasureColumn | None:
        """See ``Source.measure``."""
        return self.query.measure(visible.index)

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.value``."""
        return column(self.alias, self.query.demand(visible.index))

    def time_dimension(self, visible: VisibleColumn) -> Dimension | None:
        """See ``Source.time_dimension``."""
        return self.query.time_dimension(visible.index)

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.formula``."""
        return self._outside(self.query.hand_up(visible.index))

    def _outside(self, tree: exp.Expr) -> exp.Expr:
        alias = self.alias

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column) and node.table == OUTPUT:
                return exp.Column(this=node.this, table=identifier(alias))
            return None

        return rebuild(tree, replace)

    def repeated_by(self, visible: VisibleColumn) -> str | None:
        """See ``Source.repeated_by``."""
        return self.query.repeated_by(visible.index)

    def row_keys(self, visible: VisibleColumn, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``Source.row_keys``."""
        return tuple(
            RowKey(
                tuple(self._outside(node) for node in key.columns),
                key.inputs,
                tuple(self._outside(node) for node in key.apart),
            )
            for key in self.query.hand_up_rows(visible.index, repeated=repeated)
        )

    def is_settled(self, visible: VisibleColumn, measure: VisibleColumn) -> bool:
        """See ``Source.is_settled``."""
        return visible is measure or self.query.is_settled(visible.index, measure.index)

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        if self._cte is not None:
            return CteReference(self.alias, self._cte)
        return Derived(self.alias, self.query.build(), self.is_lateral)

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``."""
        return self.query.unique_keys()
