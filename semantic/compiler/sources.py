"""Binds the FROM clause of one SELECT: its sources in a tree of joins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.equalities import bare, null_safe
from semantic.compiler.fact_view import FactView
from semantic.compiler.fact_view_use import refuse_joined_views, settle_view, view_relation
from semantic.compiler.from_tree import (
    ChainStep,
    FactTree,
    Joined,
    JoinKind,
    Leaf,
    MergedColumn,
    RenamedJoin,
    Tree,
    ViewLeaf,
    joins_of,
    leaves,
    merge,
)
from semantic.compiler.join_field import is_join_field, misplaced_join_field
from semantic.compiler.model_joins import ModelJoin, direct_joins, distant_joins
from semantic.compiler.name_scope import NamedItem, Scope
from semantic.compiler.names import name_of, quoted
from semantic.compiler.plan import Join, Relation
from semantic.compiler.plan_facts import Fact, Facts
from semantic.compiler.positions import position_of
from semantic.compiler.products import Linked, ambiguous, bind_products, no_join, several_facts
from semantic.compiler.resolve import ROWS, Resolver
from semantic.compiler.scope import (
    Source,
    VisibleColumn,
)
from semantic.compiler.statement import Statement, refuse_other_arguments, unsupported
from semantic.compiler.trees import all_of, conjuncts
from semantic.errors import SemanticError

_JOIN_CLAUSES = frozenset({"this", "side", "kind", "on", "using", "method"})


class FromClause:
    """Binds FROM; ``make_source`` makes the source of one item."""

    def __init__(
        self,
        statement: Statement,
        node: exp.Select,
        scope: Scope,
        make_source: Callable[[exp.Expr, Scope], Source],
    ) -> None:
        self._statement = statement
        self._scope = scope
        self._make_source = make_source
        self.tree: Tree | None = None
        clause = node.args.get("from_")
        if node.args.get("laterals"):
            raise unsupported("LATERAL VIEW", node)
        if clause is None:
            return
        trees = [self._item(clause.this)]
        nodes = [clause.this]
        for join in node.args.get("joins") or []:
            if self._is_comma(join):
                trees.append(self._item(join.this))
                nodes.append(join.this)
            else:
                trees[-1] = self._join(trees[-1], join)
        self.tree = trees[0]
        for tree, item in zip(trees[1:], nodes[1:], strict=True):
            _refuse_second(self.tree, tree, item)
            self.tree = Joined(self.tree, tree, "CROSS", comma=True, node=item)
        if not isinstance(self.tree, ViewLeaf):
            refuse_joined_views(scope.items)

    def _item(self, node: exp.Expr) -> Tree:
        """Bind an item, which names see from now on."""
        if _is_join_in_parentheses(node):
            tree = self._item(node.this)
            alias = node.args.get("alias")
            if alias is not None:
                columns = tuple(name_of(item) for item in alias.args.get("columns") or [])
                tree = self._scope.items[-1] = RenamedJoin(tree, name_of(alias.this), columns)
        else:
            tree = self._leaf(node)
            self._scope.items.append(tree)
        for join in node.args.get("joins") or []:
            tree = self._join(tree, join)
        return tree

    def _leaf(self, node: exp.Expr) -> Tree:
        source = self._make_source(node, self._scope)
        if isinstance(source, FactView):
            self._scope.sources += source.parts.values()
            return ViewLeaf(source, node)
        self._scope.sources.append(source)
        return Leaf(source)

    def _is_comma(self, join: exp.Join) -> bool:
        if any(join.args.get(key) for key in ("side", "kind", "on", "using", "method")):
            return False
        if not self._statement.is_behind_join(join.this):
            return True
        # The parser lets it pass, PostgreSQL does not.
        position = position_of(join.this)
        self._statement.defer(SemanticError("42601", "JOIN without ON", position=position))
        return False

    def _join(self, left: Tree, join: exp.Join) -> Tree:
        refuse_other_arguments(join, _JOIN_CLAUSES, "JOIN")
        kind = _kind_of(join)
        right = self._item(join.this)
        _refuse_second(left, right, join.this)
        joined = Joined(left, right, kind, join.args.get("on"), node=join)
        if str(join.args.get("method") or "").upper() == "NATURAL":
            self._natural(joined)
        elif join.args.get("method"):
            raise unsupported(f"{join.args['method']} JOIN", join)
        using = join.args.get("using") or []
        if len(using) == 1 and is_join_field(using[0]):
            self._statement.replace_using(using[0], "ON true")
            joined.links = (self._using_link(joined, using[0]),)
        else:
            joined.using += tuple(self._merge(joined, item) for item in using)
        self._scope.items[-2:] = [joined]
        return joined

    def _merge(self, join: Joined, node: exp.Expr) -> MergedColumn:
        name_node = node.this if isinstance(node, exp.Column) else node
        if not isinstance(name_node, exp.Identifier):
            raise unsupported("this form of USING", node)
        name = name_of(name_node)
        sides: list[VisibleColumn] = []
        for tree, which in ((join.left, "left"), (join.right, "right")):
            found = tree.find(name, quoted=bool(name_node.args.get("quoted")))
            if not found:
                raise SemanticError(
                    "42703",
                    f'column "{name}" specified in USING clause does not exist in {which} table',
                    position=position_of(node),
                )
            if len(found) > 1:
                raise _twice(name, which, node)
            sides.append(found[0])
        if sides[0].name == sides[1].name != name:
            self._statement.replace(name_node, quoted(sides[0].name))
        return _merged(sides[0].name, sides[0], sides[1], join.kind, node)

    def _natural(self, join: Joined) -> None:
        """Merge the columns that both sides have by name."""
        right: dict[str, list[VisibleColumn]] = {}
        for visible in join.right.columns:
            right.setdefault(visible.name, []).append(visible)
        left = [visible for visible in join.left.columns if visible.name in right]
        for visible in left:
            if sum(item.name == visible.name for item in left) > 1:
                raise _twice(visible.name, "left", join.node)
            if len(right[visible.name]) > 1:
                raise _twice(visible.name, "right", join.node)
        join.using = tuple(
            _merged(visible.name, visible, right[visible.name][0], join.kind, join.node)
            for visible in left
        )
        if not left:
            if all(any(s.is_rows for s in leaves(side)) for side in (join.left, join.right)):
                raise unsupported(
                    "NATURAL JOIN of cubes without a column in common",
                    join.node,
                    "Join them with ON, or with CROSS JOIN where the model has a join.",
                )
            join.on = exp.true()

    # What the model's joins mean (J1)

    def resolve_conditions(self, resolver: Resolver) -> None:
        """Resolve the ON conditions, each over the two sides of its join."""
        for join in joins_of(self.tree):
            if join.on is not None:
                with self._scope.only(join):
                    rest = [c for c in conjuncts(join.on) if not self._is_link(join, c)]
                    if len(rest) < len(conjuncts(join.on)):
                        join.on = all_of(rest)
                    if join.on is not None:
                        resolver.resolve(join.on, ROWS)

    @property
    def facts(self) -> tuple[FactTree, ...]:
        """What is aggregated apart where the clause is over several facts."""
        return self.tree.facts if isinstance(self.tree, Joined | ViewLeaf) else ()

    def bind_products(
        self, linked: Linked, used: Callable[[], Iterable[Source]], *, grouped: bool
    ) -> None:
        """Find what CROSS JOIN of cubes means; see ``products.bind_products``.

        Args:
            linked: as there.
            used: the sources of the columns that ``*`` stands for.
            grouped: whether it groups.
        """
        if isinstance(self.tree, ViewLeaf):
            settle_view(self.tree, used(), grouped=grouped)
        bind_products(self.tree, linked)
        for join in joins_of(self.tree):
            if not (grouped and join is self.tree):
                if join.facts and join.chain is None:
                    names = [fact.root.relation_name for fact in join.facts]
                    raise several_facts(names, join.node)
                join.facts = ()

    def _is_link(self, join: Joined, node: exp.Expr) -> bool:
        """Whether a condition asks for the model's join; if so, it is found and put aside."""
        fields = [item for item in node.find_all(exp.Column) if is_join_field(item)]
        if not fields:
            return False
        equality = null_safe(node)
        sides = (
            [bare(equality.this), bare(equality.expression)]
            if isinstance(equality, exp.EQ | exp.NullSafeEQ)
            else []
        )
        if len(sides) != 2 or not all(is_join_field(side) for side in sides):
            raise misplaced_join_field(fields[0])
        first, second = (self._cube(side) for side in sides)
        join.links += (_link(join, first, second, node),)
        for field in fields:
            # PostgreSQL has no such columns: it compares constants instead.
            self._statement.replace(field, "''")
        return True

    def _cube(self, node: exp.Expr) -> CubeSource:
        """The cube whose join field a column is."""
        table = node.args.get("table")
        items: Sequence[NamedItem] = self._scope.sources
        if table is not None:
            items = self._scope.named(name_of(table))
        if len(items) != 1 or not isinstance(items[0], CubeSource):
            raise misplaced_join_field(node)
        return items[0]

    def _using_link(self, join: Joined, node: exp.Expr) -> ModelJoin:
        sides = [
            [s for s in leaves(t) if isinstance(s, CubeSource)] for t in (join.left, join.right)
        ]
        if any(len(cubes) != 1 for cubes in sides):
            raise misplaced_join_field(node)
        return _link(join, sides[0][0], sides[1][0], node)

    # The plan

    def build(self, expression: Callable[[exp.Expr], exp.Expr]) -> Relation | None:
        """The plan relation.

        Conditions come first, since they ask the sources for columns; sources are made from right
        to left, since a LATERAL one asks those before it.
        """
        if self.tree is None:
            return None
        return _Build(self.tree, expression).relation(self.tree)


