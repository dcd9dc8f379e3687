"""Measures that need more than the rows of a group, as formulas with stages (M11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sqlglot import exp

from semantic.compiler.aggregate_trees import filtered, is_aggregate, row_reading
from semantic.compiler.formulas import INPUT, Formula, Home
from semantic.compiler.measure_conversions import ConversionBuilder
from semantic.compiler.model_sql import ModelSql, unsupported
from semantic.compiler.no_rows import row_of_nothing
from semantic.compiler.sketches import is_estimate
from semantic.compiler.stages import Fill as FillStage
from semantic.compiler.stages import (
    Grain,
    Inner,
    Leaf,
    NoRowValue,
    Rank,
    Restriction,
    SemiAdditive,
    Shift,
    Span,
    Window,
    children_of,
    in_warehouse,
    spec_of,
    stage,
)
from semantic.compiler.trees import column, rebuild
from semantic.errors import UnsupportedError
from semantic.model.members import Dimension, Fill, Measure
from semantic.model.model import MemberTarget, ResolutionError
from semantic.model.relations import Cube
from semantic.model.template import Reference, SqlTemplate
from semantic.model.types import BOOL, UNKNOWN, PostgresType
from semantic.model.values import Interval

NO_ROW_VALUE = stage(NoRowValue())

_SECOND = 1_000_000
_SPANS = {
    "second": Span(microseconds=_SECOND),
    "minute": Span(microseconds=60 * _SECOND),
    "hour": Span(microseconds=3600 * _SECOND),
    "day": Span(days=1),
    "week": Span(days=7),
    "month": Span(months=1),
    "quarter": Span(months=3),
    "year": Span(months=12),
}


class MeasureMaker(Protocol):
    """What stages are made of: the measures of the model."""

    def simple(self, home: str, measure: Measure) -> Formula:
        """A measure that aggregates one value of each row."""

    def inner(self, home: str, measure: Measure, above: tuple[str, ...]) -> Formula:
        """A measure's own SQL over values at an inner grain."""

    def staged(
        self,
        home: str,
        measure: Measure,
        above: tuple[str, ...],
        template: SqlTemplate | None = None,
    ) -> Formula:
        """A calculated measure, or another expression over measures, made of stages."""

    def aggregate(self, measure: Measure, value: exp.Expr) -> exp.Expr:
        """The aggregate that a measure's type stands for."""

    def condition(self, home: str, measure: Measure) -> exp.Expr | None:
        """All filters of a measure as one condition over a row."""

    def root(self, home: str) -> str:
        """The cube whose rows a cube or view has."""

    def type_of(self, home: str, measure: Measure) -> PostgresType:
        """The type of a measure's value."""


def needs_stages(sql: ModelSql, home: str, measure: Measure) -> bool:
    """Whether a measure's own definition has stages."""
    aggregates = not measure.is_calculated and measure.multi_stage
    return bool(
        measure.rolling_window is not None
        or measure.time_shift
        or has_grain(measure)
        or measure.type == "rank"
        or measure.non_additive is not None
        or measure.conversion is not None
        or measure.fill is not None
        or (aggregates and _over_measures(sql, home, measure))
    )


def has_grain(measure: Measure) -> bool:
    """Whether a measure says at which grain it is computed."""
    return (
        measure.group_by is not None or measure.reduce_by is not None or bool(measure.add_group_by)
    )


def _over_measures(sql: ModelSql, home: str, measure: Measure) -> bool:
    """Whether the SQL of a measure refers to measures."""
    if measure.sql is None:
        return False
    targets = []
    for reference in measure.sql.references:
        try:
            targets.append(sql.model.resolve(home, reference))
        except ResolutionError:
            return False
    return any(isinstance(t, MemberTarget) and isinstance(t.member, Measure) for t in targets)


def refuse_unsupported(home: str, measure: Measure) -> None:
    """Refuse what no part of the compiler can do yet."""
    reasons = (
        (measure.python is not None, "Python measures"),
        (bool(measure.order_by) and measure.type != "rank", "order_by of other types than rank"),
    )
    for applies, what in reasons:
        if applies:
            raise unsupported(home, measure.name, what)


