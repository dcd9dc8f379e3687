"""Calculated measures: their own SQL over other measures and over aggregates of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from sqlglot import exp

from semantic.compiler.aggregate_trees import is_aggregate, row_reading
from semantic.compiler.formulas import INPUT, Formula, Home, at_inputs
from semantic.compiler.measure_cases import case_tree, choice_row, choice_tree
from semantic.compiler.model_sql import ModelSql, path_of, unsupported
from semantic.compiler.stages import (
    Calculation,
    Choice,
    Inner,
    Leaf,
    in_warehouse,
    is_staged,
    spec_of,
    stage,
)
from semantic.compiler.trees import column, enclose, identifier, is_column_of, rebuild
from semantic.errors import UnsupportedError
from semantic.model.members import Measure
from semantic.model.model import MemberTarget
from semantic.model.template import SqlTemplate
from semantic.model.types import UNKNOWN, PostgresType


class ReferencedMeasures(Protocol):
    """The measures that a calculation refers to."""

    def referenced(self, home: str, target: MemberTarget, above: tuple[str, ...]) -> Formula:
        """The formula of a measure that another one refers to."""

    def root(self, home: str) -> str:
        """The cube whose rows a cube or view has."""

    def type_of(self, home: str, measure: Measure) -> PostgresType:
        """The type of a measure's value."""


