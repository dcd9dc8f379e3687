"""What names mean inside one SELECT: its sources, their columns, and the scope around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from sqlglot import exp

from semantic.compiler.granularities import column_name, period_column, zoned_as_date_trunc
from semantic.compiler.measures import MeasureDefinition, MeasureRows, at_inputs
from semantic.compiler.model_sql import UnservedMemberError
from semantic.compiler.names import Names, fold
from semantic.compiler.plan import CteReference, Derived, Query, Relation, RowKey
from semantic.compiler.scan import Members, ScanBuilder
from semantic.compiler.trees import column, identifier, rebuild
from semantic.model.members import Dimension
from semantic.model.published import PublishedColumn, PublishedRelation
from semantic.model.relations import Cube, View
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


class CubeSource(Source):
    """A cube or view.

    Attributes:
        relation_name: its name in the model.
        model_relation: the cube or view itself.
        members: of the model.
        builder: collects what the statement needs of it.
    """

    def __init__(
        self,
        name: str,
        alias: str,
        relation: Cube | View,
        published: PublishedRelation,
        members: Members,
        names: Names,
        column_names: Sequence[str] = (),
    ) -> None:
        super().__init__(name, alias)
        self._column_names = column_names
        self.relation_name = relation.name
        self.model_relation = relation
        self.members = members
        self._published = published
        self._indexes = members.column_indexes(published)
        self._made: dict[int, VisibleColumn] = {}
        self.builder = ScanBuilder(members, relation, alias, names)

    @property
    def root(self) -> Cube:
        """The cube whose rows these are."""
        return self.members.sql.root_of(self.model_relation)

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``. A column is made when it is asked for: most never are."""
        return [self._column(index) for index in range(len(self._published.columns))]

    def _column(self, index: int) -> VisibleColumn:
        found = self._made.get(index)
        if found is None:
            member = self._published.columns[index]
            renamed = index < len(self._column_names)
            name = self._column_names[index] if renamed else member.name
            found = self._made[index] = VisibleColumn(name, self, index, member)
        return found

    @property
    def is_rows(self) -> bool:
        """See ``Source.is_rows``."""
        return True

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        if self._column_names:
            exact = [item for item in self.columns if item.name == name]
            if exact or quoted:
                return exact
        index = None if self._column_names else self._indexes.get(name)
        if index is not None:
            return (self._column(index),)
        if quoted:
            return ()
        return [item for item in self.columns if fold(item.name) == name]

    def is_measure(self, visible: VisibleColumn) -> bool:
        """See ``Source.is_measure``."""
        return visible.published is not None and visible.published.kind == "measure"

    def use(self, visible: VisibleColumn) -> None:
        """See ``Source.use``."""
        path = self._members.to_many(self._relation, visible.name)
        if path:
            self.builder.join(path)

    def measure(self, visible: VisibleColumn) -> MeasureColumn | None:
        """See ``Source.measure``."""
        published = visible.published
        if published is None or published.kind != "measure":
            return None
        with self._named(visible):
            definition = self.members.measure(self.model_relation, published.name)
        return MeasureColumn(definition, published.type)

    @contextmanager
    def _named(self, visible: VisibleColumn) -> Iterator[None]:
        """Blame the member that was asked for, not one deep inside its definition."""
        try:
            yield
        except UnservedMemberError as error:
            raise UnservedMemberError(self.relation_name, visible.name, error.what) from error

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.value``."""
        published = visible.published
        if published is None:
            raise TypeError(visible.name)
        with self._named(visible):
            if published.granularity is not None:
                return self._period(published, *published.granularity)
            return self.builder.value(published)

    def _period(self, published: PublishedColumn, dimension: str, granularity: str) -> exp.Expr:
        found = self.members.time_dimension(self.model_relation, dimension)
        item = None if found is None else found[1].granularity(granularity)
        if found is None or item is None:
            raise TypeError(published.name)
        if item.sql is not None:
            return self.builder.value(published)
        base = self._published.columns[self._indexes[dimension]]
        return period_column(found[1], item, self.builder.value(base), base.type)

    def time_dimension(self, visible: VisibleColumn) -> Dimension | None:
        """See ``Source.time_dimension``."""
        if visible.published is None:
            return None
        found = self.members.time_dimension(self.model_relation, visible.published.name)
        return None if found is None else found[1]

    def period(self, visible: VisibleColumn, granularity: str) -> exp.Expr | None:
        """See ``Source.period``."""
        published = visible.published
        if published is None:
            raise TypeError(visible.name)
        name = column_name(published.name, granularity)
        if name in self._indexes:
            own = self._published.columns[self._indexes[name]]
        else:
            own = PublishedColumn(name, published.type, "dimension")
        column = replace(own, granularity=(published.name, granularity))
        with self._named(visible):
            return zoned_as_date_trunc(self.builder.value(column), published.type)

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.formula``."""
        definition = self._definition(visible)
        return at_inputs(definition.formula, self._inputs(visible))

    def _definition(self, visible: VisibleColumn) -> MeasureDefinition:
        if visible.published is None:
            raise TypeError(visible.name)
        return self.members.measure(self.model_relation, visible.published.name)

    def _inputs(self, visible: VisibleColumn) -> Mapping[str, exp.Column]:
        if visible.published is None:
            raise TypeError(visible.name)
        definition = self._definition(visible)
        return self.builder.inputs(definition, visible.published.type)

    def _rows(self, visible: VisibleColumn) -> tuple[MeasureRows, ...]:
        return self._definition(visible).rows

    def repeated_by(self, visible: VisibleColumn) -> str | None:
        """See ``Source.repeated_by``."""
        for rows in self._rows(visible):
            if rows.duplicates_matter and self.builder.repeats(rows):
                return self.relation_name
        return None

    def row_keys(self, visible: VisibleColumn, *, repeated: bool) -> tuple[RowKey, ...]:
        """See ``Source.row_keys``."""
        found = [
            rows
            for rows in self._rows(visible)
            if rows.duplicates_matter and (repeated or self.builder.repeats(rows))
        ]
        if not found:
            return ()
        names = self._inputs(visible)
        return tuple(
            RowKey(
                self.builder.row_key(rows),
                frozenset(names[name].name for name in rows.inputs),
            )
            for rows in found
        )

    def is_settled(self, visible: VisibleColumn, measure: VisibleColumn) -> bool:
        """See ``Source.is_settled``."""
        if visible is measure:
            return True
        if self._members.to_many(self._relation, visible.name):
            return False
        return all(rows.path == () for rows in self._rows(measure)) and (
            not visible.is_measure or all(rows.path == () for rows in self._rows(visible))
        )

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        return self.builder.make()

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``."""
        if self._published.primary_key and not self.builder.multiplies:
            yield frozenset(self._indexes[name] for name in self._published.primary_key)


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
    ) -> None:
        super().__init__(name, alias)
        self.query = query
        self._cte = cte
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