class StageBuilder:
    """Builds the formula of one measure whose definition has stages."""

    def __init__(
        self,
        sql: ModelSql,
        types: Mapping[tuple[str, str], PostgresType],
        measures: MeasureMaker,
        home: str,
        measure: Measure,
    ) -> None:
        self._sql = sql
        self._known = types
        self._measures = measures
        self._home = home
        self._measure = measure
        self._type = measures.type_of(home, measure)
        self._inputs: dict[str, exp.Expr] = {}
        self._homes: dict[str, Home] = {}
        self._types: dict[str, PostgresType] = {}

    def make(self, above: tuple[str, ...]) -> Formula:
        """The formula: from the inside, its own aggregate, its window, its shifts."""
        measure = self._measure
        tree, row = self._core(above)
        if measure.rolling_window is not None:
            tree, row = self._window(tree, row)
        for shift in measure.time_shift:
            if shift.name is not None:
                raise unsupported(self._home, measure.name, "time shifts of calendars")
            time, kind = self._time(shift.time_dimension)
            span = Span()
            if shift.interval is not None:
                span = self._span(shift.interval, shift.time_dimension)
                span = -span if shift.type == "next" else span
            unit = shift.granularity if shift.type == "to_start" else None
            # No other row is of the same group as a row by itself.
            row = row_of_nothing(tree) or NO_ROW_VALUE
            tree = stage(Shift(span, unit, kind), tree, time)
        if measure.fill is not None:
            tree = self._filled(measure.fill, tree)
        return Formula(
            tuple(self._inputs.items()), tree, row, dict(self._homes), None, dict(self._types)
        )

    def _filled(self, fill: Fill, tree: exp.Expr) -> exp.Expr:
        """A measure with a value for groups without rows."""
        spine, kind = self._dimension(fill.spine)
        target = self._target(fill.spine)
        cube = self._sql.model.cubes_by_name[target.cube]
        if not isinstance(target.member, Dimension):
            raise UnsupportedError(f"{self._home}: {fill.spine} is no dimension")
        own = self._sql.dimension(cube, target.member)
        value = None if fill.value is None else str(fill.value)
        return stage(FillStage(value, cube.name, own, kind, self._type), tree, spine)

    def _core(self, above: tuple[str, ...]) -> tuple[exp.Expr, exp.Expr | None]:
        measure = self._measure
        if measure.type == "rank":
            return self._rank(above), exp.Literal.number(1)
        if measure.conversion is not None:
            builder = ConversionBuilder(
                self._sql, self._known, self._measures.simple, self._home, measure
            )
            window = measure.conversion.window
            made = self._adopt(builder.make(None if window is None else self._span(window, None)))
            return made.formula, made.row
        grain = has_grain(measure) or (
            not measure.is_calculated and _over_measures(self._sql, self._home, measure)
        )
        if grain:
            return self._grain(above)
        if measure.is_calculated:
            made = self._adopt(self._measures.staged(self._home, measure, above))
            return self._restricted(made.formula, made.row)
        made = self._adopt(self._measures.simple(self._home, measure))
        portable = not is_estimate(made.formula)
        leaf = Leaf(f"{self._home}.{measure.name}", self._type, portable=portable)
        tree = stage(leaf, made.formula)
        if measure.non_additive is not None:
            return self._semi_additive(tree, made.row)
        return tree, made.row

    def _restricted(self, tree: exp.Expr, row: exp.Expr | None) -> tuple[exp.Expr, exp.Expr | None]:
        """A formula over measures under the measure's own filters."""
        condition = self._measures.condition(self._home, self._measure)
        if condition is None:
            return tree, row
        kept = self._input(f"{self._measure.name}:filter", condition, BOOL)
        return stage(Restriction(), tree, kept), NO_ROW_VALUE

    # Grains and ranks.

    def _grain(self, above: tuple[str, ...]) -> tuple[exp.Expr, exp.Expr | None]:
        measure = self._measure
        made = self._adopt(self._measures.inner(self._home, measure, above))
        formula, portable = made.formula, _is_portable(made.formula)
        if not portable:
            formula = in_warehouse(formula)
        aggregates = any(
            is_aggregate(node) for node in formula.walk(prune=lambda n: spec_of(n) is not None)
        )
        row = made.row
        if not measure.is_calculated:
            if aggregates:
                raise unsupported(self._home, measure.name, "aggregates of aggregates")
            formula, aggregates = self._measures.aggregate(measure, formula), True
            row = None if row is None else row_reading(self._measures.aggregate(measure, row))
        mode, dimensions = self._dimensions()
        if mode == "exactly":
            row = NO_ROW_VALUE
        spec = Grain(mode, aggregates, portable and aggregates, self._type)  # type: ignore[arg-type]
        tree = stage(spec, formula, *dimensions)
        return self._restricted(tree, row)

    def _dimensions(self) -> tuple[str, list[exp.Expr]]:
        measure = self._measure
        if measure.add_group_by and (measure.group_by or measure.reduce_by):
            raise unsupported(self._home, measure.name, "add_group_by beside other grains")
        if measure.group_by is not None:
            return "exactly", [self._dimension(item)[0] for item in measure.group_by]
        if measure.reduce_by is not None:
            return "without", [self._dimension(item)[0] for item in measure.reduce_by]
        return "with", [self._dimension(item)[0] for item in measure.add_group_by]

    def _rank(self, above: tuple[str, ...]) -> exp.Expr:
        measure = self._measure
        orders: list[exp.Expr] = []
        templates = [(item.sql, item.descending) for item in measure.order_by]
        if not templates and measure.sql is not None:
            templates = [(measure.sql, False)]
        for template, _ in templates:
            made = self._adopt(self._measures.staged(self._home, measure, above, template))
            orders.append(made.formula)
        mode, dimensions = self._dimensions() if has_grain(measure) else ("all", [])
        if mode == "with":
            raise unsupported(self._home, measure.name, "ranks with add_group_by")
        spec = Rank(tuple(down for _, down in templates), mode)  # type: ignore[arg-type]
        return stage(spec, *orders, *dimensions)

    # Time.

    def _window(self, tree: exp.Expr, row: exp.Expr | None) -> tuple[exp.Expr, exp.Expr | None]:
        window = self._measure.rolling_window
        if window is None:
            raise TypeError(self._measure.name)
        time, kind = self._time(window.time_dimension)
        bounds = [
            self._span(bound, window.time_dimension) if isinstance(bound, Interval) else bound
            for bound in (window.trailing, window.leading)
        ]
        to_date = window.granularity if window.type == "to_date" else None
        if to_date is not None and to_date not in _SPANS:
            raise unsupported(self._home, self._measure.name, "custom periods to date")
        spec = Window(
            bounds[0], bounds[1], window.offset, to_date, self._measure.period_agg or "last", kind
        )
        holds = to_date is not None or bounds[0 if window.offset == "end" else 1] is not None
        present = exp.Not(this=exp.Is(this=time, expression=exp.Null()))
        nothing = row_of_nothing(tree)
        if row is None or nothing is None:
            row = NO_ROW_VALUE
        elif not holds:
            row = nothing
        else:
            row = exp.Case(ifs=[exp.If(this=present, true=row)], default=nothing)
        return stage(spec, tree, time), row

    def _time(self, reference: Reference | None) -> tuple[exp.Expr, PostgresType]:
        """The time dimension that is meant, as an input."""
        return self._dimension(self._time_reference(reference))

    def _time_reference(self, reference: Reference | None) -> Reference:
        found = reference or self._measure.default_time_dimension
        relation = self._sql.model.relation(self._home)
        if found is None and isinstance(relation, Cube):
            found = relation.default_time_dimension
            times = relation.time_dimensions
            if found is None and len(times) == 1:
                found = Reference((times[0].name,))
        if found is None:
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name} does not say its time dimension",
                hint="Give it time_dimension, or the cube default_time_dimension.",
            )
        return found

    def _span(self, interval: Interval, reference: Reference | None) -> Span:
        total = Span()
        for count, unit in interval.parts:
            one = _SPANS.get(unit) or self._custom(unit, reference)
            total = Span(
                total.months + count * one.months,
                total.days + count * one.days,
                total.microseconds + count * one.microseconds,
            )
        return total

    def _custom(self, unit: str, reference: Reference | None) -> Span:
        """The length of a custom granularity."""
        target = self._target(self._time_reference(reference))
        member = target.member
        found = member.granularity(unit) if isinstance(member, Dimension) else None
        if (
            found is None
            or found.interval is None
            or any(own == unit for _, own in found.interval.parts)
        ):
            raise unsupported(self._home, self._measure.name, f"intervals of {unit}")
        return self._span(found.interval, reference)

    # Semi-additive measures.

    def _semi_additive(
        self, tree: exp.Expr, row: exp.Expr | None
    ) -> tuple[exp.Expr, exp.Expr | None]:
        rule, measure = self._measure.non_additive, self._measure
        if rule is None:
            raise TypeError(measure.name)
        along, _ = self._dimension(rule.dimension)
        condition = self._measures.condition(self._home, measure)
        kept: exp.Expr = exp.true()
        if condition is not None:
            kept = self._input(f"{measure.name}:filter", condition, BOOL)
        others = [self._dimension(item)[0] for item in rule.group_by]
        combine = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}.get(measure.type, "")
        if rule.choice not in {"first", "last"} and others and not combine:
            what = f"{rule.choice} of {measure.type} measures with group_by"
            raise unsupported(self._home, measure.name, what)
        spec = SemiAdditive(rule.choice, combine, self._type)
        present = exp.Not(this=exp.Is(this=along, expression=exp.Null()))
        if row is not None:
            default = exp.Literal.number(0) if measure.type.startswith("count") else None
            row = exp.Case(ifs=[exp.If(this=present, true=row)], default=default)
        return stage(spec, tree, along, kept, *others), row

    # Inputs.

    def _target(self, reference: Reference) -> MemberTarget:
        try:
            target = self._sql.model.resolve(self._home, reference)
        except ResolutionError as error:
            raise UnsupportedError(f"{self._home}: {error.message}") from error
        if not isinstance(target, MemberTarget):
            raise UnsupportedError(f"{self._home}: {reference} is no dimension")
        return target

    def _dimension(self, reference: Reference) -> tuple[exp.Expr, PostgresType]:
        """A dimension as an input, and its type."""
        target = self._target(reference)
        kind = self._known.get((target.cube, target.member.name), UNKNOWN)
        tree = self._sql.row_member(self._home, target)
        return self._input(str(reference), tree, kind), kind

    def _input(self, wanted: str, tree: exp.Expr, kind: PostgresType) -> exp.Expr:
        name = wanted
        while self._inputs.get(name, tree) != tree:
            name += ":"
        self._inputs[name] = tree
        self._homes[name] = ((), self._measures.root(self._home))
        self._types[name] = kind
        return column(INPUT, name)

    def _adopt(self, made: Formula) -> Formula:
        """Take over the inputs of what this measure is built on, whose names are its own."""
        for name, tree in made.inputs:
            if self._inputs.get(name, tree) != tree:
                raise UnsupportedError(
                    f"measure {self._home}.{self._measure.name}: two inputs are named {name}"
                )
            self._inputs[name] = tree
            self._homes[name] = made.homes[name]
            if name in made.types:
                self._types[name] = made.types[name]
        return made


def _is_portable(tree: exp.Expr) -> bool:
    """Whether an expression over inner values is nothing but one that is PostgreSQL's own."""
    if not isinstance(spec_of(tree), Inner):
        return False
    leaf = spec_of(children_of(tree)[0])
    return isinstance(leaf, Leaf) and leaf.portable


def restricted(made: Formula, measure: Measure, condition: exp.Expr, root: str) -> Formula:
    """A calculated measure over the rows that meet a condition."""
    name = f"{measure.name}:filter"
    kept = column(INPUT, name)
    inputs = (*made.inputs, (name, condition))
    homes = {**made.homes, name: ((), root)}
    types = {**made.types, name: BOOL}
    if made.is_staged:
        formula = stage(Restriction(), made.formula, kept)
        return Formula(inputs, formula, NO_ROW_VALUE, homes, made.leaf, types)
    formula = rebuild(made.formula, lambda node: filtered(node, kept))
    return Formula(inputs, formula, None, homes, made.leaf, types)
