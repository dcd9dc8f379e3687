"""Conditions of access policies as trees: SQL over the caller's attributes, without a database.

Nodes are values: what they mean is in ``semantic.security.caller_conditions``, how they are
written in ``semantic.model.read_condition``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.template import SqlTemplate
from semantic.model.values import Scalar

ComparisonOperator = Literal["=", "<>", "<", "<=", ">", ">="]
COMPARISONS: tuple[ComparisonOperator, ...] = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal of the condition's text."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Attribute:
    """``{ user.a.b }``: an attribute of the caller, NULL where there is none."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    test: ConditionNode


@dataclass(frozen=True, slots=True)
class Junction:
    """AND or OR of two or more."""

    operator: Literal["and", "or"]
    tests: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left = right`` and its like."""

    operator: ComparisonOperator
    left: ConditionNode
    right: ConditionNode


@dataclass(frozen=True, slots=True)
class Quantified:
    """``left = ANY (list)`` or ``ALL``; the items are the elements, lists among them laid flat.

    ``x IN (a, b)`` is ``x = ANY`` of both.
    """

    operator: ComparisonOperator
    quantifier: Literal["any", "all"]
    left: ConditionNode
    items: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """``value LIKE pattern``; ``folded`` is ILIKE."""

    value: ConditionNode
    pattern: ConditionNode
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Is:
    """``value IS NULL`` (or UNKNOWN), ``IS TRUE``, ``IS FALSE``."""

    value: ConditionNode
    what: Literal["null", "true", "false"]


@dataclass(frozen=True, slots=True)
class Distinct:
    """``left IS DISTINCT FROM right``."""

    left: ConditionNode
    right: ConditionNode


ConditionNode = (
    Constant | Attribute | Not | Junction | Comparison | Quantified | Like | Is | Distinct
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One ``if`` of an access policy: as written, and as read."""

    template: SqlTemplate
    test: ConditionNode

    def __str__(self) -> str:
        return str(self.template)
