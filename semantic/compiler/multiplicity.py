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


Equality = tuple[VisibleColumn, list[VisibleColumn]]


class Multiplicity:
    """How often the sources of one SELECT match a row of another; everything is worked out once."""

    def __init__(self, from_clause: FromClause, where: exp.Expr | None, resolver: Resolver) -> None:
        self._from_clause = from_clause
        self._resolver = resolver
        self._known: dict[int, Source | None] = {}
        self._joins = joins_of(from_clause.tree)
        self._where = conjuncts(where)
        self._equal: list[tuple[Joined | None, Equality]] = [
            (None, pair) for node in self._where for pair in self._equalities(node)
        ]
        self._equal += [(join, pair) for join in self._joins for pair in self._of_join(join)]
        self._forms: list[tuple[Joined | None, exp.Expr]] | None = None

    def repeating(self, source: Source) -> Source | None:
        """A source that may match a row of ``source`` more than once; None if there is none.

        Another source matches at most once where equalities with sources that are already known to
        match at most once (or with constants) cover one of its unique keys, or where the model says
        so of a join.
        """
        key = id(source)
        if key not in self._known:
            self._known[key] = self._repeating(source)
        return self._known[key]

    def _repeating(self, source: Source) -> Source | None:
        tree = self._from_clause.tree
        if tree is None or self._from_clause.facts:
            # Each of several facts is aggregated over its own rows.
            return None
        pending = [other for other in leaves(tree) if other is not source]
        equal = [
            pair
            for join, pair in self._equal
            if join is None or _holds_for(join, source, pair[0].source)
        ]
        known: list[Source] = [source]
        progress = True
        while pending and progress:
            progress = False
            for other in list(pending):
                if _at_most_once(other, equal, pending) or self._by_the_model(other, known, source):
                    pending.remove(other)
                    known.append(other)
                    progress = True
        return pending[0] if pending else None

    def _by_the_model(self, other: Source, known: list[Source], source: Source) -> bool:
        """Whether a join of the model gives a source that is known at most one row of another."""
        if not isinstance(other, CubeSource) or other.builder.multiplies:
            return False
        starts = [item for item in known if isinstance(item, CubeSource)]
        for join in self._joins:
            links = [step.link for step in join.chain or () if step.link is not None]
            if join.links and _holds_for(join, source, other):
                links += join.links
            for link in links:
                if _links(link.source, link.target, starts, other):
                    start = link.target if link.source is other else link.source
                    if link.determines(start):
                        return True
        given = frozenset(self._given(source, other)) if starts else frozenset()
        return bool(given) and any(implied_by(start, other, given) is not None for start in starts)

    def _given(self, source: Source, other: Source) -> Iterator[exp.Expr]:
        """The conditions that hold where both sources have rows, over columns of base tables."""
        if self._forms is None:
            self._forms = list(self._canonical())
        for join, form in self._forms:
            if join is None or _holds_for(join, source, other):
                yield form

    def _canonical(self) -> Iterator[tuple[Joined | None, exp.Expr]]:
        nodes: list[tuple[Joined | None, exp.Expr]] = [(None, node) for node in self._where]
        for join in self._joins:
            nodes += [(join, node) for node in conjuncts(join.on)]
            for merged in join.using:
                sides = [_canonical_column(side) for side in (merged.left, merged.right)]
                if sides[0] is not None and sides[1] is not None:
                    equality = exp.EQ(this=sides[0], expression=sides[1])
                    yield join, canonical(equality, lambda node: None)
        for place, node in nodes:
            known = True

            def mark(item: exp.Column) -> exp.Expr | None:
                nonlocal known
                visible = self._resolver.columns.get(id(item))
                tree = None if visible is None else _canonical_column(visible)
                known = known and tree is not None
                return tree

            # A null-safe equality is no join of the model: NULLs may be there several times.
            form = canonical(node, mark)
            if known:
                yield place, form

    def _equalities(self, node: exp.Expr) -> list[Equality]:
        return _equalities(node, self._resolver)

    def _of_join(self, join: Joined) -> list[Equality]:
        found = [pair for item in conjuncts(join.on) for pair in self._equalities(item)]
        for merged in join.using:
            left, right = merged.left, merged.right
            found += [*_equality(left, [right]), *_equality(right, [left])]
        return found


def _at_most_once(other: Source, equal: list[Equality], pending: list[Source]) -> bool:
    fixed: set[int] = set()
    for visible, depends in equal:
        if visible.source is other and not any(
            item.source is unknown for item in depends for unknown in pending
        ):
            fixed.add(visible.index)
    return any(key <= fixed for key in other.unique_keys())


def _links(source: Source, target: Source, starts: list[CubeSource], other: Source) -> bool:
    if other is source:
        return any(target is item for item in starts)
    return other is target and any(source is item for item in starts)


def _canonical_column(visible: VisibleColumn) -> exp.Expr | None:
    if isinstance(visible.source, CubeSource) and visible.published is not None:
        return canonical_member(visible.source, visible.published)
    return None


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
