"""Names are those of PostgreSQL's columns and relations, and clash with none."""

from __future__ import annotations

from collections.abc import Iterable

from semantic.model.checking import Checker
from semantic.model.members import Dimension, Hierarchy, Measure, Segment
from semantic.model.reading import MAX_NAME_BYTES
from semantic.model.relations import Cube, View, ViewMember
from semantic.model.values import Location

# Columns that every table of PostgreSQL has, and the two that rule R3 adds.
SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})
ADDED_COLUMNS = frozenset({"__user", "__cubeJoinField"})
# PostgreSQL's MaxHeapAttributeNumber, less the added ones.
MAX_COLUMNS = 1600 - len(ADDED_COLUMNS)

Column = Dimension | Measure | Segment | ViewMember


def check_names(checker: Checker) -> None:
    """Names of relations, columns, joins, hierarchies and pre-aggregations."""
    relations: tuple[Cube | View, ...] = (*checker.model.cubes, *checker.model.views)
    for relation in relations:
        if relation.name.lower().startswith("pg_"):
            message = f'"{relation.name}": names with pg_ are PostgreSQL\'s own'
            checker.problem(relation.location, "name", message)
        _columns(checker, relation)
        _distinct(checker, "hierarchy", _hierarchies(relation))
    for cube in checker.model.cubes:
        _joins(checker, cube)
        rollups = ((item.name, item.location) for item in cube.pre_aggregations)
        _distinct(checker, "pre-aggregation", rollups)


def _columns(checker: Checker, relation: Cube | View) -> None:
    listed: list[Column] = []
    if isinstance(relation, Cube):
        listed += [*relation.dimensions, *relation.measures, *relation.segments]
    else:
        listed += [*relation.members, *relation.measures, *relation.segments]
    names = {item.name for item in listed}
    if isinstance(relation, View):
        names.update(item.name for item in relation.conformed)
    _distinct(checker, "member", ((item.name, item.location) for item in listed))
    for item in listed:
        if item.name in SYSTEM_COLUMNS:
            message = f'"{item.name}" is a system column of every table of PostgreSQL'
            checker.problem(item.location, "name", message)
        elif item.name in ADDED_COLUMNS:
            message = f'"{item.name}" is a column that every cube has'
            checker.problem(item.location, "name", message)
        if isinstance(item, Dimension):
            _granularities(checker, item, names)
        elif isinstance(item, ViewMember) and item.public:
            _periods(checker, item, names)
    if len(listed) > MAX_COLUMNS:
        message = f"{len(listed)} members: a relation has at most {MAX_COLUMNS} columns"
        checker.problem(relation.location, "name", message)


def _granularities(checker: Checker, dimension: Dimension, names: set[str]) -> None:
    """A custom granularity is a column of its own (rule T2)."""
    items = dimension.granularities
    _distinct(checker, "granularity", ((item.name, item.location) for item in items))
    for item in items:
        column = f"{dimension.name}_{item.name}"
        if column in names:
            message = f'the column of this granularity, "{column}", is also a member'
            checker.problem(item.location, "name-clash", message)
        elif len(column) > MAX_NAME_BYTES:
            message = f'its column "{column}" is longer than PostgreSQL\'s {MAX_NAME_BYTES} bytes'
            checker.problem(item.location, "name", message)


def _periods(checker: Checker, item: ViewMember, names: set[str]) -> None:
    """As above, of a dimension that a view includes: there it may have another name."""
    dimension = checker.model.cubes_by_name[item.cube].members.get(item.member)
    if not isinstance(dimension, Dimension):
        return
    for granularity in dimension.granularities:
        column = f"{item.name}_{granularity.name}"
        whose = f'the column of the granularity "{granularity.name}" of {item.name}, "{column}",'
        if column in names:
            message = f"{whose} is also a member (give one an alias)"
            checker.problem(item.location, "name-clash", message)
        elif len(column.encode()) > MAX_NAME_BYTES:
            message = f"{whose} is longer than PostgreSQL's {MAX_NAME_BYTES} bytes"
            checker.problem(item.location, "name", message)


def _joins(checker: Checker, cube: Cube) -> None:
    seen: dict[str, Location] = {}
    for join in cube.joins:
        if join.name in seen:
            message = (
                f"cube {cube.name} has two joins {join.name} (first in line "
                f'{seen[join.name].line}); give one an "alias"'
            )
            checker.problem(join.location, "name-clash", message)
        seen.setdefault(join.name, join.location)
        if join.name == cube.name:
            message = f'a join of {cube.name} to itself needs an "alias"'
            checker.problem(join.location, "name-clash", message)
        elif join.alias in checker.model.cubes_by_name and join.alias != join.target:
            message = f'the alias "{join.alias}" is the name of another cube'
            checker.problem(join.location, "name-clash", message)


def _hierarchies(relation: Cube | View) -> Iterable[tuple[str, Location]]:
    items: tuple[Hierarchy, ...] = relation.hierarchies
    return ((item.name, item.location) for item in items)


def _distinct(checker: Checker, what: str, items: Iterable[tuple[str, Location]]) -> None:
    seen: dict[str, Location] = {}
    for name, location in items:
        first = seen.setdefault(name, location)
        if first is not location:
            message = f'{what} "{name}" is defined twice (first in line {first.line})'
            checker.problem(location, "name-clash", message)
