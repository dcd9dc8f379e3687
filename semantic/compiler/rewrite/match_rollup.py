"""Reads groups that a pre-aggregation stores instead of a cube's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from semantic.compiler.plan import Join, PlanNode, Query, Relation, Scan, Select
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.rollups.api import UnusedRollup
from semantic.compiler.rollups.available import NO_ROLLUPS, Available
from semantic.compiler.rollups.folding import fold
from semantic.compiler.rollups.freshness import not_fresh
from semantic.compiler.rollups.matching import Matched, match
from semantic.compiler.rollups.regrouping import NoMatchError
from semantic.compiler.rollups.stored_rows import RowReader
from semantic.compiler.rollups.trees import frame_of


def match_rollup(plan: Query, context: RewriteContext) -> Query:
    """Put the cheapest rollup that has all that a grouping SELECT needs in place of the rows.

    Wherever a cube is scanned, each SELECT by itself. Scans that stay say why, for EXPLAIN.
    """
    rollups = context.rollups
    if rollups == NO_ROLLUPS:
        return plan
    plan = bottom_up(plan, lambda node: _matched(node, context))
    if not rollups.rows:
        return plan
    reader = RowReader(rollups.rows, rollups.silent, context.time_zone)
    return bottom_up(plan, lambda node: _over_stored_rows(node, reader, context))


def _over_stored_rows(node: PlanNode, reader: RowReader, context: RewriteContext) -> PlanNode:
    if not isinstance(node, Select) or node.source is None:
        return node
    where, own = node.where, list(_scans(node.source))

    def stored(relation: PlanNode) -> PlanNode:
        if not isinstance(relation, Scan) or not any(relation is each for each in own):
            return relation
        return reader.read(relation, where, context.dialect_of(relation.data_source))

    source = bottom_up(node.source, stored)
    return node if source is node.source else replace(node, source=source)


def _matched(node: PlanNode, context: RewriteContext) -> PlanNode:
    if not isinstance(node, Select) or node.source is None:
        return node
    for scan in list(_scans(node.source)):
        # One that was taken into another is there no longer.
        is_there = node.source is not None and any(each is scan for each in _scans(node.source))
        if is_there and not scan.rollup:
            node = _answered(node, scan, context)
    return node


def _answered(select: Select, scan: Scan, context: RewriteContext) -> Select:
    """The SELECT with a rollup in place of one scan, or with the reasons why there is none."""
    unused: list[UnusedRollup] = []
    found: list[tuple[Matched, Available]] = []
    table = frame_of(scan).table
    for candidate in context.rollups.available:
        blueprint = candidate.blueprint
        if scan.data_source != blueprint.definition.data_source:
            continue
        if table != blueprint.frame.table:
            if scan.cube == candidate.freshness.cube:
                reason = "which of its rows the caller may see is told by other tables"
                unused.append(UnusedRollup(candidate.name, reason))
            continue
        try:
            found.append((_tried(select, scan, candidate, context), candidate))
        except NoMatchError as error:
            unused.append(UnusedRollup(candidate.name, error.reason, error.change))
    for cube, problem in context.rollups.unavailable:
        if cube == scan.cube:
            unused.append(problem)
    if not found:
        return _noted(select, scan, tuple(unused)) if unused else select
    found.sort(key=lambda item: (item[0].reads_source, item[0].joins_back, item[0].rows))
    (best, chosen), *others = found
    for _, other in others:
        unused.append(UnusedRollup(other.name, f"{chosen.name} has fewer rows to read"))
    return _noted_on(best.select, scan.alias, tuple(unused))


def _tried(select: Select, scan: Scan, candidate: Available, context: RewriteContext) -> Matched:
    """The SELECT over one rollup, if that is as fresh as the cubes that are asked declare.

    Raises:
        NoMatchError: it is not, or lacks something.
    """
    freshness, silent = candidate.freshness, context.rollups.silent

    def suits(cube: str) -> bool:
        """What is joined has the age of the rows that it is joined to, unless it declares one."""
        return cube in silent or freshness.suits(cube)

    joined = () if select.source is None else _scans(select.source)
    stale = [each.cube for each in joined if each is not scan and not suits(each.cube)]
    if freshness.suits(scan.cube):
        try:
            return _over(select, scan, candidate, context, suits)
        except NoMatchError:
            if not stale:
                raise
    else:
        stale.insert(0, scan.cube)
    # Where it lacks something besides, that is the reason to be told.
    _over(select, scan, candidate, context, lambda _: True)
    reason = not_fresh(candidate.name, stale[0], silent)
    raise NoMatchError(reason.reason, reason.change)


def _over(
    select: Select,
    scan: Scan,
    candidate: Available,
    context: RewriteContext,
    suits: Callable[[str], bool],
) -> Matched:
    """The SELECT over one rollup: with the client's joins taken into it, else as it stands.

    Raises:
        NoMatchError: neither can be; what the first of them lacks.
    """
    dialect = context.dialect_of(scan.data_source)
    folded = fold(select, scan, candidate.blueprint, suits)
    attempts = (
        [(select, scan)] if folded is None else [(folded.select, folded.scan), (select, scan)]
    )
    made: list[Matched] = []
    problems: list[NoMatchError] = []
    for tried, own in attempts:
        try:
            made.append(match(tried, own, candidate, context.time_zone, dialect))
        except NoMatchError as error:
            problems.append(error)
            continue
        if not made[-1].joins_back:
            return made[-1]
    if not made:
        raise problems[0]
    # Rather the client's own join than the same made again.
    return made[-1]


def _scans(relation: Relation) -> Iterator[Scan]:
    if isinstance(relation, Scan):
        yield relation
    elif isinstance(relation, Join):
        yield from _scans(relation.left)
        yield from _scans(relation.right)


def _noted(select: Select, scan: Scan, unused: tuple[UnusedRollup, ...]) -> Select:
    return _noted_on(select, scan.alias, unused)


def _noted_on(select: Select, alias: str, unused: tuple[UnusedRollup, ...]) -> Select:
    """The SELECT whose scan of that alias says which rollups it does not read."""
    if not unused:
        return select

    def change(node: PlanNode) -> PlanNode:
        if isinstance(node, Scan) and node.alias in (alias, f"{alias}:rollup"):
            return replace(node, unused=unused)
        return node

    if select.source is None:
        return select
    return replace(select, source=bottom_up(select.source, change))
