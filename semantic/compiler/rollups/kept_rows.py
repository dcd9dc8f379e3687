"""Pre-aggregations of type original_sql: which rows they keep, and the statements that read those.

All rows of the cube's own SQL, of which nothing of a caller may be part; by a time of the cube they
may be cut into partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.api import ParameterUse
from semantic.compiler.dialect import cast_to, dialect_of
from semantic.compiler.members import Members
from semantic.compiler.names import Names
from semantic.compiler.plan import Scan, ScanColumn
from semantic.compiler.rollups.api import RollupDefinition, StoredColumn
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.definitions import WAREHOUSES, definition_of
from semantic.compiler.rollups.trees import is_lasting, named
from semantic.compiler.scan import ScanBuilder
from semantic.compiler.trees import all_of, copied, identifier, table_of
from semantic.errors import SemanticError
from semantic.model.model import MemberTarget
from semantic.model.preaggregation import PreAggregation
from semantic.model.relations import Cube
from semantic.model.template import Reference

_TIMES = frozenset({"date", "timestamp", "timestamptz"})


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Rows of a cube that are kept as they are.

    Attributes:
        definition: as others see it.
        scan: of all of them, with the time as its only column.
        time: that partitions are cut by, its value apart from aliases.
    """

    definition: RollupDefinition
    scan: Scan
    time: Key | None = None

    @property
    def source(self) -> exp.Expr:
        """The table or query whose rows they are, without alias."""
        return self.scan.table


class _NotKeptError(Exception):
    """Why rows cannot be kept."""


def kept_rows(members: Members, cube: Cube, item: PreAggregation) -> KeptRows | RollupDefinition:
    """What a pre-aggregation of type original_sql keeps; a definition that says why it cannot."""
    try:
        scan, time = _all_rows(members, cube), None
        if item.partition_granularity is not None:
            time = _time(members, cube, item.time_dimensions[0].dimension)
            value = named(time.value, {"": scan.base})
            columns = (ScanColumn(time.column.name, value, time.type),)
            scan = replace(scan, columns=columns)
    except SemanticError as error:
        return definition_of(cube, item, problem=error.message)
    except _NotKeptError as error:
        return definition_of(cube, item, problem=str(error))
    content = repr(scan.table) if time is None else repr((scan.table, time.value, time.type))
    name = None if time is None else time.column.name
    return KeptRows(definition_of(cube, item, rows=content, time=name), scan, time)


def _all_rows(members: Members, cube: Cube) -> Scan:
    """The rows of the cube's own SQL, whatever it joins."""
    if members.sql.dialect(cube.data_source) not in WAREHOUSES:
        raise _NotKeptError("the rows of its warehouse can be kept in no tables of its own")
    scan = replace(ScanBuilder(members, cube, cube.name, Names()).make(), joins=(), filters=())
    if scan.table.find(exp.Parameter) is not None:
        raise _NotKeptError("its rows depend on the caller")
    return scan


def _time(members: Members, cube: Cube, reference: Reference) -> Key:
    """The value that partitions are cut by: of a row itself, whoever reads it and when."""
    target = members.sql.model.resolve(cube.name, reference)
    if not isinstance(target, MemberTarget):
        raise _NotKeptError(f"{reference} is no time dimension")
    kind = members.types.get((cube.name, target.member.name))
    builder = ScanBuilder(members, cube, cube.name, Names())
    tree = builder.place(members.sql.row_member(cube.name, target))
    is_own = all(table_of(node) == cube.name for node in tree.find_all(exp.Column))
    if target.path or not is_own or kind is None or kind.name not in _TIMES:
        raise _NotKeptError(f"{reference} is no time of its rows themselves")
    if not is_lasting(tree):
        raise _NotKeptError(f"{reference} depends on when it is computed")
    name = target.member.name
    column = StoredColumn(name, kind, cube.name, name, (), "time")
    return Key(column, named(tree, {cube.name: ""}), kind)


def build_sql(
    kept: KeptRows, dialect: str, *, start: bool, end: bool
) -> tuple[str, tuple[ParameterUse, ...]]:
    """The SQL of all rows, or of those of a partition, and what is bound in it.

    Args:
        kept: the rows.
        dialect: of their warehouse.
        start: only rows from the bound of index 0 on; otherwise those without a time, too.
        end: only rows before the bound of index 1.

    Raises:
        SemanticError: 22023, there is no time to be cut by.
    """
    alias, uses = kept.definition.cube, []
    conditions: list[exp.Expr] = []
    if start or end:
        if kept.time is None:
            name = kept.definition.name
            raise SemanticError("22023", f"rollup {name} has no time to be cut by")
        value = named(kept.time.value, {"": alias})
        for index, (is_bound, compared) in enumerate(((start, exp.GTE), (end, exp.LT))):
            if is_bound:
                uses.append(ParameterUse(index, kept.time.type))
                number = exp.Parameter(this=exp.Literal.number(len(uses)))
                bound = cast_to(number, kept.time.type, dialect)
                conditions.append(compared(this=copied(value), expression=bound))
        if not start:
            null = exp.Is(this=copied(value), expression=exp.Null())
            conditions = [exp.Or(this=conditions[0], expression=null)]
    select = rows_of(kept.source, alias, [exp.Star()], all_of(conditions))
    return dialect_of(dialect).generate(select, copy=False), tuple(uses)


def rows_of(
    source: exp.Expr, alias: str, columns: list[exp.Expr], condition: exp.Expr | None = None
) -> exp.Select:
    """Some columns of a table or query, of the rows that meet a condition over its alias."""
    table = copied(source)
    table.set("alias", exp.TableAlias(this=identifier(alias)))
    select = exp.Select(expressions=columns, from_=exp.From(this=table))
    if condition is not None:
        select.set("where", exp.Where(this=condition))
    return select
