"""What a SELECT over a view with several root cubes is over: one of them, or each apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.fact_view import SharedColumn
from semantic.compiler.from_tree import ChainStep, FactTree, Joined, Leaf, RenamedJoin, ViewLeaf
from semantic.compiler.name_scope import FromItem
from semantic.compiler.plan import Relation
from semantic.compiler.plan_facts import Fact, Facts
from semantic.compiler.positions import position_of
from semantic.compiler.products import several_facts
from semantic.compiler.scope import Source
from semantic.errors import UnsupportedError


def settle_view(leaf: ViewLeaf, used: Iterable[Source], *, grouped: bool) -> None:
    """Decide which rows a SELECT is over.

    Args:
        leaf: the view, which is all of FROM.
        used: the sources of the columns that ``*`` stands for.
        grouped: whether it groups.

    Raises:
        UnsupportedError: it is over rows of several facts, or it does not tell of which one.
    """
    view = leaf.view
    for source in used:
        if isinstance(source, CubeSource | SharedColumn):
            source.is_named = True
    parts = [part for part in view.parts.values() if part.is_named]
    if len(parts) == 1:
        columns = [source for source in view.shared.values() if source.is_named]
        if all(source.of(parts[0]) is not None for source in columns):
            view.chosen = parts[0]
            return
    if grouped and parts:
        leaf.facts = tuple(_fact(part, view.shared.values()) for part in view.parts.values())
        return
    raise several_facts(list(view.parts), leaf.node)


def _fact(part: CubeSource, shared: Iterable[SharedColumn]) -> FactTree:
    own = tuple(item for item in shared if item.of(part) is not None)
    return FactTree(part, (ChainStep(Leaf(part)),), own)


def view_relation(leaf: ViewLeaf) -> Relation:
    """The plan relation; expressions must have asked for their columns before."""
    if leaf.view.chosen is not None:
        return leaf.view.chosen.relation()
    facts: list[Fact] = []
    for fact in leaf.facts:
        used = [item for item in fact.shared if item.is_used]
        values = [(item.placeholder(), item.value_of(fact.root)) for item in used]
        shared = tuple((name, value) for name, value in values if value is not None)
        facts.append(Fact(fact.root.alias, fact.root.root.name, fact.root.relation(), shared))
    return Facts(tuple(facts))


def refuse_joined_views(items: Sequence[FromItem]) -> None:
    """Refuse a view over several facts beside anything else in FROM."""
    for item in items:
        if isinstance(item, ViewLeaf):
            raise UnsupportedError(
                f"joining {item.view.name}, a view over several facts, is not supported",
                hint="Group it in a subquery and join that.",
                position=position_of(item.node),
            )
        if isinstance(item, Joined):
            refuse_joined_views((item.left, item.right))
        elif isinstance(item, RenamedJoin):
            refuse_joined_views((item.tree,))
