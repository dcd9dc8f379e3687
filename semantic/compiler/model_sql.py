"""The SQL of the model's members as trees, references filled in.

A tree speaks of base rows as ``path.column``, where ``path`` is the joined names from the home cube
(empty for its own row): ``dimension("flights", "origin_city")`` is the column ``city`` of the path
``origin``. A scan puts its own aliases in place of the paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from sqlglot import exp
from sqlglot.errors import SqlglotError

from semantic.compiler.dialect import (
    at_zone,
    cast_to,
    coordinates,
    dialect_of,
    moment,
)
from semantic.compiler.granularities import local_period, period_of
from semantic.compiler.nulls import is_null_of_nulls
from semantic.compiler.number_literals import with_whole_numbers
from semantic.compiler.trees import enclose, enclose_negations, identifier, rebuild, table_of
from semantic.compiler.typed_literals import cast_intervals
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Case, Dimension, Granularity, Measure, Member, Segment
from semantic.model.model import MemberTarget, Model, ResolutionError, RowTarget
from semantic.model.relations import Cube, Join, View
from semantic.model.template import (
    CubeSql,
    FilterGroup,
    FilterParameter,
    Reference,
    SecurityContextReference,
    SqlTemplate,
)

PATH = "path:"
_ROW = "cubewire_row_"
_REFERENCE = "cubewire_reference_"
_CUBE_SQL = "cubewire_sql_"
_CONTEXT = "cubewire_context_"


def path_name(path: tuple[str, ...]) -> str:
    """How a tree spells a join path."""
    return PATH + ".".join(path)


def path_of(node: exp.Column) -> tuple[str, ...] | None:
    """The join path of a base column, None for any other column."""
    table = table_of(node)
    if not table.startswith(PATH):
        return None
    rest = table[len(PATH) :]
    return tuple(rest.split(".")) if rest else ()


def below(tree: exp.Expr, path: tuple[str, ...]) -> exp.Expr:
    """The same tree seen from a cube that reaches its home over ``path``."""
    if not path:
        return tree

    def move(node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column):
            own = path_of(node)
            if own is not None:
                return exp.Column(this=node.this, table=identifier(path_name(path + own)))
        return None

    return rebuild(tree, move)


RowMeasureKind = Literal["dimension", "measure"]
VALUE = "value"


def row_measure(kind: RowMeasureKind, name: str) -> exp.Column:
    """A measure as a value of a row: the column of a path whose last step names it.

    The kind says what the name is: of a sub_query dimension or of the measure itself.
    """
    return exp.Column(this=identifier(VALUE), table=identifier(path_name((f"{kind}:{name}",))))


def row_measure_of(step: str) -> tuple[str, str] | None:
    """The kind and name in such a step; None for a join."""
    kind, colon, name = step.partition(":")
    return (kind, name) if colon else None


def joins_in(path: tuple[str, ...]) -> tuple[str, ...]:
    """The joins of a path, without a last step to a measure of the row."""
    return path[:-1] if path and row_measure_of(path[-1]) is not None else path


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """A template's tree with what its placeholders stand for.

    Attributes:
        cubes: names of tables that stand for the rows of cubes.
        context: names of columns that stand for attributes of the caller; of a ``filter``, for
            an array of its values.
    """

    tree: exp.Expr
    rows: Mapping[str, RowTarget]
    references: Mapping[str, MemberTarget]
    cubes: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, SecurityContextReference] = field(default_factory=dict)


@lru_cache(maxsize=8192)
def _parsed(dialect: str, text: str, into_query: bool) -> exp.Expr | None:
    """A text's tree, which nobody changes; None where it is not one expression.

    Members of different cubes are often spelled alike, and each is read when its type is asked for,
    when it is published, and when it is compiled.
    """
    is_query = into_query and len(text.split(None, 1)) > 1
    if into_query and not is_query:
        text = f"SELECT * FROM {text}"
    reader = dialect_of(dialect)
    tokens = cast_intervals(with_whole_numbers(list(reader.tokenize(text)), text, dialect))
    found = [tree for tree in reader.parser().parse(tokens, text) if tree is not None]
    if len(found) != 1:
        return None
    tree = found[0]
    enclose_negations(tree)
    if is_query:
        return exp.Subquery(this=tree)
    if into_query:
        tree = tree.args["from_"].this
        tree.pop()
    return tree


class ModelSql:
    """Trees of a model's members, each made once.

    Attributes:
        model: the model.
        dialects: sqlglot's name of the dialect by data source.
        sketches: of the data sources that can merge estimates, where they have the functions.
    """

    def __init__(
        self, model: Model, dialects: Mapping[str, str], sketches: Mapping[str, str] | None = None
    ) -> None:
        self.model = model
        self.dialects = dialects
        self.sketches = sketches or {}
        self._dimensions: dict[tuple[str, str], exp.Expr] = {}
        self._joins: dict[tuple[str, str], exp.Expr] = {}
        self._sub_queries: dict[tuple[str, str], ParsedTemplate] = {}

    def dialect(self, data_source: str) -> str:
        """The dialect of a data source."""
        return self.dialects.get(data_source) or self.dialects["default"]

    def root_of(self, relation: Cube | View) -> Cube:
        """The cube whose rows a relation's rows are."""
        if isinstance(relation, Cube):
            return relation
        return self.model.cubes_by_name[relation.root]

    def dimension(self, cube: Cube, dimension: Dimension) -> exp.Expr:
        """A dimension as an expression over base rows."""
        key = (cube.name, dimension.name)
        tree = self._dimensions.get(key)
        if tree is None:
            tree = self._make_dimension(cube, dimension)
            declared = dimension.data_type
            is_moment = declared is not None and declared.name == "timestamptz"
            if dimension.time_zone and (declared is None or is_moment):
                tree = at_zone(tree, dimension.time_zone, self.dialect(cube.data_source))
            elif is_moment:
                tree = moment(tree, self.dialect(cube.data_source))
            elif declared is not None:
                tree = cast_to(tree, declared, self.dialect(cube.data_source))
            self._dimensions[key] = tree
        return tree

    def primary_key(self, cube: str) -> tuple[exp.Expr, ...]:
        """What tells one row of a cube from another; empty where nothing is declared."""
        found = self.model.cubes_by_name[cube]
        return tuple(self.dimension(found, item) for item in found.primary_key)

    def exists(self, cube: str) -> exp.Expr:
        """The condition that there is a row of a cube, where an outer join may have found none.

        Raises:
            UnsupportedError: the cube declares no primary key.
        """
        key = [
            exp.Not(this=exp.Is(this=enclose(tree), expression=exp.Null()))
            for tree in self.primary_key(cube)
        ]
        if not key:
            raise no_primary_key(cube)
        result: exp.Expr = key[0]
        for other in key[1:]:
            result = exp.Or(this=result, expression=other)
        return result

    def reached(self, cube: str, tree: exp.Expr, path: tuple[str, ...]) -> exp.Expr:
        """A value of a cube's row, seen from a cube that reaches it over ``path``.

        Where the join finds no row there is no value, whatever is made of NULLs: the column of a
        table that is joined would be NULL, too.

        Raises:
            UnsupportedError: the cube declares no primary key, and that matters here.
        """
        if path and not is_null_of_nulls(tree):
            if not self.primary_key(cube):
                raise UnsupportedError(
                    f"cube {cube} declares no primary key, so a row that a join did not find "
                    "cannot be told from one of NULLs",
                    hint=f"Declare primary_key on the dimensions that make a row of {cube} unique.",
                )
            tree = exp.Case(ifs=[exp.If(this=self.exists(cube), true=tree)])
        return below(tree, path)

    def condition(self, home: str, template: SqlTemplate) -> exp.Expr:
        """A segment's or filter's condition, or any other expression over a row."""
        return self.fill_in(home, self.parse(home, template))

    def segment(self, home: str, segment: Segment) -> exp.Expr:
        """A segment of a cube or view as a condition over a row."""
        return self.condition(home, segment.sql)

    def period(self, cube: Cube, dimension: Dimension, granularity: Granularity) -> exp.Expr:
        """A custom granularity that truncates by itself, as an expression over a row."""
        if granularity.sql is None:
            raise TypeError(granularity.name)
        return self.condition(cube.name, granularity.sql)

    def is_masked(self, relation: str, name: str) -> bool:
        """Whether some policy of the caller masks a member; without a caller, none does."""
        return False

    def mask(self, cube: Cube, member: Dimension | Measure) -> exp.Expr:
        """What stands for a masked member's values."""
        raise TypeError(member.name)

    def join_condition(self, cube: Cube, join: Join) -> exp.Expr:
        """A join's condition over the paths () and (join.name,)."""
        key = (cube.name, join.name)
        tree = self._joins.get(key)
        if tree is None:
            if join.valid is not None:
                raise unsupported(cube.name, join.name, "joins with validity")
            tree = self._joins[key] = self.condition(cube.name, join.sql)
        return tree

    def fill_in(self, home: str, parsed: ParsedTemplate) -> exp.Expr:
        """Put base columns in place of all placeholders; the references must be row-level."""

        def reference(target: MemberTarget) -> exp.Expr:
            return enclose(self.row_member(home, target))

        return self.substitute(parsed, reference)

    def row_member(self, home: str, target: MemberTarget) -> exp.Expr:
        """The tree of a referenced dimension or segment, seen from ``home``."""
        member: Member = target.member
        if isinstance(member, Measure):
            raise UnsupportedError(
                f"{target.cube}.{member.name} is a measure where a row's value is needed",
                hint="A dimension over a measure needs sub_query: true.",
            )
        if isinstance(member, Segment):
            return self.reached(target.cube, self.segment(target.cube, member), target.path)
        cube = self.model.cubes_by_name[target.cube]
        tree = self.dimension(cube, member)
        tree = self.reached(target.cube, tree, target.path)
        if target.granularity is None:
            return tree
        custom = member.granularity(target.granularity)
        if custom is not None and custom.sql is not None:
            return self.reached(target.cube, self.period(cube, member, custom), target.path)
        if custom is not None:
            return local_period(period_of(member, custom), tree, self.dialect(cube.data_source))
        return exp.TimestampTrunc(this=tree, unit=exp.Var(this=target.granularity.upper()))

    def substitute(
        self, parsed: ParsedTemplate, reference: Callable[[MemberTarget], exp.Expr]
    ) -> exp.Expr:
        """Put base columns in place of rows, and what ``reference`` says in place of members."""
        bound = _lambda_names(parsed.tree)

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                return _fill_column(node, parsed, reference, bound)
            return None

        return rebuild(parsed.tree, replace)

    def parse(
        self, home: str, template: SqlTemplate, *, into_query: bool = False
    ) -> ParsedTemplate:
        """Parse a template's text with names in place of its references."""
        rows: dict[str, RowTarget] = {}
        references: dict[str, MemberTarget] = {}
        cubes: dict[str, str] = {}
        context: dict[str, SecurityContextReference] = {}
        pieces: list[str] = []
        for number, part in enumerate(template.parts):
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, Reference):
                target = self._resolve(home, part)
                if isinstance(target, RowTarget):
                    name = f"{_ROW}{number}"
                    rows[name] = target
                else:
                    name = f"{_REFERENCE}{number}"
                    references[name] = target
                pieces.append(name)
            elif isinstance(part, CubeSql):
                name = f"{_CUBE_SQL}{number}"
                cubes[name] = part.cube
                pieces.append(name)
            elif not into_query:
                raise unsupported(home, template.text, "FILTER_PARAMS and SECURITY_CONTEXT")
            elif isinstance(part, FilterParameter | FilterGroup):
                # A hook may keep out rows that the query's filters keep out anyway; it need not.
                pieces.append("(1 = 1)")
            else:
                name = f"{_CONTEXT}{number}"
                context[name] = part
                pieces.append(name if part.column is None else f"({part.column} = ANY({name}))")
        tree = self._parse_text(home, "".join(pieces), into_query=into_query)
        return ParsedTemplate(tree, rows, references, cubes, context)

    def _resolve(self, home: str, reference: Reference) -> RowTarget | MemberTarget:
        try:
            return self.model.resolve(home, reference)
        except ResolutionError as error:
            raise SemanticError("XX000", f"{home}: {error.message}") from error

    def _parse_text(self, home: str, text: str, *, into_query: bool) -> exp.Expr:
        relation = self.model.relation(home)
        if relation is None:
            raise SemanticError("XX000", f"unknown relation {home}")
        dialect = self.dialect(self.root_of(relation).data_source)
        try:
            tree = _parsed(dialect, text.strip().rstrip(";"), into_query)
        except SqlglotError as error:
            raise SemanticError(
                "XX000", f"the model's SQL of {home} cannot be read: {text.strip()}"
            ) from error
        if tree is None:
            raise SemanticError("XX000", f"the model's SQL of {home} is not one expression: {text}")
        return tree

    def _make_dimension(self, cube: Cube, dimension: Dimension) -> exp.Expr:
        if dimension.sub_query:
            return self._sub_query(cube, dimension)
        if dimension.multi_stage:
            raise unsupported(cube.name, dimension.name, "multi-stage dimensions")
        if dimension.case is not None:
            return self._case(cube, dimension, dimension.case)
        if dimension.type == "geo" and dimension.latitude and dimension.longitude:
            pair = (dimension.latitude, dimension.longitude)
            latitude, longitude = (self.condition(cube.name, item) for item in pair)
            return coordinates(latitude, longitude, self.dialect(cube.data_source))
        if dimension.sql is None:
            raise unsupported(cube.name, dimension.name, f"{dimension.type} dimensions without sql")
        return self.condition(cube.name, dimension.sql)

    def sub_query_measure(self, cube: Cube, dimension: Dimension) -> MemberTarget:
        """The measure that a sub_query dimension is made of."""
        parsed = self._sub_query_sql(cube, dimension)
        found = [item for item in parsed.references.values() if isinstance(item.member, Measure)]
        if len(found) != 1:
            raise unsupported(cube.name, dimension.name, "sub_query dimensions without one measure")
        return found[0]

    def _sub_query(self, cube: Cube, dimension: Dimension) -> exp.Expr:
        measure = self.sub_query_measure(cube, dimension)

        def reference(target: MemberTarget) -> exp.Expr:
            if target is measure:
                return row_measure("dimension", dimension.name)
            return enclose(self.row_member(cube.name, target))

        return self.substitute(self._sub_query_sql(cube, dimension), reference)

    def _sub_query_sql(self, cube: Cube, dimension: Dimension) -> ParsedTemplate:
        if dimension.sql is None:
            raise unsupported(cube.name, dimension.name, "sub_query dimensions without sql")
        key = (cube.name, dimension.name)
        found = self._sub_queries.get(key)
        if found is None:
            found = self._sub_queries[key] = self.parse(cube.name, dimension.sql)
        return found

    def _case(self, cube: Cube, dimension: Dimension, case: Case) -> exp.Expr:
        if case.switch is not None:
            raise unsupported(cube.name, dimension.name, "switch dimensions")
        branches: list[exp.Expr] = []
        for branch in case.when:
            if branch.condition is None:
                raise unsupported(cube.name, dimension.name, "a case without conditions")
            condition = self.condition(cube.name, branch.condition)
            branches.append(
                exp.If(this=condition, true=self._label(cube, branch.label, branch.sql))
            )
        last = case.otherwise
        default = None if last is None else self._label(cube, last.label, last.sql)
        return exp.Case(ifs=branches, default=default)

    def _label(self, cube: Cube, label: str | None, sql: SqlTemplate | None) -> exp.Expr:
        if sql is not None:
            return self.condition(cube.name, sql)
        return exp.Literal.string(label or "")