class _Build:
    def __init__(self, tree: Tree, expression: Callable[[exp.Expr], exp.Expr]) -> None:
        self._expression = expression
        self._conditions: dict[int, exp.Expr | None] = {}
        self._links: dict[ModelJoin, exp.Expr] = {}
        self._portable: dict[ModelJoin, exp.Expr | None] = {}
        several = _data_sources(tree) > 1
        for join in joins_of(tree):
            self._conditions[id(join)] = self._condition(join)
            chains = [join.chain or (), *(fact.chain for fact in join.facts)]
            steps = [step.link for chain in chains for step in chain if step.link is not None]
            for link in (*join.links, *steps):
                self._portable[link] = link.portable_condition() if several else None
                if self._portable[link] is None:
                    self._links[link] = link.condition()

    def _condition(self, join: Joined) -> exp.Expr | None:
        parts = [] if join.on is None else [self._expression(join.on)]
        for pair in join.using:
            left, right = pair.left.source, pair.right.source
            parts.append(exp.EQ(this=left.value(pair.left), expression=right.value(pair.right)))
        return all_of(parts)

    def relation(self, tree: Tree) -> Relation:
        if isinstance(tree, Leaf):
            return tree.source.relation()
        if isinstance(tree, ViewLeaf):
            return view_relation(tree)
        if isinstance(tree, RenamedJoin):
            return self.relation(tree.tree)
        if tree.facts:
            facts = (
                Fact(fact.root.alias, fact.root.relation_name, self._chain(tree, fact.chain))
                for fact in tree.facts
            )
            return Facts(tuple(facts))
        if tree.chain is not None:
            return self._chain(tree, tree.chain)
        right = self.relation(tree.right)
        left = self.relation(tree.left)
        condition = self._conditions[id(tree)]
        portable = [item for link in tree.links if (item := self._portable[link]) is not None]
        return Join(
            left,
            right,
            tree.kind,
            all_of([*conjuncts(condition), *portable]) if portable else condition,
            all_of([self._links[link] for link in tree.links if link in self._links]),
            ", ".join(link.name for link in tree.links),
            _finds_one(tree),
        )

    def _chain(self, tree: Joined, chain: tuple[ChainStep, ...]) -> Relation:
        written = [id(source) for source in leaves(tree)]
        last_first = sorted(
            chain, key=lambda step: written.index(id(leaves(step.tree)[0])), reverse=True
        )
        made = {id(step.tree): self.relation(step.tree) for step in last_first}
        relation = made[id(chain[0].tree)]
        for step in chain[1:]:
            right = made[id(step.tree)]
            if step.link is None:
                relation = Join(relation, right, step.kind, None)
            else:
                relation = Join(
                    relation,
                    right,
                    step.kind,
                    self._portable[step.link],
                    self._links.get(step.link),
                    step.link.name,
                    step.start is not None and _is_to_one(step.link, step.start),
                )
        return relation


