"""The FROM clause of one SELECT: its sources in a tree of joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from semantic.compiler.names import name_of
from semantic.compiler.plan import Join, Relation
from semantic.compiler.positions import position_of
from semantic.compiler.resolve import ROWS, Resolver
from semantic.compiler.scope import MergedColumn, Scope, Source
from semantic.compiler.statement import refuse_other_arguments, unsupported
from semantic.compiler.trees import all_of
from semantic.errors import SemanticError, UnsupportedError

JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]
_JOIN_CLAUSES = frozenset({"this", "side", "kind", "on", "using", "method"})


@dataclass(eq=False, slots=True)
class Leaf:
    """One source of the tree."""

    source: Source


@dataclass(eq=False, slots=True)
class Joined:
    """Two parts of the tree and how they are joined.

    Attributes:
        on: the condition of the client's text.
        using: the pairs of columns that USING names.
        comma: written as a comma.
    """

    left: Tree
    right: Tree
    kind: JoinKind
    on: exp.Expr | None = None
    using: tuple[MergedColumn, ...] = ()
    comma: bool = False
    node: exp.Expr | None = None


Tree = Leaf | Joined


def leaves(tree: Tree) -> list[Source]:
    """The sources of a part of the tree, left to right."""
    if isinstance(tree, Leaf):
        return [tree.source]
    return leaves(tree.left) + leaves(tree.right)


def joins_of(tree: Tree | None) -> list[Joined]:
    """All joins of a tree."""
    if not isinstance(tree, Joined):
        return []
    return [*joins_of(tree.left), *joins_of(tree.right), tree]


class FromClause:
    """Binds FROM; ``make_source`` makes the source of one item."""

    def __init__(
        self,
        node: exp.Select,
        scope: Scope,
        make_source: Callable[[exp.Expr, Scope], Source],
    ) -> None:
        self._scope = scope
        self._make_source = make_source
        self.tree: Tree | None = None
        clause = node.args.get("from_")
        if node.args.get("laterals"):
            raise unsupported("LATERAL VIEW", node)
        if clause is None:
            return
        parts = [clause.this, *[join.this for join in node.args.get("joins") or []]]
        trees = [self._item(clause.this)]
        for join in node.args.get("joins") or []:
            if _is_comma(join):
                trees.append(self._item(join.this))
            else:
                trees[-1] = self._join(trees[-1], join)
        self.tree = trees[0]
        for tree in trees[1:]:
            self.tree = Joined(self.tree, tree, "CROSS", comma=True, node=parts[0])

    def _item(self, node: exp.Expr) -> Tree:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            # Parentheses around a join.
            if node.args.get("alias") is not None:
                raise unsupported("an alias for a join in parentheses", node)
            tree = self._item(node.this)
        else:
            source = self._make_source(node, self._scope)
            if self._scope.has_source(source.name) and source.name:
                raise SemanticError(
                    "42712",
                    f'table name "{source.name}" specified more than once',
                    position=position_of(node),
                )
            self._scope.sources.append(source)
            tree = Leaf(source)
        for join in node.args.get("joins") or []:
            tree = self._join(tree, join)
        return tree

    def _join(self, left: Tree, join: exp.Join) -> Tree:
        refuse_other_arguments(join, _JOIN_CLAUSES, "JOIN")
        if join.args.get("method"):
            raise unsupported(
                "NATURAL JOIN with a cube",
                join,
                "Name the columns: JOIN ... USING (...) or ON ....",
            )
        right = self._item(join.this)
        kind = _kind_of(join)
        using = tuple(self._merge(name, left, right, kind) for name in join.args.get("using") or [])
        return Joined(left, right, kind, join.args.get("on"), using, node=join)

    def _merge(self, node: exp.Expr, left: Tree, right: Tree, kind: JoinKind) -> MergedColumn:
        identifier = node.this if isinstance(node, exp.Column) else node
        if not isinstance(identifier, exp.Identifier):
            raise unsupported("this form of USING", node)
        name = name_of(identifier)
        quoted = bool(identifier.args.get("quoted"))
        sides = []
        for tree in (left, right):
            found = [c for source in leaves(tree) for c in source.find(name, quoted=quoted)]
            already = {id(item.right) for item in self._scope.merged}
            found = [item for item in found if id(item) not in already]
            if len(found) != 1:
                raise SemanticError(
                    "42703" if not found else "42702",
                    f'column "{name}" specified in USING clause does not exist or is ambiguous',
                    position=position_of(node),
                )
            sides.append(found[0])
        merged = MergedColumn(name, sides[0], sides[1], kind)
        if kind == "FULL" or kind == "RIGHT":
            raise unsupported(f"{kind} JOIN ... USING", node, "Write the condition with ON.")
        self._scope.merged.append(merged)
        return merged

    def resolve_conditions(self, resolver: Resolver) -> None:
        """Resolve the ON conditions, and refuse joins whose meaning is the model's (J1)."""
        for join in joins_of(self.tree):
            if join.on is not None:
                resolver.resolve(join.on, ROWS)

    def refuse_products(self, linked: Callable[[Joined], bool]) -> None:
        """CROSS JOIN of two cubes means the model's join (J1), which is not a product."""
        for join in joins_of(self.tree):
            if join.kind != "CROSS" or linked(join):
                continue
            if all(any(s.is_rows for s in leaves(side)) for side in (join.left, join.right)):
                raise UnsupportedError(
                    "CROSS JOIN of cubes is not supported",
                    hint="Join them with ON and the columns they have in common, or write "
                    "SELECT DISTINCT subqueries for a true product.",
                    position=position_of(join.node),
                )

    def build(self, expression: Callable[[exp.Expr], exp.Expr]) -> Relation | None:
        """The plan relation.

        Conditions come first, since they ask the sources for columns; sources are made from right
        to left, since a LATERAL one asks those before it.
        """
        if self.tree is None:
            return None
        conditions: dict[int, exp.Expr | None] = {}
        for join in joins_of(self.tree):
            parts = [] if join.on is None else [expression(join.on)]
            for pair in join.using:
                left, right = pair.left.source, pair.right.source
                parts.append(exp.EQ(this=left.value(pair.left), expression=right.value(pair.right)))
            conditions[id(join)] = all_of(parts)
        return self._relation(self.tree, conditions)

    def _relation(self, tree: Tree, conditions: dict[int, exp.Expr | None]) -> Relation:
        if isinstance(tree, Leaf):
            return tree.source.relation()
        right = self._relation(tree.right, conditions)
        left = self._relation(tree.left, conditions)
        return Join(left, right, tree.kind, conditions[id(tree)])


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(key) for key in ("side", "kind", "on", "using", "method"))


def _kind_of(join: exp.Join) -> JoinKind:
    side = str(join.args.get("side") or "").upper()
    kind = str(join.args.get("kind") or "").upper()
    if side in {"LEFT", "RIGHT", "FULL"} and kind in {"", "OUTER"}:
        return "LEFT" if side == "LEFT" else "RIGHT" if side == "RIGHT" else "FULL"
    if not side and kind in {"", "INNER"}:
        return "INNER"
    if not side and kind == "CROSS":
        return "CROSS"
    raise unsupported(f"{side} {kind} JOIN".strip(), join)
