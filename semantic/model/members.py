"""Dimensions, measures, segments and hierarchies: the members of a cube."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from semantic.model.template import Reference, SqlTemplate
from semantic.model.types import PostgresType
from semantic.model.values import EMPTY, NOWHERE, FrozenMap, FrozenValue, Interval, Location, Scalar

MemberKind = Literal["dimension", "measure", "segment"]
DimensionType = Literal["string", "number", "boolean", "time", "geo", "switch"]
MeasureType = Literal[
    "count",
    "count_distinct",
    "count_distinct_approx",
    "sum",
    "avg",
    "min",
    "max",
    "median",
    "percentile",
    "number",
    "string",
    "time",
    "boolean",
    "rank",
    "number_agg",
]

# Measures whose sql is over other measures (or holds its own aggregates), not over a row.
CALCULATED_TYPES: frozenset[str] = frozenset(
    {"number", "string", "time", "boolean", "rank", "number_agg"}
)


@dataclass(frozen=True, slots=True)
class CaseBranch:
    """One branch of a ``case``.

    Attributes:
        condition: ``when`` as SQL; None in an else branch or with ``switch``.
        value: the value of the switch that this branch is for.
        label: a literal result.
        sql: a computed result; exactly one of label and sql is set.
    """

    condition: SqlTemplate | None = None
    value: Scalar = None
    label: str | None = None
    sql: SqlTemplate | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A CASE written as data: over conditions, or over the values of a ``switch`` dimension."""

    when: tuple[CaseBranch, ...]
    otherwise: CaseBranch | None = None
    switch: SqlTemplate | None = None


@dataclass(frozen=True, slots=True)
class Granularity:
    """A custom granularity of a time dimension.

    Periods of ``interval`` counted from ``origin``, or from the start of the year moved by
    ``offset``; or an SQL expression that truncates by itself.
    """

    name: str
    interval: Interval | None = None
    origin: str | None = None
    offset: Interval | None = None
    sql: SqlTemplate | None = None
    title: str | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Mask:
    """What stands for a masked member: SQL over the row, or a literal (None is NULL)."""

    sql: SqlTemplate | None = None
    value: Scalar = None


