"""Stages: parts of a measure's formula that have an evaluation context of their own (M11).

A staged measure's formula is a tree like any other, in which a *stage* stands for a value that
cannot be computed over the rows of the group alone: last year's, a total's, a rank. A stage is a
call ``stage(child, ...)`` that carries its description, so that whatever moves formulas about (the
handing up through subqueries, the merging of subqueries) moves stages too. The lowering
(``semantic.compiler.lower``) turns them into queries; none is left in a plan that is emitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.plan import PlanNode
from semantic.compiler.trees import rebuild
from semantic.model.types import PostgresType

_NAME = "stage"


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time as PostgreSQL counts it: whole months, days, and microseconds."""

    months: int = 0
    days: int = 0
    microseconds: int = 0

    def __neg__(self) -> Span:
        return Span(-self.months, -self.days, -self.microseconds)

    @property
    def text(self) -> str:
        """The text of an interval."""
        parts = (
            (self.months, "months"),
            (self.days, "days"),
            (self.microseconds, "microseconds"),
        )
        return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 days"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A measure that is computed over rows. Child: its formula.

    Attributes:
        name: ``relation.measure``, for people.
        type: of its value.
        portable: the formula is a PostgreSQL expression, not in the warehouse's dialect.
    """

    name: str
    type: PostgresType
    portable: bool


@dataclass(frozen=True, slots=True)
class Calculation:
    """An expression of the warehouse's dialect over other stages. Child: the expression."""

    type: PostgresType


@dataclass(frozen=True, slots=True)
class Restriction:
    """Only some rows count. Children: what is restricted, and the condition."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The value at another time. Children: whose value, and the time dimension.

    Attributes:
        span: how much later the rows are taken to be (negative for a look ahead).
        to_start: instead, the value at the start of this period.
        time_type: of the time dimension.
    """

    span: Span
    to_start: str | None
    time_type: PostgresType


@dataclass(frozen=True, slots=True)
class Window:
    """The value over a window of time. Children: whose value, and the time dimension.

    Attributes:
        trailing: how far the window reaches back from the point; ``unbounded``; None: not at all.
        leading: how far it reaches ahead.
        offset: whether the point is the start or the end of the group's period.
        to_date: instead, the window is from the start of this period to the point.
        period_agg: which point of a period that is longer than a day.
    """

    trailing: Span | Literal["unbounded"] | None
    leading: Span | Literal["unbounded"] | None
    offset: Literal["start", "end"]
    to_date: str | None
    period_agg: Literal["first", "last", "avg"]
    time_type: PostgresType


@dataclass(frozen=True, slots=True)
class Grain:
    """Values at a grain of their own, aggregated to the group's.

    Children: the aggregate over ``Inner`` stages, then the dimensions.

    Attributes:
        mode: the grain is exactly the dimensions, the group's keys without them, or with them.
        aggregates: whether the first child aggregates; a plain expression needs a grain no finer
            than the group's.
        type: of the value.
    """

    mode: Literal["exactly", "without", "with"]
    aggregates: bool
    portable: bool
    type: PostgresType


@dataclass(frozen=True, slots=True)
class Inner:
    """A value at the inner grain of a ``Grain``. Child: whose."""

    type: PostgresType


@dataclass(frozen=True, slots=True)
class Rank:
    """The place among groups. Children: ``len(descending)`` values to sort by, the dimensions.

    Attributes:
        mode: groups are ranked apart for each value of the dimensions, or of all keys but them;
            all together where the mode is ``all``.
    """

    descending: tuple[bool, ...]
    mode: Literal["exactly", "without", "all"]


