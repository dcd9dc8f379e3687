"""Which relations and columns exist for a caller: the published model without what is hidden.

What is not in the result is nowhere to be seen: the catalog is made from it, names are bound
against it, hints are looked for in it.
"""

from __future__ import annotations

from dataclasses import replace

from semantic.model.model import MemberTarget, Model, ResolutionError
from semantic.model.published import PublishedForeignKey, PublishedModel, PublishedRelation
from semantic.model.relations import View, ViewMember
from semantic.model.template import Reference
from semantic.security.access import Access, RelationAccess, fingerprint_of
from semantic.security.conditions import ALL_ROWS


def restricted(model: Model, published: PublishedModel, access: Access) -> PublishedModel:
    """What a caller is shown of a model.

    Args:
        model: the model.
        published: all of it that is public.
        access: what the caller may see.

    Returns:
        ``published`` itself where nothing of it is hidden.
    """
    if access.is_open:
        return published
    columns = {
        relation.name: _visible_columns(model, relation, access) for relation in published.relations
    }
    if all(len(columns[item.name]) == len(item.columns) for item in published.relations):
        return published
    kept = tuple(
        _restricted(relation, columns) for relation in published.relations if columns[relation.name]
    )
    return replace(published, relations=kept)


def hides_nothing(model: Model, access: Access) -> bool:
    """Whether a caller may see every member, row and value there is."""
    if access.attributes or access.filters:
        return False
    return all(_is_whole(model, governed) for governed in access.relations.values())


def hidden_names(model: Model, published: PublishedModel) -> frozenset[str]:
    """Names of the model, in lower case, that nothing has which a caller is shown."""
    names: set[str] = set()
    for cube in model.cubes:
        names |= {cube.name, *cube.members, *(join.name for join in cube.joins)}
    for view in model.views:
        names |= {view.name, *view.columns, *(item.name for item in view.conformed)}
    for relation in published.relations:
        names -= {relation.name, *(column.name for column in relation.columns)}
    return frozenset(name.lower() for name in names)


def profile_of(published: PublishedModel) -> str:
    """The visibility profile: equal for callers who are shown the same relations and columns."""
    if published.system_tables:
        return fingerprint_of((published.relations, "system tables"))
    return fingerprint_of(published.relations)


def _is_whole(model: Model, governed: RelationAccess) -> bool:
    cube = model.cubes_by_name.get(governed.relation)
    names = model.views_by_name[governed.relation].columns if cube is None else cube.members
    return any(grant.rows == ALL_ROWS and grant.full >= names.keys() for grant in governed.grants)


def _visible_columns(model: Model, relation: PublishedRelation, access: Access) -> frozenset[str]:
    """The columns that exist; a granularity's where its time dimension's does."""
    members = {
        column.granularity[0] if column.granularity else column.name for column in relation.columns
    }
    governed = access.of(relation.name)
    if governed is not None:
        members &= governed.members
    view = model.views_by_name.get(relation.name)
    if view is not None:
        members = {name for name in members if _is_given_by_cubes(model, view, name, access)}
    return frozenset(
        column.name
        for column in relation.columns
        if (column.granularity[0] if column.granularity else column.name) in members
    )


def _is_given_by_cubes(model: Model, view: View, name: str, access: Access) -> bool:
    """Whether the cubes that a view's column comes from give the members that it shows.

    A measure or segment of the view's own is the view's to give.
    """
    for item in view.conformed:
        if item.name == name:
            return all(_gives(model, view, reference, access) for reference in item.members)
    column = view.columns.get(name)
    return not isinstance(column, ViewMember) or _exists(column.cube, column.member, access)


def _gives(model: Model, view: View, reference: Reference, access: Access) -> bool:
    """Whether one of the dimensions that a conformed column stands for exists."""
    first, *rest = reference.path
    if not rest:
        return _is_given_by_cubes(model, view, first, access)
    try:
        target = model.resolve(first, Reference(tuple(rest)))
    except (ResolutionError, KeyError):
        return False
    return isinstance(target, MemberTarget) and _exists(target.cube, target.member.name, access)


def _exists(cube: str, member: str, access: Access) -> bool:
    governed = access.of(cube)
    return governed is None or member in governed.members


def _restricted(
    relation: PublishedRelation, columns: dict[str, frozenset[str]]
) -> PublishedRelation:
    visible = columns[relation.name]
    key = relation.primary_key
    return replace(
        relation,
        columns=tuple(column for column in relation.columns if column.name in visible),
        primary_key=key if visible.issuperset(key) else (),
        foreign_keys=tuple(
            foreign for foreign in relation.foreign_keys if _is_visible(foreign, visible, columns)
        ),
    )


def _is_visible(
    foreign: PublishedForeignKey, own: frozenset[str], columns: dict[str, frozenset[str]]
) -> bool:
    target = columns.get(foreign.target, frozenset())
    return own.issuperset(foreign.columns) and target.issuperset(foreign.target_columns)
