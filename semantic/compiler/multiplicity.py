"""Whether a join may repeat the rows that a measure is aggregated over (rule J2)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.equalities import null_safe
from semantic.compiler.from_tree import Joined, MergedSource, Tree, joins_of, leaves
from semantic.compiler.model_joins import canonical, canonical_member, implied_by
from semantic.compiler.resolve import Resolver
from semantic.compiler.scope import (
    Source,
    VisibleColumn,
)
from semantic.compiler.sources import FromClause
from semantic.compiler.trees import conjuncts

_EQUALITIES = (exp.EQ, exp.NullSafeEQ)


def row_multiplied_by(
    source: Source, from_clause: FromClause, where: exp.Expr | None, resolver: Resolver
) -> Source | None:
    """A source that may match a row of ``source`` more than once; None if there is none.

    Another source matches at most once where equalities with sources that are already known to
    match at most once (or with constants) cover one of its unique keys, or where the model says so
    of a join.
    """
    tree = from_clause.tree
    if tree is None or from_clause.facts:
        # Each of several facts is aggregated over its own rows.
        return None
    pending = [other for other in leaves(tree) if other is not source]
    equal = [pair for item in conjuncts(where) for pair in _equalities(item, resolver)]
    joins = joins_of(tree)
    for join in joins:
        equal += _guaranteed(join, source, resolver)
    known: list[Source] = [source]
    progress = True
    while pending and progress:
        progress = False
        for other in list(pending):
            if _at_most_once(other, known, equal, pending) or _by_the_model(
                other, known, source, joins, where, resolver
            ):
                pending.remove(other)
                known.append(other)
                progress = True
    return pending[0] if pending else None


Equality = tuple[VisibleColumn, list[VisibleColumn]]


def _at_most_once(
    other: Source, known: list[Source], equal: list[Equality], pending: list[Source]
) -> bool:
    fixed: set[int] = set()
    for visible, depends in equal:
        if visible.source is other and not any(
            item.source is unknown for item in depends for unknown in pending
        ):
            fixed.add(visible.index)
    return any(key <= fixed for key in other.unique_keys())


def _by_the_model(
    other: Source,
    known: list[Source],
    source: Source,
    joins: list[Joined],
    where: exp.Expr | None,
    resolver: Resolver,
) -> bool:
    """Whether a join of the model gives a source that is known at most one row of another."""
    if not isinstance(other, CubeSource) or other.builder.multiplies:
        return False
    starts = [item for item in known if isinstance(item, CubeSource)]
    for join in joins:
        for step in join.chain or ():
            link = step.link
            if link is not None and _links(link.source, link.target, starts, other):
                start = link.target if link.source is other else link.source
                if link.determines(start):
                    return True
        for link in join.links:
            if _holds_for(join, source, other) and _links(link.source, link.target, starts, other):
                start = link.target if link.source is other else link.source
                if link.determines(start):
                    return True
    if not starts:
        return False
    given = frozenset(_canonical(other, source, joins, where, resolver))
    return bool(given) and any(implied_by(start, other, given) is not None for start in starts)


def _links(source: Source, target: Source, starts: list[CubeSource], other: Source) -> bool:
    if other is source:
        return any(target is item for item in starts)
    return other is target and any(source is item for item in starts)


def _canonical(
    other: Source,
    source: Source,
    joins: list[Joined],
    where: exp.Expr | None,
    resolver: Resolver,
) -> Iterator[exp.Expr]:
    """The conditions that hold where both sources have rows, over columns of the base tables."""
    nodes = conjuncts(where)
    for join in joins:
        if not _holds_for(join, source, other):
            continue
        nodes += conjuncts(join.on)
        for merged in join.using:
            sides = [_canonical_column(side) for side in (merged.left, merged.right)]
            if sides[0] is not None and sides[1] is not None:
                yield canonical(exp.EQ(this=sides[0], expression=sides[1]), lambda node: None)
    for node in nodes:
        known = True

        def mark(item: exp.Column) -> exp.Expr | None:
            nonlocal known
            visible = resolver.columns.get(id(item))
            tree = None if visible is None else _canonical_column(visible)
            known = known and tree is not None
            return tree

        # A null-safe equality is no join of the model: NULLs may be there several times.
        tree = canonical(node, mark)
        if known:
            yield tree


def _canonical_column(visible: VisibleColumn) -> exp.Expr | None:
    if isinstance(visible.source, CubeSource) and visible.published is not None:
        return canonical_member(visible.source, visible.published)
    return None


def _guaranteed(join: Joined, source: Source, resolver: Resolver) -> list[Equality]:
    """The equalities of a join's condition that hold in every row that has a row of ``source``."""
    found = [pair for item in conjuncts(join.on) for pair in _equalities(item, resolver)]
    for merged in join.using:
        left, right = merged.left, merged.right
        found += [*_equality(left, [right]), *_equality(right, [left])]
    return [pair for pair in found if _holds_for(join, source, pair[0].source)]


def _holds_for(join: Joined, source: Source, other: Source) -> bool:
    """Whether a join's condition tells how often ``other`` is there in a row of ``source``.

    Where the condition fails, an outer join fills one side with NULLs. So it holds if ``source`` is
    on a side that can be filled; if not, the filled side is there once, and only equalities for
    that side say something.
    """
    left, right = leaves(join.left), leaves(join.right)
    in_left = any(source is item for item in left)
    in_right = any(source is item for item in right)
    if join.kind in {"INNER", "CROSS"}:
        return True
    if join.kind == "FULL":
        filled = right if in_left else left if in_right else []
    elif (join.kind == "LEFT" and in_right) or (join.kind == "RIGHT" and in_left):
        return True
    else:
        filled = right if join.kind == "LEFT" else left
    return any(other is item for item in filled)


def _equalities(node: exp.Expr, resolver: Resolver) -> list[Equality]:
    """``column = expression`` as the column and the columns of the expression, either way round."""
    node = null_safe(node)
    if not isinstance(node, _EQUALITIES):
        return []
    found: list[Equality] = []
    for this, that in ((node.this, node.expression), (node.expression, node.this)):
        visible = resolver.columns.get(id(this))
        if visible is None or that.find(exp.Query) is not None:
            continue
        depends = [
            column
            for child in that.walk()
            if (column := resolver.columns.get(id(child))) is not None
        ]
        found += _equality(visible, depends)
    return found


def _equality(visible: VisibleColumn, depends: list[VisibleColumn]) -> Iterator[Equality]:
    """An equality as one of columns of sources: what USING has merged stands for its sides."""
    expanded = [column for item in depends for column in _sides(item)]
    if isinstance(visible.source, MergedSource):
        for column in visible.source.equals():
            yield from _equality(column, expanded)
    else:
        yield visible, expanded


def _sides(visible: VisibleColumn) -> list[VisibleColumn]:
    if not isinstance(visible.source, MergedSource):
        return [visible]
    merged = visible.source
    return [column for side in (merged.left, merged.right) for column in _sides(side)]


def linked(one: Tree, other: Tree, where: exp.Expr | None, resolver: Resolver) -> bool:
    """Whether WHERE equates a column of one part of FROM with one of another."""
    left, right = leaves(one), leaves(other)
    for node in conjuncts(where):
        for visible, depends in _equalities(node, resolver):
            if any(visible.source is s for s in left) and any(
                column.source is s for column in depends for s in right
            ):
                return True
    return False
