"""What stands in FROM for a rollup: its tables, and the source for what they do not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlglot import exp

from semantic.compiler.dialect import cast_to, dialect_of
from semantic.compiler.emit_parts import aliased, aliased_table
from semantic.compiler.fences import RULED, fenced
from semantic.compiler.kept_types import stored_type
from semantic.compiler.plan import (
    Derived,
    Projection,
    Relation,
    Scan,
    ScanColumn,
    Select,
    SetOperation,
)
from semantic.compiler.rollups.api import StoredColumn, StoredPart
from semantic.compiler.rollups.blueprint import Blueprint, Key, Part
from semantic.compiler.rollups.coverage import Span
from semantic.compiler.rollups.elsewhere import dialect_of_tables, is_elsewhere
from semantic.compiler.rollups.stored_query import cast, stored_query
from semantic.compiler.rollups.trees import named, scan_names
from semantic.compiler.trees import column, identifier, table_of
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Rules:
    """What policies say of stored groups, over ``RULED``.

    Attributes:
        condition: that a caller's groups meet; None: all do.
        flags: by the names of their columns, which groups show the value of a masked member.
    """

    condition: exp.Expr | None
    flags: Mapping[str, exp.Expr]


def stored_scan(
    rows: Scan,
    alias: str,
    blueprint: Blueprint,
    parts: tuple[StoredPart, ...],
    columns: tuple[StoredColumn, ...],
    rules: Rules,
    dialect: str,
) -> Scan:
    """A scan of a rollup's tables, with the columns that are needed.

    Args:
        rows: the scan that it takes the place of.
        alias: of the scan.
        blueprint: of the rollup.
        parts: the tables.
        columns: those that are needed.
        rules: of a caller's policies.
        dialect: of the rows' warehouse.
    """
    is_apart, dialect = is_elsewhere(blueprint, dialect), dialect_of_tables(blueprint, dialect)
    table = _tables(parts, tuple(item.name for item in blueprint.definition.columns), dialect)
    is_ours = blueprint.definition.table is None
    if rules.condition is not None or rules.flags:
        # As the rows of a governed cube: nothing else is evaluated before the rules.
        shown: list[exp.Expr] = [exp.Column(this=exp.Star(), table=identifier(RULED))]
        shown += [aliased(tree, name) for name, tree in rules.flags.items()]
        ruled = exp.Select(expressions=shown, from_=exp.From(this=aliased_table(table, RULED)))
        if rules.condition is not None:
            ruled.set("where", exp.Where(this=rules.condition))
        table = exp.Subquery(this=fenced(ruled))
    return Scan(
        alias=alias,
        relation=rows.relation,
        cube=rows.cube,
        data_source=blueprint.definition.site,
        base=alias,
        table=table,
        joins=(),
        columns=tuple(
            ScanColumn(
                item.name,
                _stored(alias, item, dialect, is_ours=is_ours),
                stored_type(item.type) if is_apart else item.type,
            )
            for item in columns
        ),
        policies=rows.policies,
        fenced=rows.fenced,
        rollup=blueprint.definition.name,
        rollup_built_at=min(part.built_at for part in parts) if is_ours else None,
    )


def _stored(alias: str, item: StoredColumn, dialect: str, *, is_ours: bool) -> exp.Expr:
    """A column of the table; in one that is not ours it may be of another type."""
    value = column(alias, item.name)
    return value if is_ours else cast_to(value, item.type, dialect)


def _tables(parts: tuple[StoredPart, ...], names: tuple[str, ...], dialect: str) -> exp.Expr:
    """The tables as one; those of several rollups have the columns of the first, and others."""
    tables = [exp.to_table(part.table, dialect=dialect_of(dialect)) for part in parts]
    if len(tables) == 1:
        return tables[0]
    selects: list[exp.Expr] = [
        exp.Select(
            expressions=[exp.Column(this=identifier(name)) for name in names],
            from_=exp.From(this=table),
        )
        for table in tables
    ]
    union = selects[0]
    for other in selects[1:]:
        union = exp.Union(this=union, expression=other, distinct=False)
    return exp.Subquery(this=union)


def with_source(
    rows: Scan,
    stored: Scan,
    blueprint: Blueprint,
    keys: tuple[Key, ...],
    parts: tuple[Part, ...],
    derived: tuple[Key, ...],
    rest: exp.Expr,
    interior: exp.Expr | None,
) -> Relation:
    """Stored groups and those of the source's rows that are not stored, as one relation.

    Args:
        rows: the scan that it takes the place of.
        stored: the scan of the tables, under an alias of its own.
        blueprint: of the rollup.
        keys: the keys that are needed.
        parts: the parts that are needed.
        derived: values that follow from the keys.
        rest: the condition that tells the source's rows, over ``source_alias``.
        interior: the condition that the stored groups have to meet, over the scan.
    """
    keys = (*keys, *derived)
    names = (*(item.column.name for item in keys), *(item.column.name for item in parts))
    own = Select(
        tuple(Projection(name, column(stored.alias, name)) for name in names),
        stored,
        where=interior,
    )
    aliases = {name: alias for alias, name in scan_names(blueprint.scan).items()}
    added = (ScanColumn(key.column.name, named(key.value, aliases), key.type) for key in derived)
    scan = replace(blueprint.scan, columns=(*blueprint.scan.columns, *added))
    scan = replace(
        _needed(scan, names),
        alias=source_alias(rows.alias),
        table=rows.table,
        policies=rows.policies,
        fenced=rows.fenced,
    )
    made = stored_query(scan, keys, parts)
    source = replace(made, where=rest)
    return Derived(rows.alias, SetOperation("union", True, own, source, names, uniform=True))


def _needed(scan: Scan, names: tuple[str, ...]) -> Scan:
    """A scan with some of its columns, and the joins that those need."""
    columns = tuple(item for item in scan.columns if item.name in names)
    used = {table for item in columns for table in _tables_in(item.expression)}
    used |= {table for item in scan.filters for table in _tables_in(item)}
    kept = []
    # A join speaks of those before it.
    for join in reversed(scan.joins):
        if join.structural or join.alias in used:
            kept.append(join)
            used |= set(_tables_in(join.condition))
    return replace(scan, columns=columns, joins=tuple(reversed(kept)))


def _tables_in(tree: exp.Expr) -> Iterator[str]:
    return (table_of(item) for item in tree.find_all(exp.Column))


def source_alias(alias: str) -> str:
    """The alias of the scan of the source's rows beside a rollup's tables."""
    return f"{alias}:source"


def outside(spans: tuple[Span, ...], time: exp.Expr, kind: PostgresType) -> exp.Expr:
    """The condition that a time lies in one of some ranges; a range without start holds NULL."""
    conditions = [_inside(span, time, kind) for span in spans]
    result = conditions[0]
    for other in conditions[1:]:
        result = exp.Or(this=result, expression=other)
    return result


def _inside(span: Span, time: exp.Expr, kind: PostgresType) -> exp.Expr:
    if span.end is None and span.start is None:
        return exp.true()
    made: list[exp.Expr] = []
    if span.start is not None:
        made.append(exp.GTE(this=time.copy(), expression=moment_literal(span.start, kind)))
    if span.end is not None:
        made.append(exp.LT(this=time.copy(), expression=moment_literal(span.end, kind)))
    condition = made[0] if len(made) == 1 else exp.And(this=made[0], expression=made[1])
    if span.start is None:
        null = exp.Is(this=time.copy(), expression=exp.Null())
        condition = exp.Or(this=condition, expression=null)
    return exp.Paren(this=condition)


def moment_literal(moment: datetime, kind: PostgresType) -> exp.Expr:
    """A moment as a constant of a column's type; one without zone is by the clock of UTC."""
    moment = moment.astimezone(UTC)
    if kind.name != "timestamptz":
        moment = moment.replace(tzinfo=None)
    text = moment.isoformat(" ")
    name = "timestamp" if kind.name == "date" else kind.name
    return cast(exp.Literal.string(text), PostgresType(name))
