"""The tree of joins that a FROM clause is, and which columns names mean in each part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.fact_view import FactView, SharedColumn
from semantic.compiler.model_joins import ModelJoin
from semantic.compiler.name_scope import NamedItem
from semantic.compiler.names import fold
from semantic.compiler.plan import Relation
from semantic.compiler.scope import (
    Source,
    VisibleColumn,
)

JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]


class MergedSource(Source):
    """The one column that USING or NATURAL makes of two, where neither of them will do."""

    def __init__(self, name: str, left: VisibleColumn, right: VisibleColumn, kind: JoinKind):
        super().__init__("", "")
        self.left = left
        self.right = right
        self._kind = kind
        self.column = VisibleColumn(name, self, 0)

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return [self.column]

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """See ``Source.find``."""
        return [self.column] if self.column.name == name else []

    def value(self, visible: VisibleColumn) -> exp.Expr:
        """The value of the side that has a row, in the type that both sides have in common."""
        sides = [self.left, self.right]
        if self._kind == "RIGHT" or (self._kind == "INNER" and self._is_right_wider()):
            sides.reverse()
        first, second = (side.source.value(side) for side in sides)
        return exp.Coalesce(this=first, expressions=[second])

    def formula(self, visible: VisibleColumn) -> exp.Expr:
        """A merged column is no measure."""
        raise TypeError(visible.name)

    def relation(self) -> Relation:
        """A merged column is no relation."""
        raise TypeError(self.name)

    def _is_right_wider(self) -> bool:
        """Whether the right side is numeric, whose text has a scale, and the left is not."""
        left, right = (side.published for side in (self.left, self.right))
        return (
            left is not None
            and right is not None
            and right.type.name == "numeric"
            and left.type.name != "numeric"
        )

    def equals(self) -> list[VisibleColumn]:
        """The columns that have its value in every row of the join."""
        if self._kind == "INNER":
            return [self.left, self.right]
        if self._kind == "FULL":
            return []
        return [self.right if self._kind == "RIGHT" else self.left]


@dataclass(frozen=True, slots=True)
class MergedColumn:
    """A column that USING or NATURAL has merged.

    Attributes:
        name: as the client sees it.
        left: the column of the left side.
        right: the column of the right side.
        visible: what the name means.
    """

    name: str
    left: VisibleColumn
    right: VisibleColumn
    visible: VisibleColumn


def merge(name: str, left: VisibleColumn, right: VisibleColumn, kind: JoinKind) -> MergedColumn:
    """Merge the columns of two sides that have one name."""
    same_type = (
        left.published is not None
        and right.published is not None
        and left.published.type == right.published.type
    )
    if same_type and kind != "FULL":
        visible = right if kind == "RIGHT" else left
    else:
        visible = MergedSource(name, left, right, kind).column
    return MergedColumn(name, left, right, visible)


@dataclass(eq=False, slots=True)
class Leaf:
    """One source of the tree."""

    source: Source

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return self.source.columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """What a name without a table may mean."""
        return self.source.find(name, quoted=quoted)

    def named(self, table: str) -> Iterator[NamedItem]:
        """The parts of that alias."""
        if self.source.name == table:
            yield self.source

    def aliases(self) -> Iterator[str]:
        """The names that its columns can be qualified with."""
        yield self.source.name


@dataclass(eq=False, slots=True)
class ViewLeaf:
    """A view over several roots, which is all of FROM.

    Attributes:
        view: the view.
        facts: what is aggregated apart; empty where the SELECT is over the rows of one root.
        node: where it stands in the client's text.
    """

    view: FactView
    node: exp.Expr | None = None
    facts: tuple[FactTree, ...] = ()

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        return self.view.columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """What a name without a table may mean."""
        return self.view.find(name, quoted=quoted)

    def named(self, table: str) -> Iterator[NamedItem]:
        """The parts of that alias."""
        if self.view.name == table:
            yield self.view

    def aliases(self) -> Iterator[str]:
        """The names that its columns can be qualified with."""
        yield self.view.name


@dataclass(eq=False, slots=True)
class Joined:
    """Two parts of the tree and how they are joined.

    Attributes:
        on: the condition of the client's text.
        using: the columns that USING or NATURAL merges.
        comma: written as a comma.
        node: where it stands in the client's text.
        links: joins of the model that the text asks for by ``__cubeJoinField``.
        chain: how the model joins what CROSS JOIN connects; None for a plain product.
        facts: what is aggregated apart where CROSS JOIN connects several facts.
    """

    left: Tree
    right: Tree
    kind: JoinKind
    on: exp.Expr | None = None
    using: tuple[MergedColumn, ...] = ()
    comma: bool = False
    node: exp.Expr | None = None
    links: tuple[ModelJoin, ...] = ()
    chain: tuple[ChainStep, ...] | None = None
    facts: tuple[FactTree, ...] = ()

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``: merged ones, the rest of the left side, the rest of the right."""
        merged = {id(side) for pair in self.using for side in (pair.left, pair.right)}
        rest = [*self.left.columns, *self.right.columns]
        return [
            *(pair.visible for pair in self.using),
            *(item for item in rest if id(item) not in merged),
        ]

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """What a name without a table may mean."""
        for pair in self.using:
            if pair.name == name or (not quoted and fold(pair.name) == name):
                return [pair.visible]
        found = self.left.find(name, quoted=quoted)
        return [*found, *self.right.find(name, quoted=quoted)]

    def named(self, table: str) -> Iterator[NamedItem]:
        """The parts of that alias."""
        yield from self.left.named(table)
        yield from self.right.named(table)

    def aliases(self) -> Iterator[str]:
        """The names that its columns can be qualified with."""
        yield from self.left.aliases()
        yield from self.right.aliases()


