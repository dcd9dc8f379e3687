"""Parts: grouped queries that are evaluated apart and joined on their group keys.

Two grouped queries with the same keys have at most one row for each value of them, so joining them
null-safely multiplies nothing: ``attach`` adds the columns of a part to groups that are given,
``unite`` keeps the groups of all parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.plan import CteReference, Derived, Join, Query, Relation
from semantic.compiler.trees import all_of, column


@dataclass(frozen=True, slots=True)
class Part:
    """A grouped query with its alias.

    Attributes:
        source: under its alias it has one row for each value of the keys.
        keys: names of its key columns, in an order that the parts share.
    """

    source: Derived | CteReference
    keys: tuple[str, ...]

    @property
    def key_columns(self) -> tuple[exp.Expr, ...]:
        """The key columns under the part's alias."""
        return tuple(self.column(name) for name in self.keys)

    def column(self, name: str) -> exp.Column:
        """One of the part's columns."""
        return column(self.source.alias, name)


def derived_part(alias: str, query: Query, keys: Sequence[str]) -> Part:
    """A part that is a subquery in FROM."""
    return Part(Derived(alias, query), tuple(keys))


def null_safe(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Equality under which NULL equals NULL."""
    return exp.NullSafeEQ(this=left, expression=right)


def attach(groups: Relation, keys: Sequence[exp.Expr], part: Part) -> Relation:
    """Groups with a part's columns beside them, NULL where the part has no such group.

    Args:
        groups: what is there already.
        keys: expressions over it that equal the part's keys.
        part: at most one row of it is found for a group.
    """
    return Join(groups, part.source, "LEFT", _equal(keys, part.key_columns))


def unite(parts: Sequence[Part]) -> tuple[Relation, tuple[exp.Expr, ...]]:
    """All parts side by side: one row for each value of the keys that any of them has.

    Returns:
        The relation, and expressions over it for the keys.
    """
    first, *others = parts
    relation: Relation = first.source
    keys = first.key_columns
    for part in others:
        relation = Join(relation, part.source, "FULL", _equal(keys, part.key_columns))
        pairs = zip(keys, part.key_columns, strict=True)
        keys = tuple(_either(known, own) for known, own in pairs)
    return relation, keys


def _equal(left: Sequence[exp.Expr], right: Sequence[exp.Expr]) -> exp.Expr:
    pairs = zip(left, right, strict=True)
    return all_of([null_safe(one, other) for one, other in pairs]) or exp.true()


def _either(known: exp.Expr, own: exp.Expr) -> exp.Expr:
    if isinstance(known, exp.Coalesce):
        return exp.Coalesce(this=known.this, expressions=[*known.expressions, own])
    return exp.Coalesce(this=known, expressions=[own])
