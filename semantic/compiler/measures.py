"""Measures as formulas: which values of a row they need, and the aggregate over those values.

``INPUT.name`` in a formula is the input of that name. The inputs are base-row expressions, so a
measure handed up through subqueries (M9) stays computable as long as its inputs are handed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.aggregate_trees import (
    counts_duplicates,
    zero_or_one,
)
from semantic.compiler.calculations import CalculationBuilder
from semantic.compiler.expressions import tables_of
from semantic.compiler.formulas import INPUT, Formula, at_inputs, input_type
from semantic.compiler.masks import literal_mask
from semantic.compiler.measure_stages import (
    NO_ROW_VALUE,
    StageBuilder,
    needs_stages,
    refuse_unsupported,
    restricted,
)
from semantic.compiler.model_sql import (
    ModelSql,
    below,
    joins_in,
    path_of,
    unsupported,
)
from semantic.compiler.sketches import estimate, is_estimate, sketched
from semantic.compiler.stages import Leaf, is_staged
from semantic.compiler.trees import column, enclose, identifier, is_column_of
from semantic.errors import UnsupportedError
from semantic.model.members import Measure, MeasureType
from semantic.model.model import MemberTarget
from semantic.model.published import input_name
from semantic.model.relations import View
from semantic.model.template import SqlTemplate
from semantic.model.types import BOOL, TEXT, UNKNOWN, PostgresType

# Types of the members of cubes and views, by relation and name.
MemberTypes = Mapping[tuple[str, str], PostgresType]


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
        types: of the inputs of a staged measure, which have types of their own.
    """

    relation: str
    name: str
    type: MeasureType
    inputs: tuple[tuple[str, exp.Expr], ...]
    formula: exp.Expr
    row: exp.Expr
    portable: bool
    rows: tuple[MeasureRows, ...]
    types: Mapping[str, PostgresType] = field(default_factory=dict, hash=False)

    @property
    def is_staged(self) -> bool:
        """Whether it needs more than the rows of the group (M11)."""
        return is_staged(self.formula)

    @property
    def duplicates_matter(self) -> bool:
        """Whether a row counted twice changes it."""
        return any(item.duplicates_matter for item in self.rows)

    def input_type(self, published: PostgresType) -> PostgresType:
        """The type of the only input of a portable formula, from that of the measure."""
        if not self.portable or self.type.startswith("count"):
            # Nothing asks for it: the values go into the formula as they are.
            return TEXT
        return input_type(self.type, published)