@dataclass(frozen=True, slots=True)
class ChainStep:
    """A part of FROM that the model joins to the parts before it.

    Attributes:
        tree: the part.
        link: the join; None for the first part, and where WHERE says how it is joined.
        start: the side of the join that was there before.
    """

    tree: Tree
    link: ModelJoin | None = None
    start: CubeSource | None = None

    @property
    def kind(self) -> JoinKind:
        """As the model declares the join."""
        if self.link is None or self.start is None:
            return "CROSS"
        return "INNER" if self.link.is_inner(self.start) else "LEFT"


@dataclass(frozen=True, slots=True)
class FactTree:
    """A cube and the cubes that it reaches by to-one joins.

    Attributes:
        root: the cube whose rows are aggregated.
        chain: the root, and what is joined to it.
        shared: columns of a view that it has, among others.
    """

    root: CubeSource
    chain: tuple[ChainStep, ...]
    shared: tuple[SharedColumn, ...] = ()

    def reaches(self, source: Source) -> bool:
        """Whether each of the root's rows has one row of that source at most."""
        return any(source is item for item in self.shared) or any(
            source is item for step in self.chain for item in leaves(step.tree)
        )


@dataclass(eq=False, slots=True)
class RenamedJoin:
    """A join in parentheses under an alias, which hides the names inside."""

    tree: Tree
    name: str
    column_names: tuple[str, ...] = ()
    _columns: list[VisibleColumn] = field(default_factory=list)

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""
        if not self._columns:
            self._columns = self.tree.columns
            for index, name in enumerate(self.column_names[: len(self._columns)]):
                self._columns[index] = replace(self._columns[index], name=name)
        return self._columns

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """What a name may mean, with or without the alias as its table."""
        if not self.column_names:
            return self.tree.find(name, quoted=quoted)
        found = [item for item in self.columns if item.name == name]
        if found or quoted:
            return found
        return [item for item in self.columns if fold(item.name) == name]

    def named(self, table: str) -> Iterator[NamedItem]:
        """The parts of that alias."""
        if self.name == table:
            yield self

    def aliases(self) -> Iterator[str]:
        """The names that its columns can be qualified with."""
        yield self.name


Tree = Leaf | ViewLeaf | Joined | RenamedJoin


def leaves(tree: Tree) -> list[Source]:
    """The sources of a part of the tree, left to right."""
    if isinstance(tree, Leaf):
        return [tree.source]
    if isinstance(tree, ViewLeaf):
        return [tree.view] if tree.view.chosen is None else [tree.view.chosen]
    if isinstance(tree, RenamedJoin):
        return leaves(tree.tree)
    return leaves(tree.left) + leaves(tree.right)


def joins_of(tree: Tree | None) -> list[Joined]:
    """All joins of a tree, inner ones first."""
    if isinstance(tree, RenamedJoin):
        return joins_of(tree.tree)
    if not isinstance(tree, Joined):
        return []
    return [*joins_of(tree.left), *joins_of(tree.right), tree]
