"""Pieces of emitted statements that need no types: scans, aliases, sort keys, parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import exp

from semantic.compiler.aggregate_trees import is_aggregate
from semantic.compiler.aggregates import contains_aggregate
from semantic.compiler.api import BoundValue, ParameterUse, Placeholder, ResultColumn
from semantic.compiler.expressions import features_of
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.inference import infer
from semantic.compiler.fences import RULED, fenced, with_conditions
from semantic.compiler.names import Names
from semantic.compiler.plan import (
    MEASURE_TABLE,
    Cte,
    Join,
    OrderKey,
    Scan,
    ScanJoin,
    Select,
    query_columns,
)
from semantic.compiler.trees import (
    all_of,
    column,
    conjuncts,
    copied,
    enclose,
    grouping_keys,
    identifier,
    is_column_of,
    rebuild,
    table_of,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Emitted:
    """The statement's text, what to bind to its placeholders, the cubes whose tables it reads."""

    sql: str
    parameters: tuple[Placeholder, ...]
    cubes: tuple[str, ...]


_LONG_COUNT = 19
"""Digits from which a number may be more than a bigint."""


def scan_select(scan: Scan) -> exp.Select:
    """The query that a scan is."""
    columns = [aliased(copied(item.expression), item.name) for item in scan.columns]
    select = exp.Select(expressions=columns or [aliased(exp.Literal.number(1), "one")])
    add_scan_tables(select, scan)
    return fenced(select) if scan.fenced else select


def narrowed(scan: Scan, conditions: list[exp.Expr]) -> Scan:
    """A scan whose governed query keeps out what ``pushed`` conditions do.

    Args:
        scan: with conditions.
        conditions: the same in the dialect, over its columns, or its base's where it is inline.
    """
    names = {item.name: item.expression.name for item in scan.columns}

    def inside(node: exp.Expr) -> exp.Expr | None:
        if scan.inline and is_column_of(node, scan.base):
            return column(RULED, node.name)
        if not scan.inline and is_column_of(node, scan.alias):
            return column(RULED, names[node.name])
        return None

    moved = [rebuild(condition, inside) for condition in conditions]
    return replace(scan, table=with_conditions(scan.table, moved), pushed=())


def add_scan_tables(select: exp.Select, scan: Scan) -> None:
    """Put a scan's tables and filters into a SELECT's FROM and WHERE."""
    select.set("from_", exp.From(this=aliased_table(scan.table, scan.base)))
    add_scan_joins(select, scan.joins)
    for condition in scan.filters:
        select.where(copied(condition), copy=False)


def add_scan_joins(select: exp.Select, joins: Iterable[ScanJoin]) -> None:
    """Put joins behind the first table of a SELECT's FROM."""
    made = [
        exp.Join(
            this=aliased_table(join.table, join.alias),
            side="LEFT" if join.kind == "LEFT" else None,
            kind="INNER" if join.kind == "INNER" else None,
            on=copied(join.condition),
        )
        for join in joins
    ]
    if made:
        select.set("joins", made)


def aliased_table(table: exp.Expr, alias: str) -> exp.Expr:
    """A table or a query in parentheses under an alias."""
    tree = copied(table)
    tree.set("alias", exp.TableAlias(this=identifier(alias)))
    return tree


def aliased(node: exp.Expr, name: str) -> exp.Expr:
    """``node AS name``."""
    return exp.Alias(this=node, alias=identifier(name))