@dataclass(frozen=True, slots=True)
class SemiAdditive:
    """Rows along a dimension do not add up.

    Children: a leaf, the dimension, the measure's own filter (TRUE for none), further dimensions.

    Attributes:
        choice: the rows at the first or last value, or how the values meet.
        combine: the aggregate over the further dimensions' values, for min, max and avg.
        type: of the value.
    """

    choice: Literal["first", "last", "min", "max", "avg"]
    combine: str
    type: PostgresType
    portable: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several measures by a dimension's value.

    Children: the dimension, one value for each of ``values``, and the default (NULL for none).

    Attributes:
        dimension: its name, for people.
        values: of the dimension.
        type: of the measure.
    """

    dimension: str
    values: tuple[str, ...]
    type: PostgresType


@dataclass(frozen=True, slots=True)
class Events:
    """Rows of a cube that are counted as events, as trees over base rows.

    Attributes:
        condition: which rows are events.
        key: what tells the rows apart.
        properties: what has to be equal beside the entity.
    """

    cube: str
    condition: exp.Expr
    time: exp.Expr
    entity: exp.Expr
    key: tuple[exp.Expr, ...]
    properties: tuple[exp.Expr, ...]
    types: tuple[PostgresType, ...]


@dataclass(frozen=True, slots=True)
class EventScan:
    """A scan of events, with the names of its columns."""

    scan: PlanNode
    condition: str
    time: str
    entity: str
    key: tuple[str, ...]
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """Base rows that were followed by a converted row.

    Children: the count of the base rows (a ``Leaf``), the condition that a row is a base row, and
    the key of a row.

    Attributes:
        window: how long after a base row a converted row may come.
        rate: the part of all base rows, instead of their number.
        scans: of the base and converted events, once the relation is in a plan.
    """

    window: Span | None
    rate: bool
    base: Events
    converted: Events
    scans: tuple[EventScan, EventScan] | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A value for groups of a spine that have no rows. Children: the measure, and the spine.

    Attributes:
        value: of a group without rows, as text; None for NULL.
        cube: whose dimension the spine is.
        tree: the spine over the cube's base rows.
        spine_type: of the spine.
        type: of the measure.
        scan: of the spine, once the relation is in a plan, and its column.
    """

    value: str | None
    cube: str
    tree: exp.Expr
    spine_type: PostgresType
    type: PostgresType
    scan: PlanNode | None = None
    column: str = ""


@dataclass(frozen=True, slots=True)
class NoRowValue:
    """Stands for what a single row has no value of (M5)."""


Spec = (
    NoRowValue | Leaf | Calculation | Restriction | Shift | Window | Grain | Inner | Rank
    | SemiAdditive | Choice | Conversion | Fill
)  # fmt: skip


def stage(spec: Spec, *children: exp.Expr) -> exp.Expr:
    """A stage as a node of a formula."""
    return exp.Anonymous(this=_NAME, expressions=list(children), spec=spec)


def spec_of(node: exp.Expr) -> Spec | None:
    """What a stage is; None for any other node."""
    if isinstance(node, exp.Anonymous) and node.args["this"] == _NAME:
        found: Spec | None = node.args.get("spec")
        return found
    return None


def children_of(node: exp.Expr) -> list[exp.Expr]:
    """The children of a stage."""
    return list(node.args["expressions"])


def stages_in(node: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost stages of a tree."""
    if spec_of(node) is not None:
        yield node
        return
    for child in node.iter_expressions():
        yield from stages_in(child)


def is_staged(node: exp.Expr) -> bool:
    """Whether a formula holds a stage."""
    return next(stages_in(node), None) is not None


def in_warehouse(tree: exp.Expr) -> exp.Expr:
    """Stages whose values are the warehouse's own, for an expression in the warehouse's dialect.

    A portable value may travel in another form than the warehouse's, as exact numbers do.
    """
    if not is_staged(tree):
        return tree

    def own(node: exp.Expr) -> exp.Expr | None:
        spec = spec_of(node)
        if spec is None:
            return None
        if isinstance(spec, Leaf | Grain | SemiAdditive):
            spec = replace(spec, portable=False)
        return stage(spec, *(rebuild(child, own) for child in children_of(node)))

    return rebuild(tree, own)
