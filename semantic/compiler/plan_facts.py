"""Several facts in FROM: what a plan says of them until they are lowered to parts of their own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.plan import PlanNode, Relation


@dataclass(frozen=True, slots=True)
class Fact(PlanNode):
    """A cube with the cubes that it reaches by to-one joins.

    Attributes:
        alias: of the cube whose rows are aggregated.
        name: of that cube, for people.
        relation: its rows. Other facts may hold the same scans under the same aliases.
        shared: columns that stand for another one in each fact, and what they are here.
    """

    alias: str
    name: str
    relation: Relation
    shared: tuple[tuple[exp.Column, exp.Expr], ...] = ()

    def describe(self) -> str:
        """One stable line."""
        return f"fact {self.name} as {self.alias}"


@dataclass(frozen=True, slots=True)
class Facts(Relation):
    """Facts that are aggregated apart and joined on the dimensions they share.

    A plan with this node is not complete: ``semantic.compiler.lower`` takes it apart.
    """

    facts: tuple[Fact, ...]

    def describe(self) -> str:
        """One stable line."""
        return "facts"
