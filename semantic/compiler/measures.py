"""Measures as formulas: which values of a row they need, and the aggregate over those values.

``INPUT.name`` in a formula is the input of that name. The inputs are base-row expressions, so a
measure handed up through subqueries (M9) stays computable as long as its inputs are handed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import (
    counts_duplicates,
    is_aggregate,
    row_reading,
    zero_or_one,
)
from semantic.compiler.model_sql import (
    ModelSql,
    ParsedTemplate,
    below,
    path_of,
    unsupported,
)
from semantic.compiler.trees import column, enclose, identifier, is_column_of, rebuild
from semantic.errors import UnsupportedError
from semantic.model.members import Measure, MeasureType
from semantic.model.model import MemberTarget
from semantic.model.relations import View
from semantic.model.types import INT4, INT8, TEXT, PostgresType

INPUT = "input:"


@dataclass(frozen=True, slots=True)
class MeasureRows:
    """The rows that a measure, or a part of it, is aggregated over: those of one cube (J2).

    Attributes:
        path: the joins from the relation's root to the cube.
        cube: whose rows they are.
        inputs: names of the inputs that are values of these rows.
        duplicates_matter: whether a row counted twice changes the measure.
    """

    path: tuple[str, ...]
    cube: str
    inputs: frozenset[str]
    duplicates_matter: bool


@dataclass(frozen=True, slots=True)
class MeasureDefinition:
    """What a measure is, apart from where it is used.

    Attributes:
        relation: the cube or view it belongs to as a column.
        name: its name there.
        type: as declared, which decides what aggregates over it mean (M2, M3).
        inputs: values of a row by name, over base columns (paths).
        formula: the aggregate over the inputs.
        row: its value for a single row (M5), over the inputs.
        portable: the formula is a PostgreSQL expression over typed inputs, to be translated;
            otherwise it holds the model's own SQL and is in the warehouse's dialect already.
        rows: the cubes whose rows it is aggregated over, one unless it is calculated.
    """

    relation: str
    name: str
    type: MeasureType
    inputs: tuple[tuple[str, exp.Expr], ...]
    formula: exp.Expr
    row: exp.Expr
    portable: bool
    rows: tuple[MeasureRows, ...]

    @property
    def duplicates_matter(self) -> bool:
        """Whether a row counted twice changes it."""
        return any(item.duplicates_matter for item in self.rows)

    def input_type(self, published: PostgresType) -> PostgresType:
        """The type of the only input of a portable formula, from that of the measure.

        Where several types lead to the measure's own (numeric is the sum of bigint and of numeric),
        it is the one that holds the others.
        """
        if not self.portable or self.type.startswith("count"):
            # Nothing asks for it: the values go into the formula as they are.
            return TEXT
        return INT4 if self.type == "sum" and published == INT8 else published


# The joins to a cube, and its name.
Home = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class _Formula:
    """A formula under construction.

    Attributes:
        row: None where only the one-row query can say it.
        homes: the rows that each input is a value of, as the path to a cube and its name.
    """

    inputs: tuple[tuple[str, exp.Expr], ...]
    formula: exp.Expr
    row: exp.Expr | None
    homes: Mapping[str, Home]


class Measures:
    """The measures of a model, each made once."""

    def __init__(self, sql: ModelSql) -> None:
        self._sql = sql
        self._made: dict[tuple[str, str], _Formula] = {}

    def define(
        self, relation: str, name: str, home: str, measure: Measure, path: tuple[str, ...] = ()
    ) -> MeasureDefinition:
        """The measure ``measure`` of ``home``, reached over ``path``, as ``relation.name``.

        Raises:
            UnsupportedError: its definition needs what the compiler cannot do yet.
        """
        made = self._below(home, self._make(home, measure, ()), path)
        row = made.row if made.row is not None else _one_row_query(made)
        return MeasureDefinition(
            relation,
            name,
            measure.type,
            made.inputs,
            made.formula,
            row,
            not measure.is_calculated,
            tuple(self._rows(f"{relation}.{name}", made)),
        )

    def _rows(self, name: str, made: _Formula) -> Iterator[MeasureRows]:
        counted = {
            item.name
            for node in made.formula.walk()
            if counts_duplicates(node)
            for item in node.find_all(exp.Column)
            if is_column_of(item, INPUT)
        }
        for home in dict.fromkeys(made.homes.values()):
            path, cube = home
            inputs = frozenset(item for item, found in made.homes.items() if found == home)
            for item, tree in made.inputs:
                if item in inputs:
                    self._refuse_to_many(name, tree, path, cube)
            yield MeasureRows(path, cube, inputs, not counted.isdisjoint(inputs))

    def _refuse_to_many(self, name: str, tree: exp.Expr, path: tuple[str, ...], cube: str) -> None:
        """A measure takes one value of each row of its cube."""
        for node in tree.find_all(exp.Column):
            rest = (path_of(node) or ())[len(path) :]
            for step in self._sql.model.walk(cube, rest):
                if not step.join.is_to_one:
                    raise UnsupportedError(
                        f"measure {name} takes values of {step.target}, which has several rows "
                        f"for one of {step.source}",
                        hint=f"Define the measure in {step.target} and refer to it.",
                    )

    def _below(self, home: str, made: _Formula, path: tuple[str, ...]) -> _Formula:
        """A formula seen from a cube that reaches its home over ``path``.

        Where the join finds no row there is none to aggregate, whatever its values would be.
        """
        if not path:
            return made
        inputs: list[tuple[str, exp.Expr]] = []
        for name, tree in made.inputs:
            if not made.homes[name][0] and not isinstance(tree, exp.Column):
                exists = self._sql.exists(self.root(home))
                tree = exp.Case(ifs=[exp.If(this=exists, true=tree)])
            inputs.append((".".join((*path, name)), below(tree, path)))
        names: dict[str, exp.Expr] = {
            old: column(INPUT, new) for (old, _), (new, _) in zip(made.inputs, inputs, strict=True)
        }
        homes = {
            names[old].name: ((*path, *inner), cube) for old, (inner, cube) in made.homes.items()
        }
        row = None if made.row is None else at_inputs(made.row, names)
        return _Formula(tuple(inputs), at_inputs(made.formula, names), row, homes)

    def root(self, home: str) -> str:
        """The cube whose rows a cube or view has."""
        relation = self._sql.model.relation(home)
        return relation.root if isinstance(relation, View) else home

    def _make(self, home: str, measure: Measure, above: tuple[str, ...]) -> _Formula:
        key = (home, measure.name)
        made = self._made.get(key)
        if made is None:
            if measure.name in above:
                raise UnsupportedError(f"measure {home}.{measure.name} refers to itself")
            _refuse_unsupported(home, measure)
            if measure.is_calculated:
                made = self._calculated(home, measure, (*above, measure.name))
            else:
                made = self._simple(home, measure)
            self._made[key] = made
        return made

    def _simple(self, home: str, measure: Measure) -> _Formula:
        condition = self._filters(home, measure)
        if measure.sql is None:
            if measure.type != "count":
                raise unsupported(home, measure.name, f"{measure.type} measures without sql")
            value: exp.Expr = exp.Literal.number(1)
        else:
            value = self._sql.condition(home, measure.sql)
        if condition is not None:
            value = exp.Case(ifs=[exp.If(this=condition, true=value)])
        if _is_continuous(measure):
            value = exp.Cast(this=value, to=exp.DataType(this=exp.DType.DOUBLE, nested=False))
        name = measure.name
        input_column = column(INPUT, name)
        formula = self._aggregate(measure, input_column)
        row: exp.Expr = input_column
        if measure.type.startswith("count"):
            row = zero_or_one(input_column)
        return _Formula(((name, value),), formula, row, {name: ((), self.root(home))})

    def _filters(self, home: str, measure: Measure) -> exp.Expr | None:
        condition: exp.Expr | None = None
        for template in measure.filters:
            tree = enclose(self._sql.condition(home, template))
            condition = tree if condition is None else exp.And(this=condition, expression=tree)
        return condition

    def _aggregate(self, measure: Measure, value: exp.Expr) -> exp.Expr:
        match measure.type:
            case "sum":
                return exp.Sum(this=value)
            case "count":
                return exp.Count(this=value, big_int=True)
            case "count_distinct" | "count_distinct_approx":
                # An exact count is a legitimate estimate, and the same on every warehouse.
                return exp.Count(this=exp.Distinct(expressions=[value]), big_int=True)
            case "avg":
                return exp.Avg(this=value)
            case "min":
                return exp.Min(this=value)
            case "max":
                return exp.Max(this=value)
            case _:
                return _percentile(measure, value)

    def _calculated(self, home: str, measure: Measure, above: tuple[str, ...]) -> _Formula:
        if measure.sql is None:
            raise unsupported(home, measure.name, f"{measure.type} measures without sql")
        if measure.filters:
            raise unsupported(home, measure.name, "filters on calculated measures")
        return _Calculation(self, self._sql, home, measure, above).make()

    def referenced(self, home: str, target: MemberTarget, above: tuple[str, ...]) -> _Formula:
        """The formula of a measure that another one refers to."""
        member = target.member
        if not isinstance(member, Measure):
            raise TypeError(type(member).__name__)
        return self._below(target.cube, self._make(target.cube, member, above), target.path)


class _Calculation:
    """Builds the formula of one calculated measure."""

    def __init__(
        self, measures: Measures, sql: ModelSql, home: str, measure: Measure, above: tuple[str, ...]
    ) -> None:
        self._measures = measures
        self._sql = sql
        self._home = home
        self._measure = measure
        self._above = above
        self._inputs: dict[str, exp.Expr] = {}
        self._root: Home = ((), measures.root(home))
        self._homes: dict[str, Home] = {}
        self._rows_known = True

    def make(self) -> _Formula:
        template = self._measure.sql
        if template is None:
            raise TypeError("a calculated measure has sql")
        parsed = self._sql.parse(self._home, template)
        tree = self._sql.substitute(parsed, lambda target: self._reference(parsed, target))
        formula = rebuild(tree, self._formula_node)
        row = rebuild(tree, self._row_node) if self._rows_known else None
        if not self._rows_known:
            row = None
        return _Formula(tuple(self._inputs.items()), formula, row, self._homes)

    def _reference(self, parsed: ParsedTemplate, target: MemberTarget) -> exp.Expr:
        """Measures become marks that the two readings fill in apart; the rest are row values."""
        if not isinstance(target.member, Measure):
            return enclose(self._sql.row_member(self._home, target))
        made = self._adopt(self._measures.referenced(self._home, target, self._above))
        if made.row is None:
            self._rows_known = False
        row = made.row or exp.Null()
        return exp.Tuple(expressions=[identifier(INPUT), enclose(made.formula), enclose(row)])

    def _formula_node(self, node: exp.Expr) -> exp.Expr | None:
        mark = _mark(node)
        if mark is not None:
            return mark[0]
        if is_aggregate(node):
            return self._aggregate(node)
        self._refuse_loose_column(node)
        return None

    def _row_node(self, node: exp.Expr) -> exp.Expr | None:
        mark = _mark(node)
        if mark is not None:
            return mark[1]
        if is_aggregate(node):
            reading = row_reading(self._aggregate(node))
            if reading is None:
                self._rows_known = False
                return exp.Null()
            return reading
        return None

    def _aggregate(self, node: exp.Expr) -> exp.Expr:
        """An aggregate of the model's own SQL, its base columns turned into inputs."""
        made = rebuild(node, self._aggregate_node)
        if not any(is_column_of(item, INPUT) for item in made.find_all(exp.Column)):
            # It is over the rows all the same: those that an outer join adds are none of them.
            simple = made.find(exp.Sum, exp.Avg, exp.Count, exp.Min, exp.Max)
            if simple is None or isinstance(simple.this, exp.Distinct):
                raise unsupported(self._home, self._measure.name, "aggregates without columns")
            absent = exp.Is(this=self._input(exp.Literal.number(1)), expression=exp.Null())
            branch = exp.If(this=exp.Not(this=absent), true=simple.this)
            simple.set("this", exp.Case(ifs=[branch]))
        return made

    def _aggregate_node(self, node: exp.Expr) -> exp.Expr | None:
        if _mark(node) is not None:
            raise unsupported(self._home, self._measure.name, "aggregates over measures")
        if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            return exp.Count(this=self._input(exp.Literal.number(1)), big_int=True)
        if isinstance(node, exp.Column) and path_of(node) is not None:
            return self._input(node)
        return None

    def _input(self, tree: exp.Expr) -> exp.Column:
        for name, known in self._inputs.items():
            if known == tree and self._homes[name] == self._root:
                return column(INPUT, name)
        name = f"{self._measure.name}:{len(self._inputs) + 1}"
        while name in self._inputs:
            name += ":"
        self._inputs[name] = tree
        self._homes[name] = self._root
        return column(INPUT, name)

    def _adopt(self, made: _Formula) -> _Formula:
        """Take over another formula's inputs; a name that is taken for another value changes."""
        names: dict[str, exp.Expr] = {}
        for name, tree in made.inputs:
            own, home = name, made.homes[name]
            while (self._inputs.get(own, tree), self._homes.get(own, home)) != (tree, home):
                own += ":"
            self._inputs[own] = tree
            self._homes[own] = home
            names[name] = column(INPUT, own)
        row = None if made.row is None else at_inputs(made.row, names)
        return replace(made, formula=at_inputs(made.formula, names), row=row)

    def _refuse_loose_column(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Column) and path_of(node) is not None:
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name} uses {node.name} outside an aggregate",
                hint="A calculated measure is made of measures and aggregates.",
            )


