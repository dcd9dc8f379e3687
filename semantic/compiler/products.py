"""CROSS JOIN of cubes: the parts of FROM that the model joins, and in which order (J1, J4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.from_tree import (
    ChainStep,
    FactTree,
    Joined,
    Leaf,
    RenamedJoin,
    Tree,
    joins_of,
    leaves,
)
from semantic.compiler.model_joins import ModelJoin, direct_joins, distant_joins, names_of
from semantic.compiler.positions import position_of
from semantic.compiler.scope import QuerySource, Source
from semantic.errors import SemanticError, UnsupportedError

TRUE_PRODUCT = "for a true cross product write SELECT DISTINCT subqueries"


Linked = Callable[[Tree, Tree], bool]


def bind_products(tree: Tree | None, linked: Linked) -> None:
    """Find the model's joins for every CROSS JOIN of cubes in a FROM clause.

    Args:
        tree: of the clause.
        linked: whether WHERE equates a column of one part with one of another. A comma between them
            is a plain product then, as SQL wrote joins before there was ON; so it is where they
            hang together over others of the clause. CROSS JOIN is one if the model has no join of
            the two, or several.
    """
    if tree is not None:
        _bind(tree, linked, _Together(tree, linked))


def _bind(tree: Tree, linked: Linked, together: Linked) -> None:
    if isinstance(tree, RenamedJoin):
        _bind(tree.tree, linked, together)
    elif isinstance(tree, Joined):
        parts = list(_parts(tree, together))
        if len(parts) > 1:
            chain = _Chain(parts, tree.node, linked)
            tree.facts = chain.facts()
            tree.chain = chain.make(required=not tree.facts)
        else:
            parts = [tree.left, tree.right]
        for part in parts:
            _bind(part, linked, together)


class _Together:
    """Whether parts hang together, be it over others: ``a, b, c WHERE a.x = c.x AND b.y = c.y``."""

    def __init__(self, tree: Tree, linked: Linked) -> None:
        self._tree = tree
        self._linked = linked
        self._groups: dict[Source, int] | None = None

    def __call__(self, one: Tree, other: Tree) -> bool:
        if self._linked(one, other):
            return True
        groups = self._groups
        if groups is None:
            groups = self._groups = self._make()
        found = {groups[source] for source in leaves(one)}
        return any(groups[source] in found for source in leaves(other))

    def _make(self) -> dict[Source, int]:
        sources = leaves(self._tree)
        groups = {source: number for number, source in enumerate(sources)}

        def merge(one: Source, other: Source) -> None:
            gone, kept = groups[other], groups[one]
            for source, group in groups.items():
                if group == gone:
                    groups[source] = kept

        for join in joins_of(self._tree):
            if join.kind != "CROSS":
                for source in leaves(join.right):
                    merge(leaves(join.left)[0], source)
        for number, source in enumerate(sources):
            for before in sources[:number]:
                if groups[before] != groups[source] and self._linked(Leaf(before), Leaf(source)):
                    merge(before, source)
        return groups


def _parts(tree: Tree, linked: Linked) -> Iterator[Tree]:
    """What CROSS JOINs of cubes connect."""
    if isinstance(tree, Joined) and _is_product(tree, linked):
        yield from _parts(tree.left, linked)
        yield from _parts(tree.right, linked)
    else:
        yield tree


def _is_product(join: Joined, linked: Linked) -> bool:
    if join.kind != "CROSS":
        return False
    if not all(any(s.is_rows for s in leaves(side)) for side in (join.left, join.right)):
        return False
    if isinstance(join.right, Leaf) and _is_lateral(join.right.source):
        # It says itself which rows belong to those before it.
        return False
    return not (join.comma and linked(join.left, join.right))


def _is_lateral(source: Source) -> bool:
    return isinstance(source, QuerySource) and source.is_lateral


@dataclass(frozen=True, slots=True)
class _Edge:
    """A join of the model between two parts; without one, what WHERE says of them."""

    ends: tuple[int, int]
    join: ModelJoin | None

    def start(self, part: int) -> CubeSource | None:
        """The join's side in that part."""
        if self.join is None:
            return None
        return self.join.source if part == self.ends[0] else self.join.target

    def leads(self, part: int) -> bool:
        """Whether it can be followed from that part."""
        start = self.start(part)
        return self.join is None or (start is not None and self.join.leads(start))

    def other(self, part: int) -> int:
        """The part at the other end."""
        return self.ends[1] if part == self.ends[0] else self.ends[0]


def _is_to_one(edge: _Edge, end: int) -> bool:
    start = edge.start(end)
    return edge.join is not None and start is not None and edge.join.determines(start)


