"""Readers of views, and the expansion of what they include."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semantic.model.members import Hierarchy
from semantic.model.model import Model, ResolutionError
from semantic.model.read_members import measure, named, segment
from semantic.model.read_policy import access_policy, filter_node
from semantic.model.read_tests import model_test
from semantic.model.reading import (
    MAX_NAME_BYTES,
    Reader,
    Reading,
    boolean,
    frozen,
    frozen_map,
    listing,
    name,
    reference,
    text,
)
from semantic.model.relations import Conformed, Cube, Folder, View, ViewCube, ViewMember
from semantic.model.report import nearest
from semantic.model.template import Reference
from semantic.model.tree import ListNode, Node, ScalarNode
from semantic.model.values import EMPTY, FrozenMap, FrozenValue, Location


@dataclass(frozen=True, slots=True)
class Include:
    """One item of ``includes``."""

    name: str
    location: Location
    alias: str | None = None
    title: str | None = None
    description: str | None = None
    format: FrozenValue = None
    meta: FrozenMap | None = None


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """One item of a view's ``cubes`` as written; ``includes`` None is everything."""

    join_path: Reference
    location: Location
    includes: tuple[Include, ...] | None = None
    excludes: tuple[Include, ...] = ()
    prefix: bool = False
    alias: str | None = None


def _include(reading: Reading, node: Node) -> Include | None:
    if isinstance(node, ScalarNode):
        return Include(node.text, node.location)
    keys: dict[str, Reader[Any]] = {
        "alias": name,
        "title": text,
        "description": text,
        "format": frozen,
        "meta": frozen_map,
    }
    values = named(reading, node, "include", keys)
    return None if values is None else Include(**values)


_includes = listing(_include, "includes")


def _all_or_includes(reading: Reading, node: Node) -> tuple[tuple[Include, ...] | None] | None:
    if isinstance(node, ScalarNode) and node.text == "*":
        return (None,)
    if not isinstance(node, ListNode):
        reading.problem(node, "type", 'includes must be "*" or a list')
        return None
    return (_includes(reading, node) or (),)


def _entry(reading: Reading, node: Node) -> ViewEntry | None:
    keys: dict[str, Reader[Any]] = {
        "join_path": reference,
        "includes": _all_or_includes,
        "excludes": _includes,
        "prefix": boolean,
        "alias": name,
    }
    values = reading.mapping(node, "cubes entry", keys, ("join_path", "includes"))
    if values is None or not values.keys() >= {"join_path", "includes"}:
        return None
    (values["includes"],) = values["includes"]
    return ViewEntry(location=values["join_path"].location, **values)


def _conformed(reading: Reading, node: Node) -> Conformed | None:
    keys: dict[str, Reader[Any]] = {"members": listing(reference, "members")}
    values = named(reading, node, "conformed dimension", keys, ("members",))
    return None if values is None else Conformed(**{"members": (), **values})


@dataclass(frozen=True, slots=True)
class _FolderItem:
    """A name or a folder inside a folder."""

    name: str | None = None
    folder: Folder | None = None


def _folder_item(reading: Reading, node: Node) -> _FolderItem | None:
    if isinstance(node, ScalarNode):
        return _FolderItem(name=node.text)
    found = _folder(reading, node)
    return None if found is None else _FolderItem(folder=found)


def _folder_items(reading: Reading, node: Node) -> tuple[_FolderItem, ...] | None:
    if isinstance(node, ScalarNode) and node.text == "*":
        return (_FolderItem(name="*"),)
    return listing(_folder_item, "includes")(reading, node)


def _folder(reading: Reading, node: Node) -> Folder | None:
    # The name of a folder is free text.
    keys: dict[str, Reader[Any]] = {"name": text, "includes": _folder_items, "join_path": text}
    values = reading.mapping(node, "folder", keys, ("name", "includes"))
    if values is None or "name" not in values:
        return None
    items = values.get("includes", ())
    names = tuple(item.name for item in items if item.name is not None)
    folders = tuple(item.folder for item in items if item.folder is not None)
    return Folder(values["name"], names, folders, node.location)


VIEW_KEYS: dict[str, Reader[Any]] = {
    "title": text,
    "description": text,
    "public": boolean,
    "shown": boolean,
    "extends": reference,
    "meta": frozen_map,
    "cubes": listing(_entry, "cubes"),
    "measures": listing(measure, "measures"),
    "segments": listing(segment, "segments"),
    "conformed": listing(_conformed, "conformed"),
    "folders": listing(_folder, "folders"),
    "default_filters": listing(filter_node, "default_filters"),
    "access_policy": listing(access_policy, "access_policy"),
    "tests": listing(model_test, "tests"),
}


