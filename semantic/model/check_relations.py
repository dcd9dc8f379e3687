"""Joins lead somewhere, keys are there where rows multiply, views and policies name what exists."""

from __future__ import annotations

from collections.abc import Iterable

from semantic.model.check_filters import check_filter
from semantic.model.checking import Checker
from semantic.model.members import Measure
from semantic.model.policy import AccessPolicy, FilterCombination, FilterNode, MemberFilter
from semantic.model.relations import Cube, Folder, View
from semantic.model.report import nearest
from semantic.model.template import Reference, SecurityContextReference


def check_relations(checker: Checker) -> None:
    """Everything of cubes and views that is not a member."""
    for cube in checker.model.cubes:
        _joins(checker, cube)
        _primary_key(checker, cube)
        for policy in cube.access_policies:
            _policy(checker, cube, policy, cube.members)
    for view in checker.model.views:
        _view(checker, view)
        for policy in view.access_policies:
            _policy(checker, view, policy, view.columns)


def _joins(checker: Checker, cube: Cube) -> None:
    known = checker.model.cubes_by_name
    for join in cube.joins:
        if join.target not in known:
            message = f'join to unknown cube "{join.target}"'
            checker.problem(join.location, "unknown-cube", message, nearest(join.target, known))


def _primary_key(checker: Checker, cube: Cube) -> None:
    """Rule J2: where rows multiply, measures are told apart by the key."""
    many = [join for join in cube.joins if not join.is_to_one]
    if many and cube.measures and not cube.primary_key and not checker.is_incomplete(cube.name):
        message = (
            f"cube {cube.name} needs a primary key: the join {many[0].name} is one_to_many and "
            "would count its measures several times"
        )
        checker.problem(cube.location, "primary-key", message)


def _view(checker: Checker, view: View) -> None:
    if checker.is_incomplete(view.name):
        return
    for hierarchy in view.hierarchies:
        for level in hierarchy.levels:
            checker.member(view.name, level, "level")
    for item in view.conformed:
        if item.name in view.columns:
            message = f'view {view.name} has a column "{item.name}" already'
            checker.problem(item.location, "name-clash", message)
        for reference in item.members:
            _conformed(checker, view, reference)
    for folder in view.folders:
        _folder(checker, view, folder)
    for node in view.default_filters:
        _filter(checker, view, node)


def _conformed(checker: Checker, view: View, reference: Reference) -> None:
    """A column of the view, or a dimension as cube.member, be it over joins of the cube."""
    owner = checker.model.cubes_by_name.get(reference.path[0])
    if owner is not None and len(reference.path) > 1 and reference.path[0] not in view.columns:
        alone = Reference(reference.path[1:], location=reference.location)
        checker.dimension(owner.name, alone, "conformed member")
    else:
        checker.dimension(view.name, reference, "conformed member")


def _folder(checker: Checker, view: View, folder: Folder) -> None:
    known = (*view.columns, *(item.name for item in view.hierarchies))
    for name in folder.includes:
        if name != "*" and name not in known:
            message = f'folder "{folder.name}" has unknown member "{name}"'
            checker.problem(folder.location, "unknown-member", message, nearest(name, known))
    for inner in folder.folders:
        _folder(checker, view, inner)


def _policy(
    checker: Checker, relation: Cube | View, policy: AccessPolicy, members: Iterable[str]
) -> None:
    if checker.is_incomplete(relation.name):
        return
    known = tuple(members)
    for rule, key in (
        (policy.member_level, "member_level"),
        (policy.member_masking, "member_masking"),
    ):
        names = (*(rule.includes or ()), *rule.excludes) if rule is not None else ()
        for name in names:
            if name not in known:
                message = f'{key} names unknown member "{name}"'
                checker.problem(policy.location, "unknown-member", message, nearest(name, known))
    for condition in policy.conditions:
        template = condition.template
        for reference in template.references:
            message = (
                f'"{reference}" is no attribute of the caller; a condition is over '
                "{ user.attr } only"
            )
            checker.problem(reference.location, "reference", message)
        if not any(isinstance(part, SecurityContextReference) for part in template.parts):
            message = "a condition that does not look at the caller is always the same"
            checker.problem(template.location, "access-policy", message)
    for node in policy.row_level.filters if policy.row_level is not None else ():
        _filter(checker, relation, node)


def _filter(checker: Checker, relation: Cube | View, node: FilterNode) -> None:
    if isinstance(node, FilterCombination):
        for inner in node.filters:
            _filter(checker, relation, inner)
        return
    _member_filter(checker, relation, node)


def _member_filter(checker: Checker, relation: Cube | View, node: MemberFilter) -> None:
    target = checker.member(relation.name, node.member, "member")
    if target is not None and isinstance(target.member, Measure):
        message = f"a row filter cannot use the measure {node.member}"
        checker.problem(node.member.location, "scope", message)
    elif target is not None:
        join = checker.to_many(target)
        if join is not None:
            message = f"{node.member} has many values for each row: the join {join} is one_to_many"
            checker.problem(node.member.location, "fan-out", message)
        else:
            check_filter(checker, relation, node, target)
    for reference in node.unless:
        checker.member(relation.name, reference, "member")
