"""Formulas of measures under construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from semantic.compiler.stages import Leaf, is_staged, stage
from semantic.compiler.trees import is_column_of, rebuild
from semantic.model.types import INT4, INT8, PostgresType

INPUT = "input:"

# The joins to a cube, and its name.
Home = tuple[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula under construction.

    Attributes:
        row: its value for one row; None where only the one-row query can say it.
        homes: the rows that each input is a value of, as the path to a cube and its name.
        leaf: what it is as a stage, where others build on it.
        types: of the inputs, as far as the formula depends on them.
    """

    inputs: tuple[tuple[str, exp.Expr], ...]
    formula: exp.Expr
    row: exp.Expr | None
    homes: Mapping[str, Home]
    leaf: Leaf | None = None
    types: Mapping[str, PostgresType] = field(default_factory=dict)

    @property
    def is_staged(self) -> bool:
        """Whether it needs more than the rows of a group."""
        return is_staged(self.formula)

    def as_stage(self) -> exp.Expr:
        """The formula as a stage, or made of stages."""
        if self.is_staged:
            return self.formula
        if self.leaf is None:
            raise TypeError("a formula without a name")
        return stage(self.leaf, self.formula)


def input_type(measure: str, kind: PostgresType) -> PostgresType:
    """The type of what a measure of a type aggregates, from the type of its value.

    Where several types lead to the measure's own (numeric is the sum of bigint and of numeric), it
    is the one that holds the others.
    """
    return INT4 if measure == "sum" and kind == INT8 else kind


def at_inputs(tree: exp.Expr, names: Mapping[str, exp.Expr]) -> exp.Expr:
    """A formula with expressions in place of its inputs."""

    def replace(node: exp.Expr) -> exp.Expr | None:
        return names[node.name] if is_column_of(node, INPUT) else None

    return rebuild(tree, replace)