def view(reading: Reading, node: Node, model: Model) -> View | None:
    """A view; ``extends`` must have been merged into the node before.

    Args:
        reading: takes the problems.
        node: the view's mapping.
        model: the cubes.
    """
    values = named(reading, node, "view", VIEW_KEYS, ("cubes",))
    if values is None:
        return None
    entries: tuple[ViewEntry, ...] = values.pop("cubes", ())
    before = len(reading.problems)
    expansion = _Expansion(reading, model, values["name"])
    for entry in entries:
        expansion.add(entry)
    if len(reading.problems) > before:
        reading.incomplete.add(values["name"])
    if not expansion.cubes:
        if not entries and values["location"] not in reading.broken:
            reading.problem(values["location"], "missing-key", "a view needs at least one cube")
        return None
    parent = values.pop("extends", None)
    return View(
        cubes=tuple(expansion.cubes),
        members=tuple(expansion.members.values()),
        hierarchies=tuple(expansion.hierarchies.values()),
        extends=None if parent is None else str(parent),
        access_policies=values.pop("access_policy", ()),
        **values,
    )


class _Expansion:
    """Collects the columns of one view."""

    def __init__(self, reading: Reading, model: Model, view_name: str) -> None:
        self.reading = reading
        self.model = model
        self.view_name = view_name
        self.cubes: list[ViewCube] = []
        self.members: dict[str, ViewMember] = {}
        self.hierarchies: dict[str, Hierarchy] = {}

    def add(self, entry: ViewEntry) -> None:
        """Expand one entry."""
        found = self._walk(entry)
        if found is None:
            return
        root, path, cube = found
        self.cubes.append(ViewCube(root, path, cube.name, entry.alias, entry.location))
        excluded = {item.name for item in entry.excludes}
        for item in (*entry.excludes, *(entry.includes or ())):
            self._check_known(cube, item)
        columns: dict[str, str] = {}
        for item in self._included(entry, cube):
            member = cube.members.get(item.name)
            if member is None or item.name in excluded:
                continue
            column = item.alias or self._prefixed(entry, item.name)
            columns.setdefault(item.name, column)
            meta = item.meta if item.meta is not None else member.meta
            self._add_member(
                ViewMember(
                    name=column,
                    kind=member.kind,
                    root=root,
                    join_path=path,
                    cube=cube.name,
                    member=member.name,
                    title=item.title or member.title,
                    description=item.description or member.description,
                    format=item.format or getattr(member, "format", None),
                    meta=meta or EMPTY,
                    location=item.location,
                )
            )
        self._add_hierarchies(entry, cube, columns, excluded)

    def _walk(self, entry: ViewEntry) -> tuple[str, tuple[str, ...], Cube] | None:
        """The root, the join names and the last cube of the entry's path."""
        root, *names = entry.join_path.path
        cubes = self.model.cubes_by_name
        if root not in cubes:
            message = f'join path starts from unknown cube "{root}"'
            self.reading.problem(entry.location, "unknown-cube", message, nearest(root, cubes))
            return None
        try:
            steps = self.model.walk(root, tuple(names))
        except ResolutionError as error:
            suggestion = nearest(error.unknown or "", error.candidates)
            self.reading.problem(entry.location, "join-path", error.message, suggestion)
            return None
        last = steps[-1].target if steps else root
        return root, tuple(step.join.name for step in steps), cubes[last]

    def _check_known(self, cube: Cube, item: Include) -> None:
        known = (*cube.members, *(hierarchy.name for hierarchy in cube.hierarchies))
        if item.name not in known:
            message = f'cube {cube.name} has no member "{item.name}"'
            suggestion = nearest(item.name, known)
            self.reading.problem(item.location, "unknown-member", message, suggestion)

    def _included(self, entry: ViewEntry, cube: Cube) -> tuple[Include, ...]:
        if entry.includes is not None:
            return entry.includes
        return tuple(
            Include(member.name, entry.location)
            for member in cube.members.values()
            if member.public
        )

    def _prefixed(self, entry: ViewEntry, member: str) -> str:
        return f"{entry.alias or entry.join_path.path[-1]}_{member}" if entry.prefix else member

    def _add_member(self, member: ViewMember) -> None:
        earlier = self.members.get(member.name)
        if earlier is not None:
            first, second = f"{earlier.cube}.{earlier.member}", f"{member.cube}.{member.member}"
            message = (
                f'view {self.view_name} has two members "{member.name}": {first} and {second}'
                ' (give one an alias, or "prefix")'
            )
            self.reading.problem(member.location, "name-clash", message)
        elif len(member.name) > MAX_NAME_BYTES:
            message = f'name "{member.name}" is longer than PostgreSQL\'s {MAX_NAME_BYTES} bytes'
            self.reading.problem(member.location, "name", message)
        else:
            self.members[member.name] = member

    def _add_hierarchies(
        self, entry: ViewEntry, cube: Cube, columns: dict[str, str], excluded: set[str]
    ) -> None:
        for hierarchy in cube.hierarchies:
            own = all(len(level.path) == 1 for level in hierarchy.levels)
            names = [str(level) for level in hierarchy.levels]
            if hierarchy.name in excluded or not own or not all(item in columns for item in names):
                continue
            column = self._prefixed(entry, hierarchy.name)
            levels = tuple(Reference((columns[item],), location=entry.location) for item in names)
            if column not in self.hierarchies:
                self.hierarchies[column] = Hierarchy(
                    column, levels, hierarchy.title, hierarchy.public, entry.location
                )
