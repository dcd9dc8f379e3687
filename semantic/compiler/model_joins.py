"""The model's joins between the cubes of one FROM clause (rules J1 and J4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.cube_source import CubeSource
from semantic.compiler.model_sql import joins_in, path_name, path_of
from semantic.compiler.names import fold
from semantic.compiler.trees import all_of, conjuncts, identifier, rebuild
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.model import Model
from semantic.model.published import PublishedColumn
from semantic.model.relations import Cube, Join
from semantic.model.types import BOOL, PostgresType


@dataclass(frozen=True, slots=True)
class ModelJoin:
    """A join of the model between two sources.

    Attributes:
        source: where the join is declared, or where the way to its cube begins.
        target: the cube that is joined.
        path: names of the joins from the one to the other; all but the last are to-one.
        join: the last of them.
        reverse: the same join as it is declared from the other side, if it is.
    """

    source: CubeSource
    target: CubeSource
    path: tuple[str, ...]
    join: Join
    reverse: Join | None = None

    @property
    def name(self) -> str:
        """The path for people: ``flights.origin``."""
        return ".".join((self.source.root.name, *self.path))

    def leads(self, start: CubeSource) -> bool:
        """Whether the model declares it from that side."""
        return start is self.source or self.reverse is not None

    def determines(self, start: CubeSource) -> bool:
        """Whether a row of that side has at most one partner on the other."""
        reverse = self.reverse
        if start is self.source:
            return self.join.is_to_one or (
                reverse is not None and reverse.relationship != "many_to_one"
            )
        if len(self.path) > 1:
            return False
        return self.join.relationship != "many_to_one" or (
            reverse is not None and reverse.is_to_one
        )

    def is_inner(self, start: CubeSource) -> bool:
        """Whether the model drops rows of that side that have no partner."""
        join = self.join if start is self.source else self.reverse
        return join is not None and join.type == "inner"

    def condition(self) -> exp.Expr:
        """The condition in the warehouse's dialect over columns of both scans."""

        def replace_column(node: exp.Expr) -> exp.Expr | None:
            if not isinstance(node, exp.Column):
                return None
            path = path_of(node)
            if path is None:
                return None
            side, rest = self._side(path)
            tree = exp.Column(this=node.this, table=identifier(path_name(rest)))
            return side.builder.base_column(tree)

        return rebuild(self._tree(), replace_column)

    def portable_condition(self) -> exp.Expr | None:
        """The same as a PostgreSQL expression, for a plan over several data sources.

        None where it does more than to compare columns, and the cubes are in one data source.

        Raises:
            UnsupportedError: likewise, and they are not.
        """
        parts = [self._portable(item) for item in conjuncts(self._tree())]
        known = [item for item in parts if item is not None]
        if len(known) == len(parts):
            return all_of(known)
        if self.source.builder.data_source == self.target.builder.data_source:
            return None
        raise UnsupportedError(
            f"the join {self.name} leads to another data source, where its condition cannot be "
            "used",
            hint="Write it as equal columns that are dimensions of their cubes.",
        )

    def _portable(self, node: exp.Expr) -> exp.Expr | None:
        """An equality of columns in their own types, or a column that is true or not."""
        if isinstance(node, exp.Column):
            return self._typed(node, BOOL)
        if not isinstance(node, exp.EQ):
            return None
        left, right = self._typed(node.this.unnest()), self._typed(node.expression.unnest())
        return None if left is None or right is None else exp.EQ(this=left, expression=right)

    def _typed(self, node: exp.Expr, wanted: PostgresType | None = None) -> exp.Column | None:
        """A column of a scan, its type that of a dimension that shows it; None for none."""
        path = path_of(node) if isinstance(node, exp.Column) else None
        if path is None or not isinstance(node, exp.Column):
            return None
        side, rest = self._side(path)
        cube = _walked(side, rest)
        for dimension in cube.dimensions:
            kind = side.members.types.get((cube.name, dimension.name))
            if kind is None or (wanted is not None and kind != wanted):
                continue
            if _shows(side, cube, dimension.name, node):
                tree = exp.Column(this=node.this, table=identifier(path_name(rest)))
                return side.builder.base_column(tree, kind)
        return None

    def canonical(self) -> frozenset[exp.Expr]:
        """The conditions in a form in which equal ones are equal trees."""

        def mark(node: exp.Column) -> exp.Expr | None:
            path = path_of(node)
            return None if path is None else _marked(node, *self._side(path))

        return frozenset(canonical(item, mark) for item in conjuncts(self._tree()))

    def example(self) -> str | None:
        """The condition over published columns; None where it is over anything else."""
        parts: list[str] = []
        for item in self.canonical():
            sides = [self._column_of(item.this), self._column_of(item.expression)]
            if not isinstance(item, exp.EQ) or None in sides:
                return None
            parts.append(" = ".join(str(side) for side in sides))
        return " AND ".join(sorted(parts))

    def _column_of(self, tree: exp.Expr | None) -> str | None:
        for source in (self.source, self.target):
            for visible in source.columns if tree is not None else ():
                published = visible.published
                if published is not None and canonical_member(source, published) == tree:
                    return f"{source.name}.{visible.name}"
        return None

    def _tree(self) -> exp.Expr:
        home = _walked(self.source, self.path[:-1])
        return self.source.members.sql.join_condition(home, self.join)

    def _side(self, path: tuple[str, ...]) -> tuple[CubeSource, tuple[str, ...]]:
        """The source that a path of the condition leads to, and the path from its own root."""
        if path[:1] == (self.join.name,):
            return self.target, path[1:]
        return self.source, self.path[:-1] + path