@dataclass(frozen=True, slots=True)
class CalendarShift:
    """A named or redefined time shift of a calendar cube's time dimension."""

    sql: SqlTemplate | None = None
    name: str | None = None
    interval: Interval | None = None
    type: Literal["prior", "next", "to_start"] | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A computed column over a row of its cube.

    Attributes:
        sql: None for ``geo`` (latitude, longitude), for ``case``, and for a ``switch`` without a
            column of its own.
        sub_query: sql is a measure of another cube, computed per row of this one.
        propagate_filters: the query's filters go into the subquery too.
        data_type: the PostgreSQL type to announce, where it is not to be probed.
        time_zone: the zone that values without one are in; UTC when None.
        order: ``asc`` or ``desc``, the order a tool should offer.
        values: the possible values of a ``switch``.
    """

    name: str
    type: DimensionType
    sql: SqlTemplate | None = None
    primary_key: bool = False
    title: str | None = None
    description: str | None = None
    public: bool = True
    format: FrozenValue = None
    currency: str | None = None
    meta: FrozenMap = EMPTY
    case: Case | None = None
    sub_query: bool = False
    propagate_filters: bool = False
    latitude: SqlTemplate | None = None
    longitude: SqlTemplate | None = None
    granularities: tuple[Granularity, ...] = ()
    mask: Mask | None = None
    order: Literal["asc", "desc"] | None = None
    links: tuple[FrozenMap, ...] = ()
    values: tuple[str, ...] = ()
    data_type: PostgresType | None = None
    time_zone: str | None = None
    synonyms: tuple[str, ...] = ()
    time_shift: tuple[CalendarShift, ...] = ()
    multi_stage: bool = False
    add_group_by: tuple[Reference, ...] = ()
    suggest_filter_values: bool | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    @property
    def kind(self) -> MemberKind:
        """Always ``dimension``."""
        return "dimension"

    def granularity(self, name: str) -> Granularity | None:
        """The custom granularity of that name."""
        return next((item for item in self.granularities if item.name == name), None)


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """A window of time that a measure is taken over.

    ``type`` fixed: from ``trailing`` before to ``leading`` after the period's ``offset``; the word
    ``unbounded`` has no bound, None is nothing on that side. ``type`` to_date: from the start of
    ``granularity`` to the point.
    """

    type: Literal["fixed", "to_date"] = "fixed"
    trailing: Interval | Literal["unbounded"] | None = None
    leading: Interval | Literal["unbounded"] | None = None
    offset: Literal["start", "end"] = "end"
    granularity: str | None = None
    time_dimension: Reference | None = None


@dataclass(frozen=True, slots=True)
class TimeShift:
    """One shift of a multi-stage measure.

    Its value ``interval`` earlier (prior), later (next), or at the start of the ``granularity``
    period (to_start). ``name`` is a shift that a calendar cube defines.
    """

    type: Literal["prior", "next", "to_start"] | None = None
    interval: Interval | None = None
    time_dimension: Reference | None = None
    granularity: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NonAdditive:
    """Semi-additive: which rows along ``dimension`` count, or how the values along it meet."""

    dimension: Reference
    choice: Literal["first", "last", "min", "max", "avg"]
    group_by: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """Base rows that were followed by a converted row of the same entity within the window."""

    base: Reference
    converted: Reference
    entity: Reference
    window: Interval | None
    calculation: Literal["count", "rate"]
    constant_properties: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """Groups of the ``spine`` dimension without rows appear, with this value."""

    value: Scalar
    spine: Reference


@dataclass(frozen=True, slots=True)
class OrderBy:
    """One key of a ranking."""

    sql: SqlTemplate
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """A value of a group of rows (rules M1 to M11).

    Attributes:
        sql: over a row, or over measures for calculated types; None is only legal for ``count``,
            ``rank``, ``case``, ``conversion`` and ``python``.
        filters: conditions over a row; all must hold.
        group_by: fixed grain: exactly these dimensions (None: not given, so the query's).
        reduce_by: the query's dimensions without these.
        add_group_by: the query's dimensions and these, aggregated away again.
        order_by: the ranking of a ``rank``.
        percentile: a fraction of 1, for type ``percentile``.
        discrete: an actual value of the rows (percentile_disc), not an interpolated one.
        approximate: an estimate is good enough.
        period_agg: what a rolling or to-date measure is, grouped coarser than a day.
        python: ``module:function`` of a registered Arrow function over the grouped result.
    """

    name: str
    type: MeasureType
    sql: SqlTemplate | None = None
    filters: tuple[SqlTemplate, ...] = ()
    title: str | None = None
    description: str | None = None
    public: bool = True
    format: FrozenValue = None
    currency: str | None = None
    meta: FrozenMap = EMPTY
    mask: Mask | None = None
    case: Case | None = None
    rolling_window: RollingWindow | None = None
    multi_stage: bool = False
    group_by: tuple[Reference, ...] | None = None
    reduce_by: tuple[Reference, ...] | None = None
    add_group_by: tuple[Reference, ...] = ()
    order_by: tuple[OrderBy, ...] = ()
    time_shift: tuple[TimeShift, ...] = ()
    drill_members: tuple[Reference, ...] = ()
    percentile: float | None = None
    discrete: bool = False
    approximate: bool = False
    non_additive: NonAdditive | None = None
    conversion: Conversion | None = None
    fill: Fill | None = None
    default_time_dimension: Reference | None = None
    period_agg: Literal["first", "last", "avg"] | None = None
    python: str | None = None
    synonyms: tuple[str, ...] = ()
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    @property
    def kind(self) -> MemberKind:
        """Always ``measure``."""
        return "measure"

    @property
    def sketch(self) -> Literal["hll", "ddsketch"] | None:
        """The summary of a group's values that its estimate is made of; None where it is exact."""
        if self.type == "count_distinct_approx":
            return "hll"
        is_percentile = self.type in {"median", "percentile"}
        return "ddsketch" if is_percentile and self.approximate and not self.discrete else None

    @property
    def is_calculated(self) -> bool:
        """Whether sql is over measures (or holds its own aggregates) rather than over a row."""
        return self.type in CALCULATED_TYPES


@dataclass(frozen=True, slots=True)
class Segment:
    """A named condition over a row, published as a boolean column."""

    name: str
    sql: SqlTemplate
    title: str | None = None
    description: str | None = None
    public: bool = True
    meta: FrozenMap = EMPTY
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    @property
    def kind(self) -> MemberKind:
        """Always ``segment``."""
        return "segment"


Member = Dimension | Measure | Segment


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Dimensions from coarse to fine, for drilling. In a view the levels are the view's columns."""

    name: str
    levels: tuple[Reference, ...]
    title: str | None = None
    public: bool = True
    location: Location = field(default=NOWHERE, compare=False, repr=False)