def _data_sources(tree: Tree) -> int:
    """How many data sources the cubes of a FROM clause are in."""
    cubes = (source for source in leaves(tree) if isinstance(source, CubeSource))
    return len({cube.builder.data_source for cube in cubes})


def _is_to_one(link: ModelJoin, start: CubeSource) -> bool:
    other = link.target if start is link.source else link.source
    return link.determines(start) and not other.builder.multiplies


def _finds_one(join: Joined) -> bool:
    """Whether a row of the left side has at most one of the right, as the model says."""
    left = leaves(join.left)
    return any(
        _is_to_one(link, start)
        for link in join.links
        for start in (link.source, link.target)
        if any(start is source for source in left)
    )


def _link(join: Joined, first: CubeSource, second: CubeSource, node: exp.Expr) -> ModelJoin:
    """The model's join between two cubes on the two sides of a join.

    Raises:
        SemanticError: there is none (0A000), or several (42P09).
    """
    left = leaves(join.left)
    if sum(any(cube is item for item in left) for cube in (first, second)) != 1:
        raise misplaced_join_field(node)
    around = [source for source in (*left, *leaves(join.right)) if isinstance(source, CubeSource)]
    found = direct_joins(first, second) or distant_joins(
        first, second, frozenset(cube.root.name for cube in around)
    )
    if not found:
        raise no_join(first.relation_name, second.relation_name, node)
    if len(found) > 1:
        raise ambiguous(first.relation_name, second.relation_name, found, node)
    return found[0]