def at_inputs(tree: exp.Expr, names: Mapping[str, exp.Expr]) -> exp.Expr:
    """A formula with expressions in place of its inputs."""

    def replace(node: exp.Expr) -> exp.Expr | None:
        return names[node.name] if is_column_of(node, INPUT) else None

    return rebuild(tree, replace)


def _mark(node: exp.Expr) -> tuple[exp.Expr, exp.Expr] | None:
    """The formula and the row reading of a referenced measure."""
    if isinstance(node, exp.Tuple) and len(node.expressions) == 3:
        first, formula, row = node.expressions
        if isinstance(first, exp.Identifier) and first.this == INPUT:
            return formula, row
    return None


def _refuse_unsupported(home: str, measure: Measure) -> None:
    reasons = (
        (measure.rolling_window is not None, "rolling windows"),
        (measure.multi_stage, "multi-stage measures"),
        (bool(measure.time_shift), "time shifts"),
        (measure.group_by is not None or measure.reduce_by is not None, "fixed grains"),
        (bool(measure.add_group_by), "fixed grains"),
        (measure.type == "rank" or bool(measure.order_by), "ranks"),
        (measure.non_additive is not None, "semi-additive measures"),
        (measure.conversion is not None, "conversions"),
        (measure.fill is not None, "filled measures"),
        (measure.case is not None, "case measures"),
        (measure.python is not None, "Python measures"),
    )
    for applies, what in reasons:
        if applies:
            raise unsupported(home, measure.name, what)