class CalculationBuilder:
    """Builds the formula of one calculated measure."""

    def __init__(
        self,
        measures: ReferencedMeasures,
        sql: ModelSql,
        home: str,
        measure: Measure,
        above: tuple[str, ...],
        *,
        inner: bool = False,
        staged: bool = False,
        template: SqlTemplate | None = None,
    ) -> None:
        self._measures = measures
        self._sql = sql
        self._home = home
        self._measure = measure
        self._above = above
        self._inputs: dict[str, exp.Expr] = {}
        self._root: Home = ((), measures.root(home))
        self._homes: dict[str, Home] = {}
        self._types: dict[str, PostgresType] = {}
        self._rows_known = True
        self._is_inner = inner
        self._staged = inner or staged
        self._template = template or measure.sql

    def make(self) -> Formula:
        """The formula; made of stages if one of the measures is."""
        tree = self._tree()
        marks = [mark for node in tree.walk() if (mark := _mark(node)) is not None]
        self._staged = self._staged or any(is_staged(mark[0]) for mark in marks)
        formula = rebuild(tree, self._formula_node)
        row = rebuild(tree, self._row_node) if self._rows_known else None
        if not self._rows_known:
            row = None
        if self._staged and not self._is_inner and _mark(_bare(tree)) is None:
            kind = self._measures.type_of(self._home, self._measure)
            formula = stage(Calculation(kind), in_warehouse(formula))
        return Formula(tuple(self._inputs.items()), formula, row, self._homes, types=self._types)

    def _tree(self) -> exp.Expr:
        """The measure's own SQL, marks standing for the measures in it."""
        case = self._measure.case if self._template is None else None
        if case is not None and case.switch is not None:
            self._staged = True
            dimension = self._input(_bare(self._substituted(case.switch)))
            kind = self._measures.type_of(self._home, self._measure)
            return choice_tree(case, kind, dimension, self._substituted)
        if case is not None:
            return case_tree(case, self._substituted)
        template = self._template
        if template is None:
            what = f"{self._measure.type} measures without sql"
            raise unsupported(self._home, self._measure.name, what)
        return self._substituted(template)

    def _substituted(self, template: SqlTemplate) -> exp.Expr:
        parsed = self._sql.parse(self._home, template)
        return self._sql.substitute(parsed, self._reference)

    def _reference(self, target: MemberTarget) -> exp.Expr:
        """Measures become marks that the two readings fill in apart; the rest are row values."""
        if not isinstance(target.member, Measure):
            return enclose(self._sql.row_member(self._home, target))
        referenced = self._measures.referenced(self._home, target, self._above)
        made = self._adopt(referenced)
        if made.row is None:
            self._rows_known = False
        row = made.row or exp.Null()
        formula = made.formula if made.is_staged else enclose(made.formula)
        leaf = made.as_stage()
        simple = not made.is_staged and not target.member.is_calculated
        kind = exp.Literal.string(target.member.type if simple else "")
        return exp.Tuple(expressions=[identifier(INPUT), formula, enclose(row), leaf, kind])

    def _formula_node(self, node: exp.Expr) -> exp.Expr | None:
        mark = _mark(node)
        if mark is not None and self._is_inner:
            kind: PostgresType = getattr(spec_of(mark[2]), "type", UNKNOWN)
            return stage(Inner(kind), mark[2])
        if mark is not None:
            return mark[2] if self._staged else mark[0]
        if is_aggregate(node) and self._is_inner:
            return None
        if is_aggregate(node):
            made = self._over_measures(node) or self._aggregate(node)
            return stage(self._own_leaf(), made) if self._staged else made
        self._refuse_loose_column(node)
        return None

    def _own_leaf(self) -> Leaf:
        return Leaf(f"{self._home}.{self._measure.name}", UNKNOWN, portable=False)

    def _row_node(self, node: exp.Expr) -> exp.Expr | None:
        mark = _mark(node)
        if mark is not None:
            return mark[1]
        if isinstance(spec_of(node), Choice):
            return choice_row(node, lambda item: rebuild(item, self._row_node))
        if is_aggregate(node):
            reading = row_reading(self._over_measures(node) or self._aggregate(node))
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

    def _over_measures(self, node: exp.Expr) -> exp.Expr | None:
        """An aggregate around measures, by the rules for a client's (M2, M3); None for others."""
        marks = [item for item in node.walk() if _mark(item) is not None]
        if not marks:
            return None
        if len(marks) == 1 and _bare(node.this) is marks[0] and _fits(node, marks[0]):
            return _mark(marks[0])[0]  # type: ignore[index]
        for item in marks:
            if not _has_row_values(item, summed=isinstance(node, exp.Sum)):
                raise unsupported(self._home, self._measure.name, "such aggregates over measures")

        def value(item: exp.Expr) -> exp.Expr | None:
            mark = _mark(item)
            if mark is not None:
                return mark[1]
            if isinstance(item, exp.Column) and path_of(item) is not None:
                return self._input(item)
            return None

        return rebuild(node, value)

    def _aggregate_node(self, node: exp.Expr) -> exp.Expr | None:
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

    def _adopt(self, made: Formula) -> Formula:
        """Take over another formula's inputs; a name that is taken for another value changes."""
        names: dict[str, exp.Expr] = {}
        for name, tree in made.inputs:
            own, home = name, made.homes[name]
            while (self._inputs.get(own, tree), self._homes.get(own, home)) != (tree, home):
                own += ":"
            self._inputs[own] = tree
            self._homes[own] = home
            names[name] = column(INPUT, own)
            if name in made.types:
                self._types[own] = made.types[name]
        row = None if made.row is None else at_inputs(made.row, names)
        return replace(made, formula=at_inputs(made.formula, names), row=row)

    def _refuse_loose_column(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Column) and path_of(node) is not None:
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name} uses {node.name} outside an aggregate",
                hint="A calculated measure is made of measures and aggregates.",
            )


def _mark(node: exp.Expr) -> tuple[exp.Expr, exp.Expr, exp.Expr] | None:
    """The formula, the row reading and the stage of a referenced measure."""
    if isinstance(node, exp.Tuple) and len(node.expressions) == 5:
        first, formula, row, leaf, _ = node.expressions
        if isinstance(first, exp.Identifier) and first.this == INPUT:
            return formula, row, leaf
    return None


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _kind(mark: exp.Expr) -> str:
    """The type of a marked measure: ``sum`` and so on, empty for one that is not simple."""
    found = mark.expressions[4]
    return str(found.this)


def _fits(node: exp.Expr, mark: exp.Expr) -> bool:
    """Whether an aggregate right around a measure is the one that the measure is of (M2)."""
    kind = _kind(mark)
    return (
        (isinstance(node, exp.Sum) and kind in {"sum", "count"})
        or (isinstance(node, exp.Count) and kind == "count")
        or (isinstance(node, exp.Avg) and kind == "avg")
        or (isinstance(node, exp.Min) and kind == "min")
        or (isinstance(node, exp.Max) and kind == "max")
    )


def _has_row_values(mark: exp.Expr, *, summed: bool) -> bool:
    return _kind(mark) in ({"sum"} if summed else {"sum", "avg", "min", "max"})
