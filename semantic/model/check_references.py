"""Every reference stands for something that may stand where it does."""

from __future__ import annotations

from semantic.model.checking import Checker, Scope, masks_of, owned_members, sql_of
from semantic.model.members import Dimension, Measure, Member
from semantic.model.model import MemberTarget, RowTarget
from semantic.model.relations import Cube, Join, View
from semantic.model.report import nearest
from semantic.model.template import (
    CubeSql,
    FilterGroup,
    FilterParameter,
    Reference,
    SqlTemplate,
)
from semantic.model.values import Location


def check_references(checker: Checker) -> None:
    """References in the SQL of cubes, joins and members, and in lists of references."""
    for cube in checker.model.cubes:
        for template in (cube.sql_table, cube.sql):
            if template is not None:
                _source(checker, cube, template)
        for join in cube.joins:
            _join(checker, cube, join)
    relations: tuple[Cube | View, ...] = (*checker.model.cubes, *checker.model.views)
    for relation in relations:
        for member in owned_members(relation):
            for template, scope in sql_of(member):
                _template(checker, relation.name, member, template, scope)
            for template in masks_of(member):
                _plain_template(checker, relation.name, template)
            if isinstance(member, Measure):
                _measure_lists(checker, relation.name, member)


def _source(checker: Checker, cube: Cube, template: SqlTemplate) -> None:
    """A cube's own SQL comes before any row, so members and rows mean nothing in it."""
    for reference in template.references:
        message = f'"{reference}" has no meaning in the SQL of a cube; write {{cube.sql()}}'
        checker.problem(reference.location, "reference", message)
    _hooks(checker, template)


def _hooks(checker: Checker, template: SqlTemplate) -> None:
    """FILTER_PARAMS and {cube.sql()}."""
    for part in template.parts:
        if isinstance(part, CubeSql) and part.cube not in checker.model.cubes_by_name:
            suggestion = nearest(part.cube, checker.model.cubes_by_name)
            message = f'unknown cube "{part.cube}"'
            checker.problem(part.location, "unknown-cube", message, suggestion)
        elif isinstance(part, FilterParameter):
            _filter_parameter(checker, part.location, part)
        elif isinstance(part, FilterGroup):
            for parameter in part.parameters:
                _filter_parameter(checker, part.location, parameter)


def _filter_parameter(checker: Checker, place: Location, part: FilterParameter) -> None:
    relation = checker.model.relation(part.cube)
    if relation is None:
        known = (*checker.model.cubes_by_name, *checker.model.views_by_name)
        message = f'FILTER_PARAMS names unknown cube "{part.cube}"'
        checker.problem(place, "unknown-cube", message, nearest(part.cube, known))
        return
    members = relation.members if isinstance(relation, Cube) else relation.columns
    if part.member not in members and not checker.is_incomplete(part.cube):
        message = f'FILTER_PARAMS names unknown member "{part.cube}.{part.member}"'
        suggestion = nearest(part.member, members)
        checker.problem(place, "unknown-reference", message, suggestion)


def _join(checker: Checker, cube: Cube, join: Join) -> None:
    """A join's condition is over its two sides, and mentions both."""
    unusable = join.target not in checker.model.cubes_by_name or join.name == cube.name
    if unusable or checker.is_broken(join.location):
        return
    sides: set[bool] = set()
    failed = False
    for reference in join.sql.references:
        target = checker.resolve(cube.name, reference)
        if target is None:
            failed = True
            continue
        sides.add(bool(target.path))
        if target.path not in {(), (join.name,)}:
            message = f"{reference} is neither {cube.name} nor {join.name}, the sides of the join"
            checker.problem(reference.location, "join", message)
        elif isinstance(target, MemberTarget) and not isinstance(target.member, Dimension):
            message = f"a join cannot use the {target.member.kind} {reference}"
            checker.problem(reference.location, "join", message)
    _hooks(checker, join.sql)
    for side, name in ((False, "CUBE"), (True, join.name)):
        if side not in sides and not failed:
            message = f"the condition of the join does not mention {{{name}}}"
            checker.problem(join.sql.location, "join", message)
    if join.valid is not None:
        for template in (join.valid.start, join.valid.end, join.valid.at):
            _plain_template(checker, cube.name, template)


def _plain_template(checker: Checker, home: str, template: SqlTemplate) -> None:
    """References that only have to exist."""
    for reference in template.references:
        checker.resolve(home, reference)
    _hooks(checker, template)


def _template(
    checker: Checker, home: str, member: Member, template: SqlTemplate, scope: Scope
) -> None:
    _hooks(checker, template)
    for reference in template.references:
        target = checker.resolve(home, reference)
        if target is None:
            continue
        measure = isinstance(target, MemberTarget) and isinstance(target.member, Measure)
        if measure and scope == "row":
            message = (
                f'{member.kind} "{member.name}" is over single rows and cannot use the measure '
                f"{reference}"
            )
            if isinstance(member, Dimension):
                message += " (sub_query: true computes it per row)"
            checker.problem(reference.location, "scope", message)
        elif not measure and not (isinstance(member, Dimension) and member.sub_query):
            _check_fan_out(checker, member, reference, target)


def _check_fan_out(
    checker: Checker, member: Member, reference: Reference, target: RowTarget | MemberTarget
) -> None:
    """Rows of another cube are reached over joins that have one row for each of ours."""
    join = checker.to_many(target)
    if join is not None:
        message = f"{reference} has many rows for each row: the join {join} is one_to_many"
        if isinstance(member, Dimension):
            message += " (a sub_query dimension over a measure may cross it)"
        checker.problem(reference.location, "fan-out", message)


def _measure_lists(checker: Checker, home: str, measure: Measure) -> None:
    for reference in measure.drill_members:
        checker.member(home, reference, "drill member")
    lists = (
        ("group_by", measure.group_by or ()),
        ("reduce_by", measure.reduce_by or ()),
        ("add_group_by", measure.add_group_by),
    )
    for key, references in lists:
        for reference in references:
            checker.dimension(home, reference, key)
    for shift in measure.time_shift:
        if shift.time_dimension is not None:
            checker.dimension(home, shift.time_dimension, "time_dimension", time=True)
    window = measure.rolling_window
    if window is not None and window.time_dimension is not None:
        checker.dimension(home, window.time_dimension, "time_dimension", time=True)
    if measure.default_time_dimension is not None:
        reference = measure.default_time_dimension
        checker.dimension(home, reference, "default_time_dimension", time=True)
    if measure.non_additive is not None:
        for reference in (measure.non_additive.dimension, *measure.non_additive.group_by):
            checker.dimension(home, reference, "non_additive dimension")
    if measure.fill is not None:
        checker.dimension(home, measure.fill.spine, "spine")
    if measure.conversion is not None:
        _conversion(checker, home, measure)


def _conversion(checker: Checker, home: str, measure: Measure) -> None:
    conversion = measure.conversion
    assert conversion is not None
    for key, reference in (("base", conversion.base), ("converted", conversion.converted)):
        # The two cubes need no join between them: the entity links their rows.
        owner = checker.model.relation(reference.path[0]) if len(reference.path) == 2 else None
        if isinstance(owner, Cube):
            alone = Reference(reference.path[1:], location=reference.location)
            target = checker.member(owner.name, alone, key)
        else:
            target = checker.member(home, reference, key)
        if target is not None and not isinstance(target.member, Measure):
            message = f"{key} {reference} is a {target.member.kind}, not a measure"
            checker.problem(reference.location, "reference", message)
    for reference in (conversion.entity, *conversion.constant_properties):
        checker.dimension(home, reference, "conversion dimension")