def _percentile(measure: Measure, value: exp.Expr) -> exp.Expr:
    fraction = 0.5 if measure.type == "median" else measure.percentile
    if fraction is None:
        raise UnsupportedError(f"measure {measure.name} has no percentile")
    argument = exp.Literal.number(repr(fraction))
    order = exp.Order(expressions=[exp.Ordered(this=value, nulls_first=False)])
    if measure.discrete:
        return exp.WithinGroup(this=exp.PercentileDisc(this=argument), expression=order)
    return exp.WithinGroup(this=exp.PercentileCont(this=argument), expression=order)


def _is_continuous(measure: Measure) -> bool:
    """Whether a measure interpolates between values, which PostgreSQL does in double precision."""
    return measure.type == "median" or (measure.type == "percentile" and not measure.discrete)


def _one_row_query(made: _Formula) -> exp.Expr:
    """A measure of one row as a scalar subquery that aggregates just that row."""
    names = {name: column("one", name) for name, _ in made.inputs}
    values = [
        exp.Alias(this=column(INPUT, name), alias=identifier(name)) for name, _ in made.inputs
    ]
    rows = exp.Subquery(
        this=exp.Select(expressions=values), alias=exp.TableAlias(this=identifier("one"))
    )
    return exp.Subquery(
        this=exp.Select(
            expressions=[at_inputs(made.formula, dict(names))], from_=exp.From(this=rows)
        )
    )
