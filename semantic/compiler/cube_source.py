"""A cube or view in FROM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.event_scans import with_event_scans
from semantic.compiler.formulas import at_inputs
from semantic.compiler.grants import ItemUse
from semantic.compiler.granularities import column_name, period_column, zoned_as_date_trunc
from semantic.compiler.measures import MeasureDefinition, MeasureRows
from semantic.compiler.members import Members
from semantic.compiler.model_sql import UnservedMemberError
from semantic.compiler.names import Names, fold
from semantic.compiler.plan import Relation, RowKey
from semantic.compiler.scan import ScanBuilder
from semantic.compiler.scope import MeasureColumn, Source, VisibleColumn
from semantic.errors import UnsupportedError
from semantic.model.members import Dimension
from semantic.model.published import PublishedColumn, PublishedRelation
from semantic.model.relations import Cube, View


class CubeSource(Source):
    """A cube or view.

    Attributes:
        relation_name: its name in the model.
        model_relation: the cube or view itself.
        members: of the model.
        builder: collects what the statement needs of it.
        is_named: whether an expression names one of its columns.
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
        use: ItemUse | None = None,
    ) -> None:
        super().__init__(name, alias)
        self._column_names = column_names
        self._use = use or members.use_of(relation)
        self.relation_name = relation.name
        self.model_relation = relation
        self.members = members
        self._names = names
        self._published = published
        self._indexes = members.column_indexes(published)
        self._made: dict[int, VisibleColumn] = {}
        self.is_named = False
        self.builder = ScanBuilder(members, relation, alias, names, use=self._use)
        self._has_more_rows = False
        self._multiplied_by: str | None = None

    @property
    def root(self) -> Cube:
        """The cube whose rows these are."""
        return self.members.sql.root_of(self.model_relation)

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``. A column is made when it is asked for: most never are."""
        return [self.column_at(index) for index in range(len(self._published.columns))]

    def column_at(self, index: int) -> VisibleColumn:
        """The column at a place of the published relation."""
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
            return (self.column_at(index),)
        if quoted:
            return ()
        return [item for item in self.columns if fold(item.name) == name]

    def is_measure(self, visible: VisibleColumn) -> bool:
        """See ``Source.is_measure``."""
        return visible.published is not None and visible.published.kind == "measure"

    def use(self, visible: VisibleColumn) -> None:
        """See ``Source.use``."""
        self.is_named = True
        self.name_member(visible)
        for path in self._to_many(visible):
            self._has_more_rows = True
            self.builder.join(path)

    def name_member(self, visible: VisibleColumn) -> None:
        """A column is named, which policies have a say in (G2). Raises DeniedError 42501."""
        if visible.published is not None:
            self._use.name(self.model_relation, _member_of(visible.published))

    def evaluate(self, visible: VisibleColumn, *, shared: bool = False) -> None:
        """See ``Source.evaluate``."""
        if visible.published is None:
            return
        with self._named(visible):
            paths = self.members.to_many_inside(self.model_relation, visible.published.name)
        if paths and shared:
            raise UnsupportedError(
                f"{visible.name} is made of cubes that are joined to many rows, which is not "
                "supported over a WITH query",
                hint="Put the query into FROM as a subquery instead.",
            )
        for path in paths:
            self._multiplied_by = visible.name
            self.builder.join(path)

    def filter_by(self, columns: Sequence[VisibleColumn] | None) -> None:
        """See ``Source.filter_by``."""
        own = [item.published for item in columns or () if item.source is self]
        names = (_member_of(item) for item in own if item is not None)
        self.builder.filters_on |= frozenset(names)
        if columns is None or any(
            item.source is not self or item.is_measure or self._to_many(item) for item in columns
        ):
            self.builder.filtered = "beyond"
        else:
            self.builder.filtered = self.builder.filtered or "root"

    @property
    def multiplied_by(self) -> str | None:
        """See ``Source.multiplied_by``."""
        return self._multiplied_by

    def relation_key(self) -> RowKey | None:
        """See ``Source.relation_key``."""
        if self._has_more_rows or not self.root.primary_key:
            return None
        rows = MeasureRows((), self.root.name, frozenset(), duplicates_matter=True)
        return RowKey(self.builder.row_key(rows))

    def _to_many(self, visible: VisibleColumn) -> tuple[tuple[str, ...], ...]:
        """The ways to many rows that the column goes."""
        published = visible.published
        if published is None:
            return ()
        return self.members.to_many(self.model_relation, _member_of(published))

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
        definition = self._evaluated(visible)
        formula = at_inputs(definition.formula, self._inputs(visible))
        return with_event_scans(formula, self.members, self._names, self.builder.data_source)

    def _definition(self, visible: VisibleColumn) -> MeasureDefinition:
        if visible.published is None:
            raise TypeError(visible.name)
        return self.members.measure(self.model_relation, visible.published.name)

    def _evaluated(self, visible: VisibleColumn) -> MeasureDefinition:
        """What is evaluated for a measure, its mask where the caller must not see it."""
        if visible.published is None:
            raise TypeError(visible.name)
        name = visible.published.name
        masked = self._use.is_masked(self.model_relation, name)
        return self.members.measure(self.model_relation, name, masked=masked)

    def _inputs(self, visible: VisibleColumn) -> Mapping[str, exp.Column]:
        if visible.published is None:
            raise TypeError(visible.name)
        definition = self._evaluated(visible)
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
            for rows in self._evaluated(visible).rows
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
        if self._to_many(visible):
            return False
        return all(rows.path == () for rows in self._rows(measure)) and (
            not visible.is_measure or all(rows.path == () for rows in self._rows(visible))
        )

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        return self.builder.make()

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``Source.unique_keys``."""
        key = self._published.primary_key
        masked = any(self._use.may_be_masked(self.model_relation, name) for name in key)
        if key and not masked and not self.builder.multiplies:
            yield frozenset(self._indexes[name] for name in key)


def _member_of(published: PublishedColumn) -> str:
    """The member that a column is, or a granularity of."""
    return published.granularity[0] if published.granularity else published.name