class Measures:
    """The measures of a model, each made once."""

    def __init__(self, sql: ModelSql, types: MemberTypes) -> None:
        self._sql = sql
        self._types = types
        self._made: dict[tuple[str, str], Formula] = {}

    def define(
        self,
        relation: str,
        name: str,
        home: str,
        measure: Measure,
        path: tuple[str, ...] = (),
        *,
        masked: bool = False,
    ) -> MeasureDefinition:
        """The measure ``measure`` of ``home``, reached over ``path``, as ``relation.name``.

        Masked, it is its mask. Measures that it refers to are masked where any policy says so.

        Raises:
            UnsupportedError: its definition needs what the compiler cannot do yet.
        """
        own = self._mask(home, measure) if masked else self._own(home, measure, ())
        made = self._below(home, own, path)
        row = made.row
        if row is None:
            row = NO_ROW_VALUE if made.is_staged else _one_row_query(made)
        return MeasureDefinition(
            relation,
            name,
            measure.type,
            made.inputs,
            made.formula,
            row,
            not measure.is_calculated and not made.is_staged and not is_estimate(made.formula),
            tuple(self._rows(f"{relation}.{name}", made)),
            made.types if made.is_staged or masked or self._is_portable(home) else {},
        )

    def _rows(self, name: str, made: Formula) -> Iterator[MeasureRows]:
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
            rest = joins_in(path_of(node) or ())[len(path) :]
            for step in self._sql.model.walk(cube, rest):
                if not step.join.is_to_one:
                    raise UnsupportedError(
                        f"measure {name} takes values of {step.target}, which has several rows "
                        f"for one of {step.source}",
                        hint=f"Define the measure in {step.target} and refer to it.",
                    )

    def _below(self, home: str, made: Formula, path: tuple[str, ...]) -> Formula:
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
        types = {names[old].name: kind for old, kind in made.types.items()}
        return Formula(tuple(inputs), at_inputs(made.formula, names), row, homes, made.leaf, types)

    def root(self, home: str) -> str:
        """The cube whose rows a cube or view has."""
        relation = self._sql.model.relation(home)
        return relation.root if isinstance(relation, View) else home

    def _make(self, home: str, measure: Measure, above: tuple[str, ...]) -> Formula:
        """A measure as the definition of another one sees it."""
        if self._sql.is_masked(home, measure.name):
            return self._mask(home, measure)
        return self._own(home, measure, above)

    def _mask(self, home: str, measure: Measure) -> Formula:
        """The mask of a measure: the same for all rows, and so for every group of them."""
        name, kind = measure.name, self.type_of(home, measure)
        cube = self._sql.model.cubes_by_name.get(home)
        if cube is None:
            root = self._sql.model.cubes_by_name[self.root(home)]
            mask = literal_mask(measure.mask, kind, self._sql.dialect(root.data_source))
        else:
            mask = self._sql.mask(cube, measure)
        value = column(INPUT, name)
        formula = exp.LogicalAnd(this=value) if kind == BOOL else exp.Max(this=value)
        homes = {name: ((), self.root(home))}
        leaf = self._leaf(home, measure)
        return Formula(((name, mask),), formula, value, homes, leaf, {name: kind})

    def _own(self, home: str, measure: Measure, above: tuple[str, ...]) -> Formula:
        key = (home, measure.name)
        made = self._made.get(key)
        if made is None:
            if measure.name in above:
                raise UnsupportedError(f"measure {home}.{measure.name} refers to itself")
            refuse_unsupported(home, measure)
            if needs_stages(self._sql, home, measure):
                builder = StageBuilder(self._sql, self._types, self, home, measure)
                made = builder.make((*above, measure.name))
            elif measure.is_calculated:
                made = self.calculated(home, measure, (*above, measure.name))
            else:
                made = self.simple(home, measure)
            made = self._made[key] = replace(made, leaf=self._leaf(home, measure))
        return made

    def _leaf(self, home: str, measure: Measure) -> Leaf:
        kind = self.type_of(home, measure)
        return Leaf(f"{home}.{measure.name}", kind, not measure.is_calculated)

    def simple(self, home: str, measure: Measure) -> Formula:
        """A measure that aggregates one value of each row."""
        condition = self.condition(home, measure)
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
        formula = self._estimate(home, measure, input_column)
        if formula is None:
            formula = self.aggregate(measure, input_column)
        row: exp.Expr = input_column
        if measure.type.startswith("count"):
            row = zero_or_one(input_column)
        homes = {name: ((), self.root(home))}
        types = {name: self._input_type(home, measure)}
        return Formula(((name, value),), formula, row, homes, types=types)

    def _input_type(self, home: str, measure: Measure) -> PostgresType:
        """The type of the values that a measure aggregates.

        Where the warehouse does not compute as PostgreSQL does, it has to be the values' own.
        """
        counts = measure.type.startswith("count")
        if self._is_portable(home):
            known = self._types.get((home, input_name(measure.name)))
            if known is not None:
                return known
            if counts and "distinct" not in measure.type:
                return UNKNOWN
        if counts:
            return TEXT
        return input_type(measure.type, self._types.get((home, measure.name), UNKNOWN))

    def _is_portable(self, home: str) -> bool:
        root = self._sql.model.cubes_by_name[self.root(home)]
        return tables_of(self._sql.dialect(root.data_source)) is not None

    def _estimate(self, home: str, measure: Measure, value: exp.Expr) -> exp.Expr | None:
        """A measure that is declared approximate and of which rollups keep sketches."""
        cube = self._sql.model.cubes_by_name.get(home)
        place = None if cube is None else self._sql.sketches.get(cube.data_source)
        if cube is None or place is None or not sketched(cube, measure):
            return None
        dialect = self._sql.dialect(cube.data_source)
        return estimate(measure, value, dialect, place)

    def condition(self, home: str, measure: Measure) -> exp.Expr | None:
        """All filters of a measure as one condition over a row."""
        condition: exp.Expr | None = None
        for template in measure.filters:
            tree = enclose(self._sql.condition(home, template))
            condition = tree if condition is None else exp.And(this=condition, expression=tree)
        return condition

    def aggregate(self, measure: Measure, value: exp.Expr) -> exp.Expr:
        """The aggregate that a measure's type stands for."""
        match measure.type:
            case "sum":
                return exp.Sum(this=value)
            case "count":
                return exp.Count(this=value, big_int=True)
            case "count_distinct" | "count_distinct_approx":
                # Without a sketch of it an exact count is the best estimate.
                return exp.Count(this=exp.Distinct(expressions=[value]), big_int=True)
            case "avg":
                return exp.Avg(this=value)
            case "min":
                return exp.Min(this=value)
            case "max":
                return exp.Max(this=value)
            case _:
                return _percentile(measure, value)

    def calculated(self, home: str, measure: Measure, above: tuple[str, ...]) -> Formula:
        """A measure that is made of other measures, or of aggregates of its own."""
        made = CalculationBuilder(self, self._sql, home, measure, above).make()
        condition = self.condition(home, measure)
        return made if condition is None else restricted(made, measure, condition, self.root(home))

    def inner(self, home: str, measure: Measure, above: tuple[str, ...]) -> Formula:
        """A measure's own SQL over values at an inner grain (``Inner`` stages)."""
        return CalculationBuilder(self, self._sql, home, measure, above, inner=True).make()

    def staged(
        self,
        home: str,
        measure: Measure,
        above: tuple[str, ...],
        template: SqlTemplate | None = None,
    ) -> Formula:
        """A calculated measure, or another expression over measures, made of stages."""
        builder = CalculationBuilder(
            self, self._sql, home, measure, above, staged=True, template=template
        )
        return builder.make()

    def type_of(self, home: str, measure: Measure) -> PostgresType:
        """The type of a measure's value, as far as it is known."""
        return self._types.get((home, measure.name), UNKNOWN)

    def referenced(self, home: str, target: MemberTarget, above: tuple[str, ...]) -> Formula:
        """The formula of a measure that another one refers to."""
        member = target.member
        if not isinstance(member, Measure):
            raise TypeError(type(member).__name__)
        return self._below(target.cube, self._make(target.cube, member, above), target.path)


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


def _one_row_query(made: Formula) -> exp.Expr:
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
