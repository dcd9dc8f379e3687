"""A pre-aggregation holds what exists, and can answer at least one query."""

from __future__ import annotations

from semantic.model.checking import Checker
from semantic.model.members import MemberKind
from semantic.model.preaggregation import PreAggregation, RollupTime
from semantic.model.relations import Cube
from semantic.model.report import nearest
from semantic.model.template import Reference
from semantic.model.values import STANDARD_UNITS

_PARTITIONS = ("hour", "day", "week", "month", "quarter", "year")


def check_rollups(checker: Checker) -> None:
    """Pre-aggregations of every cube."""
    for cube in checker.model.cubes:
        for item in cube.pre_aggregations:
            if not checker.is_broken(item.location):
                _contents(checker, cube, item)
                _rollups(checker, cube, item)
                _partitions(checker, item)


def _contents(checker: Checker, cube: Cube, item: PreAggregation) -> None:
    lists: tuple[tuple[MemberKind, tuple[Reference, ...]], ...] = (
        ("measure", item.measures),
        ("dimension", item.dimensions),
        ("segment", item.segments),
    )
    columns: set[str] = set()
    for kind, references in lists:
        for reference in references:
            columns.add(reference.path[-1])
            target = checker.member(cube.name, reference, kind)
            if target is not None and target.member.kind != kind:
                message = f"{reference} is a {target.member.kind}, not a {kind}"
                checker.problem(reference.location, "reference", message)
    for time in item.time_dimensions:
        columns.add(time.dimension.path[-1])
        _time(checker, cube, time)
    if item.type == "rollup" and not columns:
        message = f'pre-aggregation "{item.name}" holds no member, so it can never match'
        checker.problem(item.location, "never-matches", message)
    if item.type == "original_sql" and (item.measures or item.dimensions or item.segments):
        message = "original_sql holds the cube's rows, not members"
        checker.problem(item.location, "pre-aggregation", message)
    for index in item.indexes:
        for column in index.columns:
            if column.split(".")[-1].strip("{} ") not in columns:
                message = f'index "{index.name}" names "{column}", which the rollup does not hold'
                suggestion = nearest(column, columns)
                checker.problem(item.location, "unknown-member", message, suggestion)
    _sketches(checker, cube, item, columns)


def _sketches(checker: Checker, cube: Cube, item: PreAggregation, columns: set[str]) -> None:
    """A sketch is the one that its measure has, which is declared approximate."""
    for name, sketch in item.sketches:
        if name not in {reference.path[-1] for reference in item.measures}:
            message = f'a sketch for "{name}", which is no measure of the rollup'
            checker.problem(item.location, "unknown-member", message, nearest(name, columns))
            continue
        measure = next((each for each in cube.measures if each.name == name), None)
        if measure is not None and sketch != measure.sketch:
            wanted = measure.sketch
            message = f'"{name}" is not declared approximate, so no sketch stands for it'
            if wanted is not None:
                message = f'the sketch of "{name}" is {wanted}, not {sketch}'
            checker.problem(item.location, "pre-aggregation", message)


def _time(checker: Checker, cube: Cube, time: RollupTime) -> None:
    dimension = checker.dimension(cube.name, time.dimension, "time dimension", time=True)
    if dimension is None or time.granularity is None:
        return
    known = (*STANDARD_UNITS, *(item.name for item in dimension.granularities))
    if time.granularity not in known:
        message = f'unknown granularity "{time.granularity}" of {time.dimension}'
        suggestion = nearest(time.granularity, known)
        checker.problem(time.dimension.location, "granularity", message, suggestion)


def _rollups(checker: Checker, cube: Cube, item: PreAggregation) -> None:
    joined = item.type in {"rollup_join", "rollup_lambda"}
    if joined and len(item.rollups) < (2 if item.type == "rollup_join" else 1):
        message = f'{item.type} "{item.name}" names too few rollups, so it can never match'
        checker.problem(item.location, "never-matches", message)
    if not joined and item.rollups:
        checker.problem(item.location, "pre-aggregation", f"{item.type} has no rollups")
    for reference in item.rollups:
        *owner, name = reference.path
        first = owner[0] if owner and owner[0] != "CUBE" else cube.name
        other = checker.model.cubes_by_name.get(first)
        if other is None:
            suggestion = nearest(first, checker.model.cubes_by_name)
            message = f'unknown cube "{first}"'
            checker.problem(reference.location, "unknown-cube", message, suggestion)
            continue
        known = [rollup.name for rollup in other.pre_aggregations]
        if (name not in known or len(owner) > 1) and not checker.is_incomplete(other.name):
            message = f'cube {other.name} has no pre-aggregation "{name}"'
            checker.problem(reference.location, "unknown-reference", message, nearest(name, known))


def _partitions(checker: Checker, item: PreAggregation) -> None:
    partition = item.partition_granularity
    if item.refresh_key is not None and item.refresh_key.incremental and partition is None:
        message = "an incremental refresh needs a partition_granularity"
        checker.problem(item.location, "pre-aggregation", message)
    if partition is None:
        return
    if partition not in _PARTITIONS:
        message = f'"{partition}" is not one of {", ".join(_PARTITIONS)}'
        suggestion = nearest(partition, _PARTITIONS)
        checker.problem(item.location, "granularity", message, suggestion)
        return
    if not item.time_dimensions:
        message = "a partition_granularity needs a time_dimension"
        checker.problem(item.location, "pre-aggregation", message)
        return
    stored = item.time_dimensions[0].granularity
    if stored in STANDARD_UNITS and STANDARD_UNITS.index(partition) < STANDARD_UNITS.index(stored):
        message = f"partitions by {partition} are finer than the granularity {stored}"
        checker.problem(item.location, "pre-aggregation", message)