class UnservedMemberError(UnsupportedError):
    """A member whose definition the compiler cannot serve yet.

    Attributes:
        what: the feature, in the plural.
    """

    def __init__(self, relation: str, member: str, what: str) -> None:
        super().__init__(
            f"{relation}.{member} cannot be used: {what} are not supported yet",
            hint="Leave this column out of the query, or list the columns that you need instead "
            "of *.",
        )
        self.what = what


def unsupported(relation: str, member: str, what: str) -> UnservedMemberError:
    """The refusal of a member whose definition the compiler cannot serve yet."""
    return UnservedMemberError(relation, member, what)


def no_primary_key(cube: str) -> UnsupportedError:
    """The refusal to tell rows apart that nothing tells apart (J2)."""
    return UnsupportedError(
        f"cube {cube} declares no primary key, so rows that a join repeats cannot be told apart",
        hint=f"Declare primary_key on the dimensions that make a row of {cube} unique, or "
        "aggregate in a grouped subquery and join that.",
    )


def _lambda_names(tree: exp.Expr) -> frozenset[str]:
    return frozenset(name.name for node in tree.find_all(exp.Lambda) for name in node.expressions)


def _fill_column(
    node: exp.Column,
    parsed: ParsedTemplate,
    reference: Callable[[MemberTarget], exp.Expr],
    bound: frozenset[str],
) -> exp.Expr | None:
    """What a column of a parsed template stands for; None leaves it alone."""
    name = node.name
    parts = [
        part
        for part in (node.args.get("catalog"), node.args.get("db"), node.args.get("table"))
        if part
    ]
    if not parts:
        target = parsed.references.get(name)
        if target is not None:
            return reference(target)
        if name in parsed.rows:
            raise UnsupportedError("a reference to a whole row is not supported in the model's SQL")
        inside_query = node.find_ancestor(exp.Select) is not None
        if inside_query or name in bound or isinstance(node.this, exp.Star):
            return None
        return exp.Column(this=node.this, table=identifier(path_name(())))
    first = parts[0].name
    rest = [*parts[1:], node.this]
    row = parsed.rows.get(first)
    if row is not None:
        tree: exp.Expr = exp.Column(this=rest[0], table=identifier(path_name(row.path)))
        rest = rest[1:]
    elif first in parsed.references:
        tree = reference(parsed.references[first])
    elif node.find_ancestor(exp.Select) is not None or first in bound:
        return None
    else:
        tree = exp.Column(this=parts[0], table=identifier(path_name(())))
    for each in rest:
        tree = exp.Dot(this=tree, expression=each)
    return tree