class _Chain:
    def __init__(self, parts: list[Tree], node: exp.Expr | None, linked: Linked) -> None:
        self._parts = parts
        self._linked = linked
        self._node = node
        self._cubes = [[s for s in leaves(p) if isinstance(s, CubeSource)] for p in parts]
        self._around = frozenset(c.root.name for cubes in self._cubes for c in cubes)

        for part, cubes in zip(self._parts, self._cubes, strict=True):
            if not cubes:
                raise self._refuse_subquery(part)
        self._edges = self._find_edges()
        self._refuse_unjoined()

    def make(self, *, required: bool) -> tuple[ChainStep, ...] | None:
        """The parts in an order in which the model joins them."""
        for root in range(len(self._parts)):
            steps = self._from(root, lambda edge, end: edge.leads(end))
            if len(steps) == len(self._parts):
                self._refuse_moved_lateral(steps)
                return tuple(steps.values())
        if required:
            raise several_facts([self._shown(index) for index in self._roots()], self._node)
        return None

    def facts(self) -> tuple[FactTree, ...]:
        """Each cube with those that it reaches, if several of them are reached by none."""
        alone = [part.source for part in self._parts if isinstance(part, Leaf)]
        roots = [source for source in alone if isinstance(source, CubeSource)]
        if len(roots) < len(self._parts) or any(edge.join is None for edge in self._edges):
            return ()
        if len(self._roots()) < 2:
            return ()
        return tuple(
            FactTree(root, tuple(self._from(index, _is_to_one).values()))
            for index, root in enumerate(roots)
        )

    def _roots(self) -> list[int]:
        """The parts that no other part has at most one row of."""
        return [
            index
            for index in range(len(self._parts))
            if not any(_is_to_one(e, e.other(index)) for e in self._edges if index in e.ends)
        ]

    def _find_edges(self) -> list[_Edge]:
        """One join for each part but one, so that they all hang together."""
        count = len(self._parts)
        edges: list[_Edge] = []
        group = list(range(count))
        for find in (direct_joins, self._distant):
            for right in range(count):
                for left in range(right):
                    # Ways around what is joined already are no other ways.
                    if find is not direct_joins and group[left] == group[right]:
                        continue
                    edges += self._between((left, right), find, group, edges)
        return edges

    def _between(
        self,
        parts: tuple[int, int],
        find: Callable[[CubeSource, CubeSource], list[ModelJoin]],
        group: list[int],
        edges: list[_Edge],
    ) -> list[_Edge]:
        left, right = parts
        found = [
            join
            for one in self._cubes[left]
            for other in self._cubes[right]
            for join in find(one, other)
        ]
        joined = group[left] == group[right]
        if joined and found:
            found += [e.join for e in edges if e.join and not {left, right}.isdisjoint(e.ends)]
        by_where = len(found) != 1 and self._linked(self._parts[left], self._parts[right])
        if joined and (by_where or not found):
            return []
        if not found and not by_where:
            return []
        if len(found) > 1 and not by_where:
            raise ambiguous(self._shown(left), self._shown(right), found, self._node)
        merged, gone = group[left], group[right]
        group[:] = [merged if item == gone else item for item in group]
        if by_where:
            return [_Edge((left, right), None)]
        is_left = any(found[0].source is cube for cube in self._cubes[left])
        return [_Edge((left, right) if is_left else (right, left), found[0])]

    def _distant(self, one: CubeSource, other: CubeSource) -> list[ModelJoin]:
        return distant_joins(one, other, self._around)

    def _from(self, root: int, follows: Callable[[_Edge, int], bool]) -> dict[int, ChainStep]:
        """The steps from one part over the joins that may be followed."""
        steps = {root: ChainStep(self._parts[root])}
        progress = True
        while progress:
            progress = False
            for edge in self._edges:
                for end in edge.ends:
                    other = edge.other(end)
                    if end in steps and other not in steps and follows(edge, end):
                        start = edge.start(end)
                        steps[other] = ChainStep(self._parts[other], edge.join, start)
                        progress = True
        return steps

    def _refuse_unjoined(self) -> None:
        """Refuse parts between which the model has no join at all."""
        reached = self._from(0, lambda edge, end: True)
        for index in range(len(self._parts)):
            if index not in reached:
                raise no_join(self._shown(0), self._shown(index), self._node)

    def _refuse_subquery(self, part: Tree) -> SemanticError:
        name = next((source.name for source in leaves(part) if source.is_rows), "")
        return UnsupportedError(
            f'CROSS JOIN of a cube and the rows of subquery "{name}" is not supported',
            hint=f"Join them with ON and the columns they have in common; {TRUE_PRODUCT}.",
            position=position_of(self._node),
        )

    def _refuse_moved_lateral(self, order: dict[int, ChainStep]) -> None:
        if list(order) == sorted(order):
            return
        for part in self._parts:
            if any(_is_lateral(source) for source in leaves(part)):
                raise UnsupportedError(
                    "LATERAL inside a CROSS JOIN of cubes is not supported",
                    hint="Put LATERAL behind the cubes, or join them with ON.",
                    position=position_of(self._node),
                )

    def _shown(self, part: int) -> str:
        names = [cube.relation_name for cube in self._cubes[part]]
        return names[0] if isinstance(self._parts[part], Leaf) else ", ".join(names)


def several_facts(names: list[str], node: exp.Expr | None) -> SemanticError:
    """The refusal to make rows of several facts."""
    return UnsupportedError(
        f"rows of several facts ({', '.join(names)}) are not supported",
        hint="Group by columns that they share, or aggregate each of them in a grouped subquery "
        "and join those.",
        position=position_of(node),
    )


def no_join(left: str, right: str, node: exp.Expr | None) -> SemanticError:
    """The refusal of a join that the model does not have."""
    return UnsupportedError(
        f"the model has no join between {left} and {right}",
        hint=f"Join them with ON and the columns they have in common; {TRUE_PRODUCT}.",
        position=position_of(node),
    )


def ambiguous(
    left: str, right: str, joins: list[ModelJoin], node: exp.Expr | None
) -> SemanticError:
    """The refusal of a join that the model has several of (J4)."""
    example = next((text for join in joins if (text := join.example())), None)
    return SemanticError(
        "42P09",
        f"the join between {left} and {right} is ambiguous: {names_of(joins)}",
        hint=f"Name the columns of one of them: JOIN ... ON {example or '...'}.",
        position=position_of(node),
    )
