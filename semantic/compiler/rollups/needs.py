"""What each grouping SELECT of a statement would need a rollup to store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.aggregates import is_aggregate
from semantic.compiler.expressions.periods import Period
from semantic.compiler.members import Members
from semantic.compiler.plan import Join, Query, Relation, Scan, Select, walk
from semantic.compiler.rewrite.tools import with_expressions
from semantic.compiler.rollups.blueprints import unstorable
from semantic.compiler.rollups.grain import GRAINS, is_made_of, serves_every_zone
from semantic.compiler.rollups.moments import is_utc, read_bounds, read_time_function
from semantic.compiler.rollups.trees import bare
from semantic.compiler.trees import is_column_of
from semantic.errors import SemanticError
from semantic.model.members import Dimension, Measure, Segment
from semantic.model.model import MemberTarget
from semantic.model.relations import Cube, View, ViewMember
from semantic.model.template import Reference

# From coarse to fine; weeks are for whoever asks for them.
_COARSEST_FIRST = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Need:
    """What a rollup has to store to answer one SELECT. Members as paths from the cube.

    Attributes:
        cube: whose rows are aggregated.
        dimensions: as ``carrier`` or ``airlines.name``.
        segments: likewise.
        measures: of the cube.
        times: time dimensions with the coarsest unit that will do; None: the moments themselves.
    """

    cube: str
    dimensions: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    measures: frozenset[str] = frozenset()
    times: frozenset[tuple[str, str | None]] = frozenset()


def needs_of(plan: Query, members: Members, zone: str) -> tuple[Need, ...]:
    """The needs of a statement's SELECTs over scans; none where a rollup would not help it.

    Args:
        plan: rewritten, but for rollups.
        members: of the model, as nobody in particular sees them.
        zone: the session's time zone.
    """
    found: list[Need] = []
    for node in walk(plan):
        if not isinstance(node, Select) or node.source is None:
            continue
        for scan in _scans(node.source):
            need = None
            if node.group is not None or node.distinct:
                need = _Reader(node, scan, members, zone).need()
            if need is None:
                return ()
            found.append(need)
    return tuple(dict.fromkeys(found))


def _scans(relation: Relation) -> Iterator[Scan]:
    """The scan that is aggregated: of joined ones, the first."""
    if isinstance(relation, Scan):
        yield relation
    elif isinstance(relation, Join):
        yield from _scans(relation.left)


class _Unmet(Exception):  # noqa: N818 - no error: it ends the reading of a SELECT
    """No rollup could answer the SELECT."""


class _Reader:
    def __init__(self, select: Select, scan: Scan, members: Members, zone: str) -> None:
        self._select = select
        self._scan = scan
        self._members = members
        self._zone = zone
        model = members.sql.model
        relation = model.relation(scan.relation)
        if relation is None:
            raise TypeError(scan.relation)
        self._relation: Cube | View = relation
        self._cube = members.sql.root_of(relation)
        self._dimensions: set[str] = set()
        self._segments: set[str] = set()
        self._measures: set[str] = set()
        self._periods: dict[str, list[Period | None]] = {}

    def need(self) -> Need | None:
        """What the SELECT needs; None where no rollup could answer it."""
        try:
            for use in self._select.measures:
                if use.alias == self._scan.alias:
                    self._measure(use.name.rpartition(".")[2])
            self._read_all()
            times = frozenset(
                (name, self._unit(name, periods)) for name, periods in self._periods.items()
            )
        except _Unmet:
            return None
        return Need(
            self._cube.name,
            frozenset(self._dimensions),
            frozenset(self._segments),
            frozenset(self._measures),
            times,
        )

    def _read_all(self) -> None:
        def read(tree: exp.Expr) -> exp.Expr:
            self._read(tree)
            return tree

        own = replace(self._select, source=None, subqueries=(), measures=())
        with_expressions(own, read)
        for use in self._select.measures:
            if use.filter is not None:
                self._read(use.filter)
        for node in walk(self._select):
            if isinstance(node, Join) or (isinstance(node, Select) and node is not self._select):
                with_expressions(node, read)

    def _read(self, node: exp.Expr) -> None:
        function = read_time_function(node)
        if function is not None and self._is_time(function.argument):
            self._at(function.argument, function.needed)
            return
        bounds = read_bounds(node)
        if bounds and all(self._is_time(bound.column) for bound in bounds):
            # Those that cut through periods are seen to.
            self._at(bounds[0].column, GRAINS["year"])
            return
        if is_aggregate(node) and isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            self._row_count()
        if isinstance(node, exp.Is) and self._is_time(bare(node.this)):
            self._at(bare(node.this), GRAINS["year"])
            return
        if is_column_of(node, self._scan.alias):
            self._column(node.name)
            return
        for child in node.iter_expressions():
            self._read(child)

    def _is_time(self, node: exp.Expr) -> bool:
        if not is_column_of(node, self._scan.alias):
            return False
        target = self._target(node.name)
        return (
            target is not None
            and isinstance(target.member, Dimension)
            and (target.member.type == "time")
        )

    def _target(self, column: str) -> MemberTarget | None:
        """The member that a column of the scan holds a value of."""
        relation, model = self._relation, self._members.sql.model
        if isinstance(relation, View):
            found = relation.columns.get(column)
            return model.view_target(found) if isinstance(found, ViewMember) else None
        member = relation.members.get(column)
        return None if member is None else MemberTarget(relation.name, (), relation.name, member)

    def _at(self, node: exp.Expr, period: Period | None) -> None:
        target = self._target(node.name)
        if target is None:
            raise _Unmet
        self._periods.setdefault(_path(target), []).append(period)

    def _column(self, name: str) -> None:
        row_value = name.endswith(":row")
        target = self._target(name.removesuffix(":row"))
        if target is None:
            raise _Unmet
        member = target.member
        if isinstance(member, Measure):
            # Values of rows: only where they are aggregated as the measure does.
            if not row_value or target.path:
                raise _Unmet
            self._measure(name.removesuffix(":row"))
        elif isinstance(member, Segment):
            self._segments.add(_path(target))
        elif member.type == "time":
            self._periods.setdefault(_path(target), []).append(None)
        else:
            self._dimensions.add(_path(target))

    def _measure(self, name: str) -> None:
        target = self._target(name)
        if target is None or target.path or not isinstance(target.member, Measure):
            raise _Unmet
        measure = target.member
        if measure.type in {"count_distinct", "count_distinct_approx"}:
            self._dimensions.add(self._counted(measure))
            return
        if unstorable(self._members, self._cube, measure.name):
            raise _Unmet
        self._measures.add(measure.name)

    def _counted(self, measure: Measure) -> str:
        """The dimension whose different values a measure counts."""
        inputs = self._members.measure(self._cube, measure.name).inputs
        values = {bare(tree) for _, tree in inputs}
        for dimension in self._cube.dimensions:
            try:
                value = bare(self._members.row_value(self._cube, dimension.name))
            except SemanticError:
                continue
            if values == {value}:
                return dimension.name
        raise _Unmet

    def _row_count(self) -> None:
        for measure in self._cube.measures:
            if measure.type == "count" and measure.sql is None and not measure.filters:
                self._measures.add(measure.name)
                return
        raise _Unmet

    def _unit(self, name: str, periods: list[Period | None]) -> str | None:
        """The coarsest unit that all that is asked of a time follows from."""
        if any(period is None for period in periods):
            return None
        needed = [period for period in periods if period is not None]
        target = self._members.sql.model.resolve(self._cube.name, Reference(tuple(name.split("."))))
        kind = ""
        if isinstance(target, MemberTarget):
            found = self._members.types.get((target.cube, target.member.name))
            kind = "" if found is None else found.name
        for unit in _COARSEST_FIRST:
            grain = GRAINS[unit]
            serves = kind != "timestamptz" or is_utc(self._zone) or serves_every_zone(grain)
            if serves and all(is_made_of(period, grain) for period in needed):
                return unit
        return None


def _path(target: MemberTarget) -> str:
    return ".".join((*target.path, target.member.name))
