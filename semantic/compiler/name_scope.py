"""The names of one SELECT: what FROM shows to its expressions, and the scope around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from semantic.compiler.scope import Source, VisibleColumn


class FromItem(Protocol):
    """A part of FROM as names see it: a source, a join, or a join under an alias."""

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """What a name without a table may mean."""

    def named(self, table: str) -> Iterator[NamedItem]:
        """The parts of that alias."""


class NamedItem(Protocol):
    """What an alias stands for."""

    @property
    def columns(self) -> list[VisibleColumn]:
        """In the order of ``*``."""

    def find(self, name: str, *, quoted: bool) -> Sequence[VisibleColumn]:
        """The columns of that name."""


@dataclass(slots=True)
class Groups:
    """The groups of a SELECT, as a subquery in it sees them.

    Attributes:
        evaluate: while names are bound: have a measure evaluated for a node of the subquery, in the
            sense of an aggregate if one is named. False where the measure is a grouping key.
        value: while the plan is made: the plan expression of that node.
    """

    evaluate: Callable[[exp.Expr, VisibleColumn, str], bool] | None = None
    value: Callable[[exp.Expr], exp.Expr] | None = None


@dataclass(slots=True)
class Scope:
    """The names of one SELECT.

    Attributes:
        sources: in the order of FROM.
        items: what names are looked up in; a join takes the place of its two sides.
        parent: the scope around a correlated subquery.
        grouped: whether the SELECT groups.
        after_grouping: while its select list, HAVING or ORDER BY is being bound.
        groups: where subqueries ask for measures over the groups of the SELECT.
    """

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    items: list[FromItem] = field(default_factory=list)
    grouped: bool = False
    after_grouping: bool = False
    groups: Groups = field(default_factory=lambda: Groups())

    def find(self, name: str, table: str | None, *, quoted: bool) -> list[VisibleColumn]:
        """Columns of this SELECT's own sources that a name may mean."""
        parts = self.items if table is None else self.named(table)
        return [visible for part in parts for visible in part.find(name, quoted=quoted)]

    def named(self, table: str) -> list[NamedItem]:
        """What an alias stands for; nothing where FROM does not have it."""
        return [part for item in self.items for part in item.named(table)]

    @contextmanager
    def only(self, item: FromItem) -> Iterator[None]:
        """See only one part of FROM, as the condition of a join does."""
        items, self.items = self.items, [item]
        try:
            yield
        finally:
            self.items = items
