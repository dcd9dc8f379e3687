"""Cubes, the joins between them, and views over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from semantic.model.members import Dimension, Hierarchy, Measure, Member, MemberKind, Segment
from semantic.model.policy import AccessPolicy, FilterNode
from semantic.model.preaggregation import PreAggregation
from semantic.model.template import Reference, SqlTemplate
from semantic.model.values import (
    EMPTY,
    NOWHERE,
    FrozenMap,
    FrozenValue,
    Location,
    ModelTest,
    RefreshKey,
)

Relationship = Literal["one_to_one", "one_to_many", "many_to_one"]


@dataclass(frozen=True, slots=True)
class Validity:
    """A slowly changing join target.

    A row of it holds from ``start`` up to ``end``; ``at`` is the time on this side that picks one.
    """

    start: SqlTemplate
    end: SqlTemplate
    at: SqlTemplate


@dataclass(frozen=True, slots=True)
class Join:
    """A directed join of a cube to another.

    Attributes:
        target: the cube that is joined.
        alias: the name under which it is joined, where the target is joined several times.
        type: ``inner`` drops rows of this cube that find no partner; rule R2 makes it explicit.
    """

    target: str
    relationship: Relationship
    sql: SqlTemplate
    alias: str | None = None
    type: Literal["left", "inner"] = "left"
    valid: Validity | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What the join is called in join paths and references: its alias, else its target."""
        return self.alias or self.target

    @property
    def is_to_one(self) -> bool:
        """Whether a row of this cube has at most one partner, so that joining adds no rows."""
        return self.relationship != "one_to_many"


@dataclass(frozen=True, slots=True)
class Cube:
    """A relation of base rows with its members (rule R1). ``extends`` is already resolved.

    Attributes:
        sql_table: the table's name as SQL; exactly one of sql_table and sql is set.
        sql: the query whose rows are the base rows.
        data_source: the model's name of the warehouse.
        extends: the cube this one was made from; its members are merged in.
        calendar: a table of days that time shifts may go through.
        sql_alias: a short name for what is stored for this cube.
    """

    name: str
    sql_table: SqlTemplate | None = None
    sql: SqlTemplate | None = None
    data_source: str = "default"
    title: str | None = None
    description: str | None = None
    public: bool = True
    extends: str | None = None
    meta: FrozenMap = EMPTY
    refresh_key: RefreshKey | None = None
    calendar: bool = False
    sql_alias: str | None = None
    joins: tuple[Join, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    measures: tuple[Measure, ...] = ()
    segments: tuple[Segment, ...] = ()
    hierarchies: tuple[Hierarchy, ...] = ()
    pre_aggregations: tuple[PreAggregation, ...] = ()
    access_policies: tuple[AccessPolicy, ...] = ()
    tests: tuple[ModelTest, ...] = ()
    default_time_dimension: Reference | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)
    _members: Mapping[str, Member] = field(init=False, compare=False, repr=False)
    _joins: Mapping[str, Join] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        members: dict[str, Member] = {}
        listed: tuple[tuple[Member, ...], ...] = (self.dimensions, self.measures, self.segments)
        for group in listed:
            for member in group:
                members.setdefault(member.name, member)
        joins: dict[str, Join] = {}
        for join in self.joins:
            joins.setdefault(join.name, join)
        object.__setattr__(self, "_members", members)
        object.__setattr__(self, "_joins", joins)

    @property
    def members(self) -> Mapping[str, Member]:
        """All members by name, in the order of rule R3: dimensions, measures, segments."""
        return self._members

    @property
    def joins_by_name(self) -> Mapping[str, Join]:
        """Joins by alias, else by target."""
        return self._joins

    @property
    def primary_key(self) -> tuple[Dimension, ...]:
        """The dimensions that tell one row from another; empty where none is declared."""
        return tuple(item for item in self.dimensions if item.primary_key)

    @property
    def time_dimensions(self) -> tuple[Dimension, ...]:
        """Dimensions of type time."""
        return tuple(item for item in self.dimensions if item.type == "time")


@dataclass(frozen=True, slots=True)
class ViewMember:
    """A member of a cube as a column of a view.

    Attributes:
        name: the column's name in the view.
        kind: of the member it stands for.
        root: the cube that the join path starts from (a view over several facts has several).
        join_path: names of the joins from the root to the cube; empty for the root itself.
        cube: the cube the path ends at.
        member: the member's name there.
        title: the member's, or what the view says instead; likewise the next four.
    """

    name: str
    kind: MemberKind
    root: str
    join_path: tuple[str, ...]
    cube: str
    member: str
    title: str | None = None
    description: str | None = None
    format: FrozenValue = None
    meta: FrozenMap = EMPTY
    public: bool = True
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ViewCube:
    """One ``cubes`` entry of a view: where its members come from.

    Attributes:
        root: the first cube of the path as written.
        join_path: names of the joins that follow.
        cube: the cube the path ends at.
        alias: stands for the cube's name in prefixes.
    """

    root: str
    join_path: tuple[str, ...]
    cube: str
    alias: str | None = None
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conformed:
    """One column for the same dimension of several facts.

    ``members`` are names of view columns or ``cube.member`` paths.
    """

    name: str
    members: tuple[Reference, ...]
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """A named group of columns, for tools that show trees; ``*`` in ``includes`` is all of them."""

    name: str
    includes: tuple[str, ...] = ()
    folders: tuple[Folder, ...] = ()
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """A relation of a root cube's rows with members reached over joins as columns (rule R2).

    Attributes:
        cubes: the entries the members come from; the first one's root is the view's root.
        members: includes, excludes, prefixes and aliases expanded; hidden members are left out.
        measures: the view's own measures, over its columns.
        segments: the view's own segments, over its columns.
        hierarchies: those of the cubes whose levels are all columns here.
    """

    name: str
    cubes: tuple[ViewCube, ...]
    members: tuple[ViewMember, ...] = ()
    measures: tuple[Measure, ...] = ()
    segments: tuple[Segment, ...] = ()
    hierarchies: tuple[Hierarchy, ...] = ()
    conformed: tuple[Conformed, ...] = ()
    folders: tuple[Folder, ...] = ()
    default_filters: tuple[FilterNode, ...] = ()
    access_policies: tuple[AccessPolicy, ...] = ()
    title: str | None = None
    description: str | None = None
    public: bool = True
    extends: str | None = None
    meta: FrozenMap = EMPTY
    tests: tuple[ModelTest, ...] = ()
    location: Location = field(default=NOWHERE, compare=False, repr=False)
    _columns: Mapping[str, ViewMember | Measure | Segment] = field(
        init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        columns: dict[str, ViewMember | Measure | Segment] = {}
        listed: tuple[tuple[ViewMember | Measure | Segment, ...], ...] = (
            self.members,
            self.measures,
            self.segments,
        )
        for kind in ("dimension", "measure", "segment"):
            for group in listed:
                for column in group:
                    if column.kind == kind:
                        columns.setdefault(column.name, column)
        object.__setattr__(self, "_columns", columns)

    @property
    def root(self) -> str:
        """The cube whose rows the view's rows are."""
        return self.cubes[0].root

    @property
    def columns(self) -> Mapping[str, ViewMember | Measure | Segment]:
        """Included and own members by name, in the order of rule R3."""
        return self._columns