def direct_joins(first: CubeSource, second: CubeSource) -> list[ModelJoin]:
    """The joins that the model declares between two cubes; one declared from both sides once."""
    found: list[ModelJoin] = []
    for source, target in ((first, second), (second, first)):
        for join in source.root.joins:
            if join.target != target.root.name or join.valid is not None:
                continue
            made = ModelJoin(source, target, (join.name,), join)
            same = next((i for i, item in enumerate(found) if _same(item, made)), None)
            if same is None:
                found.append(made)
            else:
                found[same] = replace(found[same], reverse=join)
    return found


def distant_joins(first: CubeSource, second: CubeSource, around: frozenset[str]) -> list[ModelJoin]:
    """The ways between two cubes over others, none of which is in ``around``."""
    model = first.members.sql.model
    for source, target in ((first, second), (second, first)):
        ways = [
            way
            for way in model.paths(source.root.name, target.root.name)
            if around.isdisjoint(step.source for step in model.walk(source.root.name, way)[1:])
        ]
        made = [_distant(model, source, target, way) for way in ways]
        usable = [item for item in made if item is not None]
        if usable:
            return usable
    return []


def _distant(
    model: Model, source: CubeSource, target: CubeSource, way: tuple[str, ...]
) -> ModelJoin | None:
    steps = model.walk(source.root.name, way)
    if not steps or not all(step.join.is_to_one for step in steps[:-1]):
        return None
    if any(step.join.valid is not None for step in steps):
        return None
    return ModelJoin(source, target, way, steps[-1].join)


def _same(one: ModelJoin, other: ModelJoin) -> bool:
    """Whether two joins in opposite directions have one condition."""
    if one.source is other.source or one.reverse is not None:
        return False
    return one.canonical() == other.canonical()


def implied_by(
    start: CubeSource, end: CubeSource, conditions: frozenset[exp.Expr]
) -> ModelJoin | None:
    """A join of the model whose conditions are all given, and by which ``start`` has one ``end``.

    Args:
        start: a cube, or a view for its root.
        end: another.
        conditions: of the client's text, in canonical form.
    """
    for path in _paths_in(start, conditions):
        cube = _walked(start, path)
        for join in cube.joins:
            if join.target == end.root.name and join.is_to_one and join.valid is None:
                made = ModelJoin(start, end, (*path, join.name), join)
                if _is_given(made, conditions):
                    return made
    for join in end.root.joins:
        if join.target == start.root.name and join.relationship != "many_to_one":
            made = ModelJoin(end, start, (join.name,), join)
            if join.valid is None and _is_given(made, conditions):
                return made
    return None


def _is_given(join: ModelJoin, conditions: frozenset[exp.Expr]) -> bool:
    try:
        return join.canonical() <= conditions
    except SemanticError:
        # A condition that the compiler cannot serve is none that the client can have written.
        return False


def _paths_in(source: CubeSource, conditions: Iterable[exp.Expr]) -> Iterator[tuple[str, ...]]:
    """Where the columns of a source's members come from, its own cube first."""
    found: dict[tuple[str, ...], None] = {(): None}
    start = f"{source.alias}:"
    for item in conditions:
        for node in item.find_all(exp.Column):
            if node.table.startswith(start):
                rest = node.table[len(start) :]
                found[joins_in(tuple(rest.split(".")) if rest else ())] = None
    return iter(found)


Mark = Callable[[exp.Column], "exp.Expr | None"]


def canonical(node: exp.Expr, mark: Mark) -> exp.Expr:
    """A condition without parentheses, its columns marked, the sides of = in order."""

    def change(item: exp.Expr) -> exp.Expr | None:
        if isinstance(item, exp.Paren):
            return rebuild(item.this, change)
        if isinstance(item, exp.Column):
            return mark(item)
        if isinstance(item, exp.EQ):
            sides = [rebuild(side, change) for side in (item.this, item.expression)]
            sides.sort(key=lambda side: side.sql())
            return exp.EQ(this=sides[0], expression=sides[1])
        return None

    return rebuild(node, change)


def canonical_member(source: CubeSource, member: PublishedColumn) -> exp.Expr | None:
    """A dimension or segment over marked base columns; None for anything else."""
    if member.kind == "measure" or member.granularity is not None:
        return None
    try:
        tree = source.members.row_value(source.model_relation, member.name)
    except SemanticError:
        return None

    def mark(node: exp.Column) -> exp.Expr | None:
        path = path_of(node)
        return None if path is None else _marked(node, source, path)

    return canonical(tree, mark)


def _marked(node: exp.Column, source: CubeSource, path: tuple[str, ...]) -> exp.Expr:
    name = identifier(_plain_name(node))
    return exp.Column(this=name, table=identifier(f"{source.alias}:{'.'.join(path)}"))


def _shows(source: CubeSource, cube: Cube, name: str, column: exp.Column) -> bool:
    """Whether a dimension of a cube is nothing but a column of its table."""
    try:
        tree = source.members.row_value(cube, name).unnest()
    except SemanticError:
        return False
    if not isinstance(tree, exp.Column) or path_of(tree) != ():
        return False
    return _plain_name(tree) == _plain_name(column)


def _plain_name(node: exp.Column) -> str:
    return node.name if node.this.args.get("quoted") else fold(node.name)


def names_of(joins: Sequence[ModelJoin]) -> str:
    """The paths of several joins, for an error."""
    return ", ".join(item.name for item in joins)


def _walked(source: CubeSource, path: tuple[str, ...]) -> Cube:
    model = source.members.sql.model
    if not path:
        return source.root
    return model.cubes_by_name[model.walk(source.root.name, path)[-1].target]