def _merged(
    name: str, left: VisibleColumn, right: VisibleColumn, kind: JoinKind, node: exp.Expr | None
) -> MergedColumn:
    if left.is_measure or right.is_measure:
        raise unsupported(
            f'the measure "{name}" as a column that two cubes have in common',
            node,
            "Name the columns: JOIN ... USING (...) or ON ....",
        )
    for visible in (left, right):
        visible.source.use(visible)
    return merge(name, left, right, kind)


def _twice(name: str, which: str, node: exp.Expr | None) -> SemanticError:
    return SemanticError(
        "42702",
        f'common column name "{name}" appears more than once in {which} table',
        position=position_of(node),
    )


def _refuse_second(left: Tree, right: Tree, node: exp.Expr) -> None:
    """Refuse an alias that both sides have."""
    for name in right.aliases():
        if name and next(iter(left.named(name)), None) is not None:
            raise SemanticError(
                "42712",
                f'table name "{name}" specified more than once',
                position=position_of(node),
            )


def _is_join_in_parentheses(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Subquery):
        return False
    inner = node.this
    if isinstance(inner, exp.Subquery):
        has_name = inner.args.get("alias") is not None or inner.args.get("joins")
        return bool(has_name) or _is_join_in_parentheses(inner)
    return isinstance(inner, exp.Table | exp.Lateral)


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
