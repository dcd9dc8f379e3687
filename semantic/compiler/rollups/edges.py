"""Bounds of time that cut through stored periods: which periods lie whole inside, and what is left.

A period is read from the rollup where it is inside of all bounds; rows of the others are read from
the source. What a bound is compared with need not be known, so parameters may be bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.periods import Period
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.moments import Bound
from semantic.compiler.rollups.stored_query import cast, stored_time
from semantic.compiler.trees import all_of, copied, enclose
from semantic.model.types import INTERVAL, PostgresType


@dataclass(frozen=True, slots=True)
class Edges:
    """Bounds that are not starts of periods, all on one stored time."""

    key: Key
    grain: Period
    bounds: tuple[Bound, ...]

    def interior(self, stored: exp.Expr) -> exp.Expr | None:
        """The condition that a stored period is inside of all bounds."""
        return all_of([self._inside(bound, stored) for bound in self.bounds])

    def within(self, time: exp.Expr) -> exp.Expr | None:
        """The bounds themselves, for a time of the source."""
        return all_of([self._compared(bound, time, bound.value) for bound in self.bounds])

    def cut(self, time: exp.Expr) -> exp.Expr:
        """The condition that a time of the source lies in a period that a bound cuts through."""
        start = stored_time(copied(time), self.key, self.grain)
        made = [self._cut(bound, time, start) for bound in self.bounds]
        result = made[0]
        for other in made[1:]:
            result = exp.Or(this=result, expression=other)
        return exp.Paren(this=result)

    def _inside(self, bound: Bound, stored: exp.Expr) -> exp.Expr:
        if bound.operator in (">=", ">"):
            return self._compared(bound, stored, bound.value)
        end = exp.Add(this=enclose(copied(stored)), expression=self._length())
        return exp.LTE(this=exp.Paren(this=end), expression=self._value(bound))

    def _cut(self, bound: Bound, time: exp.Expr, start: exp.Expr) -> exp.Expr:
        outside = exp.Not(this=exp.Paren(this=self._inside(bound, start)))
        is_lower = bound.operator in (">=", ">")
        # Says nothing new, but in a way that an index can use.
        moved = exp.Add if is_lower else exp.Sub
        limit = exp.Paren(this=moved(this=self._value(bound), expression=self._length()))
        compared = exp.LT if is_lower else exp.GTE
        near = compared(this=copied(time), expression=limit)
        return exp.Paren(this=exp.And(this=outside, expression=near))

    def _compared(self, bound: Bound, time: exp.Expr, value: exp.Expr) -> exp.Expr:
        kinds = {">=": exp.GTE, ">": exp.GT, "<": exp.LT, "<=": exp.LTE}
        return kinds[bound.operator](this=copied(time), expression=copied(value))

    def _value(self, bound: Bound) -> exp.Expr:
        """A bound's value in a type of its own, so that an interval may be added."""
        value = copied(bound.value)
        is_literal = isinstance(value, exp.Literal)
        return cast(value, PostgresType(self.key.type.name)) if is_literal else enclose(value)

    def _length(self) -> exp.Expr:
        grain = self.grain
        text = f"{grain.months} months" if grain.months else f"{grain.microseconds} microseconds"
        return cast(exp.Literal.string(text), INTERVAL)
