"""A view over several root cubes in FROM: a source for each root, and the columns they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.emit_parts import postgres_data_type
from semantic.compiler.members import Members
from semantic.compiler.names import Names, fold
from semantic.compiler.plan import Relation
from semantic.compiler.scope import Source, VisibleColumn
from semantic.compiler.trees import column
from semantic.model.published import PublishedColumn, PublishedRelation
from semantic.model.relations import View, ViewMember


class FactView(Source):
    """A view over several facts.

    Its columns are those of the sources of its roots. One that several roots have is of a source of
    its own.

    Attributes:
        parts: a source for each root.
        shared: the sources of shared columns that were asked for.
        chosen: the only root whose rows the SELECT is over, once that is known.
    """

    def __init__(
        self,
        name: str,
        alias: str,
        view: View,
        published: PublishedRelation,
        members: Members,
        names: Names,
        column_names: Sequence[str] = (),
    ) -> None:
        super().__init__(name, alias)
        self._column_names = column_names
        self._published = published
        self._indexes = members.column_indexes(published)
        facts = members.fact_views(view)
        # The policies of the view are about all of its columns, whichever root has them.
        use = members.use_of(view)
        self._homes = facts.homes
        self.parts = {
            root: CubeSource(
                name,
                names.take(f"{alias}:{root}"),
                part,
                _published_part(published, part, members),
                members,
                names,
                column_names,
                use,
            )
            for root, part in facts.views.items()
        }
        self.shared: dict[int, SharedColumn] = {}
        self.chosen: CubeSource | None = None

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return [self._column(index) for index in range(len(self._published.columns))]

    @property
    def is_rows(self) -> bool:
        """See ``Source.is_rows``."""
        return True

    def _column(self, index: int) -> VisibleColumn:
        published = self._published.columns[index]
        member = published.granularity[0] if published.granularity else published.name
        roots = self._homes.get(member, ())
        if len(roots) == 1:
            return self.parts[roots[0]].column_at(index)
        found = self.shared.get(index)
        if found is None:
            renamed = index < len(self._column_names)
            name = self._column_names[index] if renamed else published.name
            columns = [self.parts[root].column_at(index) for root in roots]
            found = self.shared[index] = SharedColumn(self, name, index, published, columns)
        return found.visible

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        if not self._column_names and name in self._indexes:
            return (self._column(self._indexes[name]),)
        exact = [item for item in self.columns if item.name == name]
        if exact or quoted:
            return exact
        return [item for item in self.columns if fold(item.name) == name]

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """Its columns are those of other sources."""
        raise TypeError(visible.name)

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """Its columns are those of other sources."""
        raise TypeError(visible.name)

    def relation(self) -> Relation:
        """See ``Source.relation``."""
        if self.chosen is None:
            raise TypeError(self.name)
        return self.chosen.relation()


class SharedColumn(Source):
    """A column that several roots of a view have.

    Attributes:
        visible: the column.
        homes: the same column of each root that has it.
        is_named: whether an expression names it.
        is_used: whether an expression of the plan holds it.
    """

    def __init__(
        self,
        view: FactView,
        name: str,
        index: int,
        published: PublishedColumn,
        columns: Sequence[VisibleColumn],
    ) -> None:
        super().__init__(view.name, view.alias)
        self._view = view
        self._published = published
        # What is asked of members by their definition is asked of those of the roots.
        self.visible = VisibleColumn(name, self, index)
        self.homes = list(columns)
        self.is_named = False
        self.is_used = False

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``; it is found through its view."""
        return [self.visible] if self.visible.name == name else []

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return [self.visible]

    def use(self, visible: VisibleColumn) -> None:
        """See ``Source.use``."""
        self.is_named = True
        for part in self._view.parts.values():
            own = self.of(part)
            if own is not None:
                part.name_member(own)

    def of(self, part: Source) -> VisibleColumn | None:
        """The column of a root, if it has it."""
        return next((item for item in self.homes if item.source is part), None)

    def placeholder(self) -> exp.Column:
        """What stands for the column where each root is aggregated apart."""
        return column(self.alias, self._published.name)

    def value_of(self, part: Source) -> exp.Expr | None:
        """The column of a root in the type that all of them have."""
        visible = self.of(part)
        if visible is None:
            return None
        value = part.value(visible)
        if visible.published is not None and visible.published.type != self._published.type:
            return exp.Cast(this=value, to=postgres_data_type(self._published.type))
        return value

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """See ``Source.value``."""
        self.is_used = True
        chosen = self._view.chosen
        value = None if chosen is None else self.value_of(chosen)
        return self.placeholder() if value is None else value

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """A dimension is no measure."""
        raise TypeError(visible.name)

    def relation(self) -> Relation:
        """A column is no relation."""
        raise TypeError(self.name)


def _published_part(
    published: PublishedRelation, part: View, members: Members
) -> PublishedRelation:
    """The published columns with the types that one root's members have."""
    columns = []
    for item in published.columns:
        member = part.columns.get(item.name)
        if isinstance(member, ViewMember) and item.kind == "dimension":
            kind = members.types.get((member.cube, member.member), item.type)
            item = replace(item, type=kind)
        columns.append(item)
    return replace(published, columns=tuple(columns))
