"""Pre-aggregations of type original_sql: the rows of a cube's own SQL, kept as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.dialect import dialect_of
from semantic.compiler.fences import RULED
from semantic.compiler.governed_rows import read_governed
from semantic.compiler.plan import Scan
from semantic.compiler.rollups.api import StoredPart
from semantic.compiler.rollups.freshness import Freshness, not_fresh
from semantic.compiler.trees import copied, identifier


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The stored rows of a cube.

    Attributes:
        name: of the pre-aggregation.
        source: the query whose rows they are.
        data_source: of the cube.
        part: the table.
        freshness: whom they are fresh enough for.
    """

    name: str
    source: exp.Expr
    data_source: str
    part: StoredPart
    freshness: Freshness


def from_stored_rows(
    scan: Scan, stored: Iterable[StoredRows], dialect: str, silent: frozenset[str]
) -> Scan:
    """A scan over stored rows instead of the query of its cube; the same scan for none.

    Args:
        scan: of a cube or view.
        stored: what there is.
        dialect: of its warehouse.
        silent: cubes that declare nothing about the age of their data.
    """
    for item in stored:
        if item.data_source != scan.data_source or scan.rollup:
            continue
        table: exp.Expr = exp.to_table(item.part.table, dialect=dialect_of(dialect))
        if scan.table != item.source:
            governed = read_governed(scan.table)
            if governed is None or governed[0] != item.source:
                continue
            ruled = copied(scan.table)
            table.set("alias", exp.TableAlias(this=identifier(RULED)))
            ruled.this.args["from_"].set("this", table)
            table = ruled
        if not item.freshness.suits(scan.cube):
            reason = not_fresh(item.name, scan.cube, silent)
            scan = replace(scan, unused=(*scan.unused, reason))
            continue
        return replace(scan, table=table, rollup=item.name, rollup_built_at=item.part.built_at)
    return scan


def rows_query(source: exp.Expr, cube: str, dialect: str) -> str:
    """The SQL of all rows of a cube."""
    table = copied(source)
    table.set("alias", exp.TableAlias(this=identifier(cube)))
    select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))
    return dialect_of(dialect).generate(select, copy=False)
