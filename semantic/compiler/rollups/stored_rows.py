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
from semantic.compiler.trees import copied, identifier


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The stored rows of a cube.

    Attributes:
        name: of the pre-aggregation.
        source: the query whose rows they are.
        data_source: of the cube.
        part: the table.
    """

    name: str
    source: exp.Expr
    data_source: str
    part: StoredPart


def from_stored_rows(scan: Scan, stored: Iterable[StoredRows], dialect: str) -> Scan:
    """A scan over stored rows instead of the query of its cube; the same scan for none."""
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
        return replace(scan, table=table, rollup=item.name, rollup_built_at=item.part.built_at)
    return scan


def rows_query(source: exp.Expr, cube: str, dialect: str) -> str:
    """The SQL of all rows of a cube."""
    table = copied(source)
    table.set("alias", exp.TableAlias(this=identifier(cube)))
    select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))
    return dialect_of(dialect).generate(select, copy=False)