def group_key(node: exp.Expr, expression: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """An element of GROUP BY, each of its keys written by ``expression``."""
    if isinstance(node, exp.GroupingSets | exp.Rollup | exp.Cube | exp.Tuple):
        return node.__class__(
            expressions=[group_key(each, expression) for each in node.expressions]
        )
    if isinstance(node, exp.Paren):
        return exp.Paren(this=group_key(node.this, expression))
    if is_constant(node):
        # It is read as the position of an output column, or refused, and says nothing.
        return exp.Cast(this=exp.Literal.string(""), to=exp.DataType.build("text"))
    return expression(node)


def values_select(rows: Sequence[exp.Expr], names: Sequence[str]) -> exp.Select:
    """VALUES as a SELECT over a named table, so that its columns have our names everywhere."""
    alias = exp.TableAlias(this=identifier("rows"), columns=[identifier(name) for name in names])
    return exp.Select(
        expressions=[column("rows", name) for name in names],
        from_=exp.From(this=exp.Values(expressions=list(rows), alias=alias)),
    )


def with_clause(ctes: Iterable[tuple[Cte, exp.Expr]]) -> exp.With:
    """WITH of queries by their names."""
    found: list[exp.Expr] = []
    recursive = False
    for cte, query in ctes:
        names = query_columns(cte.query) if cte.recursive else ()
        columns = [identifier(name) for name in names]
        alias = exp.TableAlias(this=identifier(cte.key), columns=columns)
        found.append(exp.CTE(this=query, alias=alias, materialized=cte.materialized))
        recursive = recursive or cte.recursive
    return exp.With(expressions=found, recursive=recursive)


def named_window(name: str, window: exp.Expr) -> exp.Expr:
    """An element of the WINDOW clause."""
    window.set("this", identifier(name))
    return window


def is_constant(node: exp.Expr) -> bool:
    """Whether a key is the same for all rows, so that it neither groups nor sorts."""
    varying = (exp.Column, exp.Query, exp.Window, exp.Rand, exp.Uuid, exp.Anonymous)
    return not any(isinstance(item, varying) or is_aggregate(item) for item in node.walk())


def decided(condition: exp.Expr) -> exp.Expr:
    """A WHERE condition in which ``(a, b) IN (SELECT ...)`` says that unknown is as good as false.

    A warehouse without PostgreSQL's comparison of rows has a faster way for that.
    """
    if isinstance(condition, exp.And):
        return exp.And(this=decided(condition.this), expression=decided(condition.expression))
    if isinstance(condition, exp.Paren):
        return exp.Paren(this=decided(condition.this))
    if isinstance(condition, exp.In) and isinstance(condition.this, exp.Tuple):
        return exp.Is(this=condition, expression=exp.true())
    return condition


def is_plain_count(node: exp.Expr) -> bool:
    """Whether a count of rows can stand as it is: a typed constant no dialect takes there."""
    is_number = isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit()
    return is_number and len(node.this) < _LONG_COUNT


def checked_count(number: exp.Expr, sqlstate: str, clause: str) -> exp.Expr:
    """A count of rows that complains by itself when it is negative."""
    if number.find(exp.Select):
        return number
    message = exp.Literal.string(f"{sqlstate}: {clause} must not be negative")
    # A cast that fails says it: error() is taken for something that varies.
    complaint = exp.Cast(this=message, to=exp.DataType.build("int"))
    negative = exp.LT(this=enclose(number), expression=exp.Literal.number(0))
    return exp.Case(ifs=[exp.If(this=negative, true=complaint)], default=copied(number))


def any_number_of_rows() -> exp.Expr:
    """A condition that holds for every group, and makes its SELECT a grouped one."""
    rows = exp.Count(this=exp.Star(), big_int=True)
    return exp.GTE(this=rows, expression=exp.Literal.number(0))


def limit_with_ties(select: exp.Select, dialect: str) -> None:
    """Make a SELECT's LIMIT one that keeps the rows that sort as its last row does."""
    count = select.args["limit"].expression
    if dialect == "postgres":
        options = exp.LimitOptions(rows=True, with_ties=True)
        select.set("limit", exp.Fetch(direction="FIRST", count=count, limit_options=options))
        return
    if select.args.get("distinct"):
        raise UnsupportedError(
            f"DISTINCT with FETCH ... WITH TIES is not supported on {dialect}",
            hint="Put the DISTINCT into a subquery.",
        )
    order, offset = select.args.get("order"), select.args.get("offset")

    def place(function: str) -> exp.Expr:
        call = exp.Anonymous(this=function)
        return exp.Window(this=call, order=None if order is None else copied(order))

    last = count if offset is None else exp.Add(this=enclose(count), expression=offset.expression)
    condition: exp.Expr = exp.LTE(this=place("rank"), expression=enclose(last))
    if offset is not None:
        after = exp.GT(this=place("row_number"), expression=enclose(copied(offset.expression)))
        condition = exp.And(this=condition, expression=after)
    select.set("qualify", exp.Qualify(this=condition))
    select.set("limit", None)
    select.set("offset", None)


def plain(node: exp.Expr) -> exp.Expr:
    """A copy without what the translation noted in it, to be taken as a column would be."""
    tree = copied(node)
    for item in tree.walk():
        item._meta = None
    return tree


def output_name(select: exp.Select, key: OrderKey, dialect: str) -> exp.Expr | None:
    """The name of the output column that a sort key is, where a dialect wants it by its name."""
    if key.output is None or not features_of(dialect).names_outputs:
        return None
    return identifier(select.expressions[key.output].alias)


def ordered(node: exp.Expr, key: OrderKey) -> exp.Ordered:
    """A sort key; where NULLs go is always said."""
    if isinstance(node, exp.Literal):
        # A bare number would be read as the position of an output column.
        node = exp.Cast(this=node, to=exp.DataType.build("text" if node.is_string else "int"))
    return exp.Ordered(this=node, desc=key.descending, nulls_first=key.nulls_first)


def joined(
    join: Join,
    first: exp.Expr,
    others: list[exp.Expr],
    condition: exp.Expr | None,
    dialect: str,
    types: TypeEnvironment,
) -> exp.Join:
    """A join with a table, or with a table and what is joined to it first."""
    kind = join.kind
    if (
        dialect == "postgres"
        and condition is not None
        and (kind == "FULL" or _is_over_equal_types(join.condition, types))
    ):
        condition = hashable(condition)
    if others:
        inner = first.copy()
        inner.set("joins", others)
        first = exp.Paren(this=inner)
    side = kind if kind in {"LEFT", "RIGHT", "FULL"} else None
    return exp.Join(
        this=first, side=side, kind=kind if kind in {"CROSS", "INNER"} else None, on=condition
    )


def is_keyless(plan: Select) -> bool:
    """Whether a SELECT groups by nothing at all, perhaps several times."""
    return plan.group is not None and not any(grouping_keys(plan.group))


def aggregates_in(plan: Select) -> bool:
    """Whether a select list or ORDER BY holds an aggregate, or a measure's value."""
    nodes = [
        *(item.expression for item in plan.projections),
        *(key.expression for key in plan.order),
    ]
    return any(
        contains_aggregate(node)
        or any(table_of(item) == MEASURE_TABLE for item in node.find_all(exp.Column))
        for node in nodes
    )


_COMPARABLE = frozenset(
    {
        "bool", "date", "float4", "float8", "int2", "int4", "int8", "interval", "numeric", "text",
        "time", "timestamp", "timestamptz", "uuid",
    }
)  # fmt: skip


def _is_over_equal_types(condition: exp.Expr | None, types: TypeEnvironment) -> bool:
    """Whether null-safe equalities compare values of one type, as those of group keys do."""
    for node in conjuncts(condition):
        if isinstance(node, exp.NullSafeEQ):
            left, right = infer(node.this, types), infer(node.expression, types)
            if left.name != right.name or left.name not in _COMPARABLE:
                return False
    return True


def hashable(condition: exp.Expr) -> exp.Expr:
    """A condition of null-safe equalities as one that PostgreSQL can hash, and FULL JOIN by.

    It does so by equality only, and arrays are equal where both elements are NULL.
    """
    parts = conjuncts(condition)
    if not any(isinstance(part, exp.NullSafeEQ) for part in parts):
        return condition
    return all_of([_as_arrays(part) for part in parts]) or condition


def _as_arrays(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.NullSafeEQ):
        return copied(node)
    left, right = (exp.Array(expressions=[copied(side)]) for side in (node.this, node.expression))
    return exp.EQ(this=left, expression=right)


def final_names(columns: tuple[ResultColumn, ...]) -> list[str]:
    """Aliases for the result: the announced names, made to differ."""
    names = Names()
    return [names.take(column.name) for column in columns]


def number_parameters(
    tree: exp.Expr, parameters: Sequence[PostgresType], values: Mapping[str, BoundValue]
) -> tuple[Placeholder, ...]:
    """Number a tree's placeholders anew, without gaps, in the order of the text.

    Args:
        tree: the statement.
        parameters: types of those that go by number: the client's, then arrays.
        values: those that go by name, which are bound whatever the client sends.
    """
    places: dict[str, int] = {}
    if not parameters and not values:
        return ()
    for node in list(tree.find_all(exp.Parameter, bfs=False)):
        place = places.setdefault(node.this.name, len(places) + 1)
        node.set("this", exp.Literal.number(place))
    uses: list[Placeholder] = []
    for name in places:
        if name in values:
            uses.append(values[name])
            continue
        index = int(name) - 1
        if index >= len(parameters):
            raise SemanticError("42P02", f"there is no parameter ${index + 1}")
        uses.append(ParameterUse(index, parameters[index]))
    return tuple(uses)


_SPELLED = {
    "int2": "smallint", "int4": "int", "int8": "bigint", "float4": "real",
    "float8": "double precision", "bool": "boolean", "bpchar": "char",
    "timestamptz": "timestamp with time zone", "timetz": "time with time zone",
}  # fmt: skip


@lru_cache(maxsize=256)
def _data_type(text: str) -> exp.DataType:
    return exp.DataType.build(text, dialect="postgres")


def postgres_data_type(kind: PostgresType) -> exp.DataType:
    """A type as a node of a plan expression."""
    element = kind.element
    text = _SPELLED.get(element.name, element.name)
    if element.name == "numeric" and element.modifier >= 4:
        text = f"numeric({(element.modifier - 4) >> 16},{(element.modifier - 4) & 0x7FF})"
    found = copied(_data_type(text + ("[]" if kind.is_array else "")))
    if not isinstance(found, exp.DataType):
        raise TypeError(text)
    return found
