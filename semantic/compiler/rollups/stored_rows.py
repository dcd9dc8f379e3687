"""Reads the rows of a cube where a pre-aggregation of type original_sql keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.dialect import dialect_of
from semantic.compiler.fences import RULED
from semantic.compiler.governed_rows import read_governed
from semantic.compiler.masks import flagged_member
from semantic.compiler.plan import Scan
from semantic.compiler.rollups.api import StoredPart, UnusedRollup
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.coverage import EVERYTHING, Coverage, Span, coverage
from semantic.compiler.rollups.freshness import Freshness, not_fresh
from semantic.compiler.rollups.kept_rows import KeptRows, rows_of
from semantic.compiler.rollups.moments import is_utc, read_bounds, span_of
from semantic.compiler.rollups.stored_source import outside
from semantic.compiler.rollups.trees import is_zone_free, named, scan_names
from semantic.compiler.trees import conjuncts, copied, identifier, is_column_of, table_of

_REST = "rest"
"""The alias of what is read from the source beside the tables."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The stored rows of a cube.

    Attributes:
        kept: which they are.
        parts: the tables.
        complete: there is nothing that is not built.
        freshness: whom they are fresh enough for.
    """

    kept: KeptRows
    parts: tuple[StoredPart, ...]
    complete: bool
    freshness: Freshness


class _UnreadableError(Exception):
    """Why stored rows are not read, and what would change that."""


@dataclass(frozen=True, slots=True)
class RowReader:
    """Puts stored rows in the place of a statement's.

    Attributes:
        stored: what there is.
        silent: cubes that declare nothing about the age of their data.
        zone: the session's time zone.
    """

    stored: tuple[StoredRows, ...]
    silent: frozenset[str]
    zone: str

    def read(self, scan: Scan, where: exp.Expr | None, dialect: str) -> Scan:
        """A scan over stored rows; the same scan where there are none that it could be over.

        Args:
            scan: of a cube or view.
            where: a condition that all rows of the scan meet which anything becomes of.
            dialect: of its warehouse.
        """
        for item in self.stored:
            source = _source_of(scan, item.kept)
            if source is None or scan.rollup:
                continue
            name = item.kept.definition.name
            if not item.freshness.suits(scan.cube):
                scan = _noted(scan, not_fresh(name, scan.cube, self.silent))
                continue
            try:
                covered = self._covered(scan, where, item)
                table = _Tables(scan, item.kept, covered, dialect).make()
            except _UnreadableError as error:
                reason, change = error.args
                scan = _noted(scan, UnusedRollup(name, reason, change))
                continue
            built_at = min(part.built_at for part in covered.parts)
            table = table if source is scan.table else _ruled(scan.table, table)
            scan = replace(scan, table=table, rollup=name, rollup_built_at=built_at)
        return scan

    def _covered(self, scan: Scan, where: exp.Expr | None, item: StoredRows) -> Coverage:
        """The tables that hold the rows that a statement asks for."""
        time, wanted = item.kept.time, EVERYTHING
        may_read = time is not None and (is_utc(self.zone) or is_zone_free(time.value, time.type))
        if time is not None and may_read:
            wanted = self._span(scan, where, time)
        found = coverage(item.parts, wanted)
        if item.complete:
            found = replace(found, gaps=())
        if found.gaps and not item.kept.definition.union_with_source:
            raise _UnreadableError(
                "what is built does not cover the time that is asked for",
                "build the rest, filter on its time, or set union_with_source_data",
            )
        if found.gaps and not may_read:
            change = "ask in the time zone UTC"
            raise _UnreadableError("which rows are not built depends on the time zone", change)
        if not found.parts:
            raise _UnreadableError("nothing is built of the time that is asked for", "")
        return found

    def _span(self, scan: Scan, where: exp.Expr | None, time: Key) -> Span:
        values = {item.name: item.expression for item in scan.columns}
        names, found = scan_names(scan), EVERYTHING
        for condition in conjuncts(where):
            for bound in read_bounds(condition):
                if not is_column_of(bound.column, scan.alias):
                    continue
                if named(values[bound.column.name], names) == time.value:
                    found = found.meet(span_of(bound, time.type, self.zone))
        return found


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of a scan's rows as one."""

    scan: Scan
    kept: KeptRows
    covered: Coverage
    dialect: str

    def make(self) -> exp.Expr:
        """A table, or a query over several with the columns that the scan needs."""
        covered = self.covered
        parser = dialect_of(self.dialect)
        tables: list[exp.Expr] = [
            exp.to_table(part.table, dialect=parser) for part in covered.parts
        ]
        if len(tables) == 1 and not covered.gaps:
            return tables[0]
        columns = self._columns()
        selects: list[exp.Expr] = [
            rows_of(table, RULED, [copied(each) for each in columns]) for table in tables
        ]
        time = self.kept.time
        if covered.gaps and time is not None:
            value = named(time.value, {"": _REST})
            missing = outside(covered.gaps, value, time.type)
            selects.append(rows_of(self.kept.source, _REST, columns, missing))
        union = selects[0]
        for other in selects[1:]:
            union = exp.Union(this=union, expression=other, distinct=False)
        return exp.Subquery(this=union)

    def _columns(self) -> list[exp.Expr]:
        """The columns of the rows that the scan and the rules of its policies speak of.

        By name: tables that were built at different times may have theirs in another order.
        """
        found: dict[str, exp.Expr] = {}
        for table, tree in _trees(self.scan):
            for node in tree.find_all(exp.Column):
                if not table_of(node) or isinstance(node.this, exp.Star):
                    reason = "which columns of its rows are asked for is not written out"
                    raise _UnreadableError(reason, "")
                # A flag is made of the rows that are read, beside their columns.
                if table_of(node) == table and flagged_member(node.name) is None:
                    is_exact = self.dialect == "postgres" and node.this.args.get("quoted")
                    name = node.name if is_exact else node.name.lower()
                    found.setdefault(name, exp.Column(this=copied(node.this)))
        return list(found.values()) or [exp.Literal.number(1)]


def _trees(scan: Scan) -> Iterator[tuple[str, exp.Expr]]:
    """What speaks of the columns of a scan's rows, and by which alias."""
    for item in scan.columns:
        yield scan.base, item.expression
    for join in scan.joins:
        yield scan.base, join.condition
    for condition in scan.filters:
        yield scan.base, condition
    governed = read_governed(scan.table)
    if governed is not None:
        for tree in (governed.rule, *governed.flags.values()):
            if tree is not None:
                yield RULED, tree


def _source_of(scan: Scan, kept: KeptRows) -> exp.Expr | None:
    """The part of a scan's table that stands for the rows that are kept; None where none does."""
    if kept.definition.data_source != scan.data_source:
        return None
    governed = read_governed(scan.table)
    source = scan.table if governed is None else governed.source
    return source if source == kept.source else None


def _ruled(governed: exp.Expr, table: exp.Expr) -> exp.Expr:
    """The governed query of a cube's rows over another table."""
    ruled = copied(governed)
    table.set("alias", exp.TableAlias(this=identifier(RULED)))
    ruled.this.args["from_"].set("this", table)
    return ruled


def _noted(scan: Scan, unused: UnusedRollup) -> Scan:
    return replace(scan, unused=(*scan.unused, unused))
