"""No member, join or cube is defined by itself."""

from __future__ import annotations

from collections.abc import Iterator

from semantic.model.checking import Checker, owned_members, sql_of
from semantic.model.model import MemberTarget, ResolutionError
from semantic.model.relations import Cube, View
from semantic.model.template import CubeSql, Reference, SqlTemplate
from semantic.model.values import Location

# What depends on something: a member, a join (named with a colon) or, alone, a cube's SQL.
Point = tuple[str, str]
Edges = dict[Point, list[tuple[Point, Location]]]


def check_cycles(checker: Checker) -> None:
    """Note each cycle once, at the reference that closes it."""
    edges = _edges(checker)
    done: set[Point] = set()
    for start in edges:
        if start not in done:
            _search(checker, edges, start, done)


def _search(checker: Checker, edges: Edges, start: Point, done: set[Point]) -> None:
    """Depth first without recursion: members may be thousands deep."""
    path = [start]
    ahead = [iter(edges.get(start, ()))]
    on_path = {start}
    while path:
        step = next(ahead[-1], None)
        if step is None:
            done.add(path[-1])
            on_path.discard(path.pop())
            ahead.pop()
            continue
        point, location = step
        if point in on_path:
            cycle = [*path[path.index(point) :], point]
            shown = " -> ".join(_name(item) for item in cycle)
            checker.problem(location, "cycle", f"defined by itself: {shown}")
        elif point not in done:
            path.append(point)
            on_path.add(point)
            ahead.append(iter(edges.get(point, ())))


def _name(point: Point) -> str:
    owner, name = point
    if not name:
        return f"sql of {owner}"
    return f"join {owner}.{name[1:]}" if name.startswith(":") else f"{owner}.{name}"


def _edges(checker: Checker) -> Edges:
    edges: Edges = {}
    relations: tuple[Cube | View, ...] = (*checker.model.cubes, *checker.model.views)
    for relation in relations:
        for member in owned_members(relation):
            ahead = edges.setdefault((relation.name, member.name), [])
            for template, _ in sql_of(member):
                for reference in template.references:
                    ahead.extend(_steps(checker, relation.name, reference))
    for cube in checker.model.cubes:
        ahead = edges.setdefault((cube.name, ""), [])
        ahead.extend(_cubes_read(cube.sql))
        for join in cube.joins:
            ahead = edges.setdefault((cube.name, f":{join.name}"), [])
            for reference in join.sql.references:
                for point, location in _steps(checker, cube.name, reference):
                    # Its target's rows are what the join is about.
                    if point != (cube.name, f":{join.name}"):
                        ahead.append((point, location))
    return edges


def _steps(checker: Checker, home: str, reference: Reference) -> Iterator[tuple[Point, Location]]:
    """The joins on the way to what a reference stands for, and the member at the end."""
    try:
        target = checker.model.resolve(home, reference)
        for step in checker.model.walk(target.root, target.path) if target.path else ():
            yield (step.source, f":{step.join.name}"), reference.location
    except ResolutionError:
        return
    if isinstance(target, MemberTarget):
        yield (target.cube, target.member.name), reference.location


def _cubes_read(template: SqlTemplate | None) -> Iterator[tuple[Point, Location]]:
    for part in template.parts if template is not None else ():
        if isinstance(part, CubeSql) and template is not None:
            yield (part.cube, ""), template.location
