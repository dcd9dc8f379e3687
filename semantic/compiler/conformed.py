"""Views over several root cubes: from which of them each column can be had (model.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension, Measure, Segment
from semantic.model.model import MemberTarget, Model, ResolutionError
from semantic.model.relations import Conformed, View, ViewMember
from semantic.model.template import Reference

Home = ViewMember | Measure | Segment


@dataclass(frozen=True, slots=True)
class FactViews:
    """A view over several roots as a view for each of them.

    Attributes:
        views: by root, in the order of the view's entries; each has the columns that its root has
            or reaches over to-one joins.
        homes: by column, the roots that have it.
    """

    views: Mapping[str, View]
    homes: Mapping[str, tuple[str, ...]]


def is_over_several_roots(view: View) -> bool:
    """Whether the rows of more than one cube are in a view."""
    return any(entry.root != view.root for entry in view.cubes)


def fact_views(model: Model, view: View) -> FactViews:
    """Take a view over several roots apart."""
    roots = tuple(dict.fromkeys(entry.root for entry in view.cubes))
    found: dict[str, dict[str, Home]] = {
        item.name: dict(_conformed(model, view, item)) for item in view.conformed
    }
    for name, column in view.columns.items():
        found.setdefault(name, _homes(model, view, roots, column))
    views = {}
    for root in roots:
        own = [
            replace(home, name=name)
            for name, homes in found.items()
            if isinstance(home := homes.get(root), ViewMember)
        ]
        is_first = root == view.root
        views[root] = replace(
            view,
            cubes=tuple(entry for entry in view.cubes if entry.root == root),
            members=tuple(own),
            measures=view.measures if is_first else (),
            segments=view.segments if is_first else (),
            conformed=(),
        )
    homes = {
        name: tuple(root for root in roots if root in by_root) for name, by_root in found.items()
    }
    return FactViews(views, homes)


def _homes(
    model: Model, view: View, roots: tuple[str, ...], column: ViewMember | Measure | Segment
) -> dict[str, Home]:
    """A column's own root, and the others that reach the same cube by to-one joins."""
    if not isinstance(column, ViewMember):
        return {view.root: column}
    found: dict[str, Home] = {column.root: column}
    if column.kind == "measure" or not _is_to_one(model, column.root, column.join_path):
        return found
    for root in roots:
        path = None if root == column.root else _way(model, view, root, column.cube)
        if path is not None:
            found[root] = replace(column, root=root, join_path=path)
    return found


def _way(model: Model, view: View, root: str, cube: str) -> tuple[str, ...] | None:
    """The path that the view names from a root to a cube, else the only one of the model."""
    if root == cube:
        return ()
    named = {e.join_path for e in view.cubes if e.root == root and e.cube == cube}
    ways = tuple(named) or model.paths(root, cube)
    if len(ways) != 1 or not _is_to_one(model, root, ways[0]):
        return None
    return ways[0]


def _is_to_one(model: Model, root: str, path: tuple[str, ...]) -> bool:
    return all(step.join.is_to_one for step in model.walk(root, path))


def conformed_targets(model: Model, view: View, item: Conformed) -> tuple[MemberTarget, ...]:
    """The dimensions that a conformed column stands for, one for each of its roots."""
    return tuple(_target(model, view, reference) for reference in item.members)


def _conformed(model: Model, view: View, item: Conformed) -> Mapping[str, Home]:
    found: dict[str, Home] = {}
    for target in conformed_targets(model, view, item):
        found[target.root] = ViewMember(
            item.name, "dimension", target.root, target.path, target.cube, target.member.name
        )
    return found


def _target(model: Model, view: View, reference: Reference) -> MemberTarget:
    """A column of the view, or ``cube.member`` with a cube that the view has a path to."""
    first, *rest = reference.path
    column = view.columns.get(first)
    if isinstance(column, ViewMember) and not rest:
        return model.view_target(column)
    try:
        target = model.resolve(first, Reference(tuple(rest)))
    except (ResolutionError, KeyError) as error:
        raise SemanticError("XX000", f"view {view.name}: {reference} is unknown") from error
    entries = {(entry.root, entry.join_path) for entry in view.cubes if entry.cube == first}
    if not isinstance(target, MemberTarget) or not isinstance(target.member, Dimension):
        raise SemanticError("XX000", f"view {view.name}: {reference} is no dimension")
    if any(entry.root == first for entry in view.cubes):
        return target
    if len(entries) != 1:
        raise SemanticError("XX000", f"view {view.name}: {reference} is reached by several paths")
    root, path = next(iter(entries))
    return replace(target, root=root, path=path + target.path)


def check_own(view: View, member: Measure | Segment) -> None:
    """Check that a view's own measure or segment is over rows of its first root.

    Raises:
        UnsupportedError: it is made of members of several roots.
    """
    if not is_over_several_roots(view):
        return
    templates = [member.sql] if isinstance(member, Segment) else [member.sql, *member.filters]
    for template in templates:
        for reference in () if template is None else template.references:
            names = [name for name in reference.path if name not in {"CUBE", view.name}]
            column = view.columns.get(names[0]) if names else None
            if isinstance(column, ViewMember) and column.root != view.root:
                raise UnsupportedError(
                    f"{view.name}.{member.name} cannot be used: it is made of {column.name}, which "
                    f"is not reached from {view.root}",
                    hint="Compute it of the measures in the query.",
                )
            if isinstance(column, Measure | Segment) and column is not member:
                check_own(view, column)
