"""What all checks share: resolving a reference with its problem noted, and the SQL of a member."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from semantic.model.members import Dimension, Measure, Member, Segment
from semantic.model.model import (
    DanglingJoinError,
    MemberTarget,
    Model,
    ResolutionError,
    RowTarget,
    Target,
)
from semantic.model.reading import Reading
from semantic.model.relations import Cube, View
from semantic.model.report import nearest
from semantic.model.template import Reference, SqlTemplate
from semantic.model.values import Location

# What SQL is over: one row, a group of rows, or (masks) whatever its member is.
Scope = Literal["row", "group"]


class Checker:
    """A model under examination."""

    def __init__(self, reading: Reading, model: Model) -> None:
        self.reading = reading
        self.model = model

    def problem(
        self, place: Location, code: str, message: str, suggestion: str | None = None
    ) -> None:
        """Note a fault."""
        self.reading.problem(place, code, message, suggestion)

    def is_broken(self, location: Location) -> bool:
        """Whether something at this place is already known to be wrong."""
        return location in self.reading.broken

    def is_incomplete(self, name: str) -> bool:
        """Whether a cube or view lacks members for a reason that was noted already."""
        return name in self.reading.incomplete

    def resolve(self, home: str, reference: Reference) -> Target | None:
        """What a reference stands for; a problem is noted when it is nothing."""
        try:
            return self.model.resolve(home, reference)
        except DanglingJoinError:
            return None
        except ResolutionError as error:
            self._unresolved(reference, error)
            return None

    def member(self, home: str, reference: Reference, what: str) -> MemberTarget | None:
        """The member that a reference stands for; a row will not do."""
        target = self.resolve(home, reference)
        if isinstance(target, RowTarget):
            message = f"{what} {reference} is a cube, not a member"
            self.problem(reference.location, "reference", message)
            return None
        return target

    def dimension(
        self, home: str, reference: Reference, what: str, *, time: bool = False
    ) -> Dimension | None:
        """The dimension that a reference stands for, of type time where that is asked for."""
        target = self.member(home, reference, what)
        if target is None:
            return None
        if not isinstance(target.member, Dimension):
            message = f"{what} {reference} is a {target.member.kind}, not a dimension"
            self.problem(reference.location, "reference", message)
            return None
        if time and target.member.type != "time":
            message = f"{what} {reference} is of type {target.member.type}, not time"
            self.problem(reference.location, "reference", message)
            return None
        return target.member

    def to_many(self, target: Target) -> str | None:
        """The first join on the way that multiplies rows."""
        if not target.path or target.root not in self.model.cubes_by_name:
            return None
        for step in self.model.walk(target.root, target.path):
            if not step.join.is_to_one:
                return step.join.name
        return None

    def _unresolved(self, reference: Reference, error: ResolutionError) -> None:
        if error.relation in self.reading.incomplete:
            return
        suggestion = nearest(error.unknown, error.candidates) if error.unknown else None
        first = reference.path[0]
        foreign = error.unknown == first and (len(reference.path) > 1 or reference.row)
        code = "unknown-cube" if foreign else "unknown-reference" if error.unknown else "join-path"
        self.problem(reference.location, code, error.message, suggestion)


def sql_of(member: Member) -> Iterator[tuple[SqlTemplate, Scope]]:
    """The pieces of SQL that a member's value is made of, and what each is over."""
    if isinstance(member, Segment):
        yield member.sql, "row"
    elif isinstance(member, Measure):
        yield from _sql_of_measure(member)
    else:
        yield from _sql_of_dimension(member)


def masks_of(member: Member) -> Iterator[SqlTemplate]:
    """The SQL that may stand for a member, which its value does not depend on."""
    if isinstance(member, Dimension | Measure) and member.mask and member.mask.sql:
        yield member.mask.sql


def _sql_of_dimension(member: Dimension) -> Iterator[tuple[SqlTemplate, Scope]]:
    over: Scope = "group" if member.sub_query or member.multi_stage else "row"
    for template in (member.sql, member.latitude, member.longitude):
        if template is not None:
            yield template, over
    for template in _sql_of_case(member):
        yield template, over
    for granularity in member.granularities:
        if granularity.sql is not None:
            yield granularity.sql, "row"
    for shift in member.time_shift:
        if shift.sql is not None:
            yield shift.sql, "row"


def _sql_of_measure(member: Measure) -> Iterator[tuple[SqlTemplate, Scope]]:
    over: Scope = "group" if member.is_calculated or member.multi_stage else "row"
    if member.sql is not None:
        yield member.sql, over
    for template in member.filters:
        yield template, "row"
    for template in _sql_of_case(member):
        yield template, "group"
    for key in member.order_by:
        yield key.sql, "group"


def _sql_of_case(member: Dimension | Measure) -> Iterator[SqlTemplate]:
    if member.case is None:
        return
    if member.case.switch is not None:
        yield member.case.switch
    branches = (*member.case.when, *((member.case.otherwise,) if member.case.otherwise else ()))
    for branch in branches:
        for template in (branch.condition, branch.sql):
            if template is not None:
                yield template


def owned_members(relation: Cube | View) -> tuple[Member, ...]:
    """The members that a cube or view defines itself."""
    if isinstance(relation, Cube):
        return (*relation.dimensions, *relation.measures, *relation.segments)
    return (*relation.measures, *relation.segments)
