"""The whole model: frozen, indexed, and able to say what every reference in it stands for."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from semantic.model.members import Dimension, Member
from semantic.model.relations import Cube, Join, View, ViewMember
from semantic.model.template import Reference
from semantic.model.values import STANDARD_UNITS


@dataclass(frozen=True, slots=True)
class JoinStep:
    """One join of a path: from the cube ``source`` over ``join`` to the cube ``target``."""

    source: str
    join: Join
    target: str


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A reference to a row: the cube at the end of ``path``, joined from ``root``.

    Attributes:
        root: the cube the path starts from.
        path: names of joins; empty for the root's own row.
        cube: the cube the path ends at.
    """

    root: str
    path: tuple[str, ...]
    cube: str


@dataclass(frozen=True, slots=True)
class MemberTarget:
    """A reference to a member.

    Attributes:
        root: the cube the path starts from.
        path: names of joins; empty for the root itself.
        cube: the cube (or, for a view's own measure or segment, the view) that holds the member.
        member: the member.
        granularity: for a time dimension, the standard or custom granularity that was asked for.
    """

    root: str
    path: tuple[str, ...]
    cube: str
    member: Member
    granularity: str | None = None


Target = RowTarget | MemberTarget


class ResolutionError(LookupError):
    """A reference that stands for nothing, or for several things.

    Attributes:
        message: one line.
        unknown: the name that was not found, None when the fault is another.
        candidates: names that would have been possible at that point.
        relation: the cube or view that was looked into.
    """

    def __init__(
        self,
        message: str,
        unknown: str | None = None,
        candidates: tuple[str, ...] = (),
        relation: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.unknown = unknown
        self.candidates = candidates
        self.relation = relation


class DanglingJoinError(ResolutionError):
    """The path goes over a join to a cube that does not exist: the join's fault, not the path's."""


@dataclass(frozen=True, slots=True)
class Model:
    """Cubes and views of one folder.

    Attributes:
        cubes: in order of name.
        views: in order of name.
    """

    cubes: tuple[Cube, ...]
    views: tuple[View, ...] = ()
    _version: str = field(init=False, compare=False, repr=False)
    _cubes: Mapping[str, Cube] = field(init=False, compare=False, repr=False)
    _views: Mapping[str, View] = field(init=False, compare=False, repr=False)
    # Ways between cubes, kept once they were looked for.
    _paths: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = field(
        init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "cubes", tuple(sorted(self.cubes, key=lambda item: item.name)))
        object.__setattr__(self, "views", tuple(sorted(self.views, key=lambda item: item.name)))
        object.__setattr__(self, "_cubes", {c.name: c for c in self.cubes})
        object.__setattr__(self, "_views", {v.name: v for v in self.views})
        object.__setattr__(self, "_paths", {})
        object.__setattr__(self, "_version", "")

    @property
    def version(self) -> str:
        """Hash of the content; layout of files, comments and order of cubes do not enter."""
        if not self._version:
            object.__setattr__(self, "_version", content_hash((self.cubes, self.views)))
        return self._version

    @property
    def cubes_by_name(self) -> Mapping[str, Cube]:
        """Cubes by name."""
        return self._cubes

    @property
    def views_by_name(self) -> Mapping[str, View]:
        """Views by name."""
        return self._views

    def relation(self, name: str) -> Cube | View | None:
        """The cube or view of that exact name."""
        return self._cubes.get(name) or self._views.get(name)

    def walk(self, root: str, path: tuple[str, ...]) -> tuple[JoinStep, ...]:
        """The joins that a path of join names goes through.

        Raises:
            ResolutionError: a name is not a join of the cube reached so far.
        """
        steps: list[JoinStep] = []
        cube = self._cubes[root]
        for name in path:
            join = self._join(cube, name)
            steps.append(JoinStep(cube.name, join, join.target))
            cube = self._target(join)
        return tuple(steps)

    def paths(self, source: str, target: str) -> tuple[tuple[str, ...], ...]:
        """Ways from one cube to another along the declared joins, as names of joins.

        The first is a shortest one. There are others exactly if the way is ambiguous (rule J4);
        then for each join of the first a shortest way around it follows, where there is one.
        """
        found = self._paths.get((source, target))
        if found is None:
            first = self._shortest(source, target, None)
            ways = [] if first is None else [first]
            for step in self.walk(source, first or ()):
                other = self._shortest(source, target, step)
                if other is not None and other not in ways:
                    ways.append(other)
            found = self._paths[source, target] = tuple(ways)
        return found

    def resolve(self, home: str, reference: Reference) -> Target:
        """What a reference in a member or join of the cube or view ``home`` stands for.

        Raises:
            ResolutionError: nothing, or several things.
        """
        view = self._views.get(home)
        if view is not None and home not in self._cubes:
            return self._resolve_in_view(view, reference)
        return self._resolve_in_cube(self._cubes[home], reference)

    def view_target(self, member: ViewMember) -> MemberTarget:
        """The cube member behind a view's column."""
        found = self._cubes[member.cube].members[member.member]
        return MemberTarget(member.root, member.join_path, member.cube, found)

    def _resolve_in_cube(self, home: Cube, reference: Reference) -> Target:
        names = list(reference.path)
        cube, path = home, list[str]()
        if names[0] == "CUBE" or (names[0] == home.name and home.name not in home.members):
            names.pop(0)
        while names and not _means_member(cube, names, row=reference.row):
            steps = self._first_steps(cube, names[0])
            if steps is None:
                break
            path.extend(join.name for join in steps)
            cube = self._target(steps[-1]) if steps else cube
            names.pop(0)
        if not names:
            return RowTarget(home.name, tuple(path), cube.name)
        member = cube.members.get(names[0])
        if member is None:
            raise _unknown_member(cube, names[0], self._possible_names(cube, home, path))
        granularity = _granularity(member, names[1:], cube.name)
        return MemberTarget(home.name, tuple(path), cube.name, member, granularity)

    def _first_steps(self, cube: Cube, name: str) -> tuple[Join, ...] | None:
        """The joins that ``name`` stands for, seen from ``cube``; None: it is no join or cube."""
        if name in cube.joins_by_name:
            return (cube.joins_by_name[name],)
        if name == cube.name:
            return ()
        if name not in self._cubes:
            return None
        ways = self.paths(cube.name, name)
        if not ways:
            raise ResolutionError(f"cube {cube.name} has no join path to cube {name}")
        if len(ways) > 1:
            listed = ", ".join(".".join(way) for way in ways)
            raise ResolutionError(f"{name} is reached from {cube.name} by several paths: {listed}")
        return tuple(step.join for step in self.walk(cube.name, ways[0]))

    def _target(self, join: Join) -> Cube:
        cube = self._cubes.get(join.target)
        if cube is None:
            raise DanglingJoinError(f"join {join.name} goes to unknown cube {join.target}")
        return cube

    def _join(self, cube: Cube, name: str) -> Join:
        join = cube.joins_by_name.get(name)
        if join is not None:
            return join
        aliased = [item for item in cube.joins if item.target == name]
        if len(aliased) == 1:
            return aliased[0]
        if aliased:
            listed = ", ".join(item.name for item in aliased)
            raise ResolutionError(f"{name} is joined to {cube.name} several times: {listed}")
        known = tuple(cube.joins_by_name)
        raise ResolutionError(f'cube {cube.name} has no join "{name}"', name, known, cube.name)

    def _resolve_in_view(self, view: View, reference: Reference) -> Target:
        names = list(reference.path)
        if names[0] in {"CUBE", view.name} and len(names) > 1:
            names.pop(0)
        column = view.columns.get(names[0])
        if column is None and names[0] in {"CUBE", view.name}:
            raise ResolutionError("the members of a view are over its columns, not over rows")
        if column is None:
            raise ResolutionError(
                f'view {view.name} has no member "{names[0]}"',
                names[0],
                tuple(view.columns),
                view.name,
            )
        if isinstance(column, ViewMember):
            target = self.view_target(column)
            granularity = _granularity(target.member, names[1:], view.name)
            return MemberTarget(target.root, target.path, target.cube, target.member, granularity)
        _granularity(column, names[1:], view.name)
        return MemberTarget(view.name, (), view.name, column)

    def _possible_names(self, cube: Cube, home: Cube, path: list[str]) -> tuple[str, ...]:
        others = () if path or cube is not home else tuple(self._cubes)
        return (*cube.members, *cube.joins_by_name, *others)

    def _shortest(
        self, source: str, target: str, avoided: JoinStep | None
    ) -> tuple[str, ...] | None:
        """A shortest way that does not use one join."""
        seen = {source}
        waiting: deque[tuple[str, tuple[str, ...]]] = deque([(source, ())])
        while waiting:
            name, path = waiting.popleft()
            for join in self._cubes[name].joins:
                if join.target in seen or join.target not in self._cubes:
                    continue
                if avoided and avoided.source == name and avoided.join.name == join.name:
                    continue
                if join.target == target:
                    return (*path, join.name)
                seen.add(join.target)
                waiting.append((join.target, (*path, join.name)))
        return None


def _means_member(cube: Cube, names: list[str], *, row: bool) -> bool:
    """Whether the first name is a member of the cube, not a join (``origin`` may be both).

    More names, or a dot after the braces, choose the join.
    """
    if names[0] not in cube.members:
        return False
    return not ((row or len(names) > 1) and names[0] in cube.joins_by_name)


def _unknown_member(cube: Cube, name: str, candidates: tuple[str, ...]) -> ResolutionError:
    return ResolutionError(f'cube {cube.name} has no member "{name}"', name, candidates, cube.name)


def _granularity(member: Member, rest: list[str], relation: str) -> str | None:
    if not rest:
        return None
    if not isinstance(member, Dimension) or member.type != "time":
        raise ResolutionError(f'{relation}.{member.name} has no part "{".".join(rest)}"')
    known = (*STANDARD_UNITS, *(item.name for item in member.granularities))
    if len(rest) > 1 or rest[0] not in known:
        raise ResolutionError(
            f'{relation}.{member.name} has no granularity "{".".join(rest)}"', rest[0], known
        )
    return rest[0]


def content_hash(value: object) -> str:
    """A stable hash of frozen dataclasses, tuples and scalars: 32 hexadecimal digits.

    Fields that do not take part in comparison (places in files, indexes) are not in the
    representation of a value either, so they do not enter.
    """
    return hashlib.sha256(repr(value).encode()).hexdigest()[:32]
