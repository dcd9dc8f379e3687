"""The logical plan: relations and queries, already correct and governed.

Expressions in a plan are PostgreSQL expressions (sqlglot trees) over the columns of the plan's
relations, treated as immutable; every relation of a plan has an alias of its own, so a column
``alias.name`` means one thing wherever it stands. Two kinds of columns are placeholders:

* ``MEASURE_TABLE.key`` is the value of the ``MeasureUse`` of that key,
* a ``SELECT`` whose only expression is ``SUBQUERY_TABLE.key`` is the ``Subquery`` of that key.

The trees inside a ``Scan`` and the formula of a ``MeasureUse`` come from the model and are in the
warehouse's dialect. No node knows types: ``semantic.compiler.plan_types`` works them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

from sqlglot import exp

from semantic.compiler.plan_text import BOUND as BOUND
from semantic.compiler.plan_text import MEASURE_TABLE as MEASURE_TABLE
from semantic.compiler.plan_text import SUBQUERY_TABLE as SUBQUERY_TABLE
from semantic.compiler.plan_text import sql_text
from semantic.compiler.rollups.api import UnusedRollup
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class PlanNode:
    """Anything of a plan. ``describe`` is its line in EXPLAIN."""

    def describe(self) -> str:
        """One stable line."""
        raise NotImplementedError

    def children(self) -> tuple[PlanNode, ...]:
        """The nodes below, in the order in which EXPLAIN prints them."""
        found: list[PlanNode] = []
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, PlanNode):
                found.append(value)
            elif isinstance(value, tuple):
                found.extend(item for item in value if isinstance(item, PlanNode))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Relation(PlanNode):
    """Something that stands in FROM."""


@dataclass(frozen=True, slots=True)
class Query(PlanNode):
    """Something that yields rows of a fixed list of columns."""


@dataclass(frozen=True, slots=True)
class ScanColumn:
    """A column of a scan: a tree of the warehouse's dialect over the scan's base tables."""

    name: str
    expression: exp.Expr
    type: PostgresType


@dataclass(frozen=True, slots=True)
class ScanJoin:
    """A to-one join of a scan.

    Attributes:
        alias: of the joined table.
        table: a table or a subquery, without alias.
        condition: over the aliases of the scan.
        kind: ``LEFT`` or ``INNER``.
        name: how the plan calls it, as ``origin -> airports``.
        structural: whether the join has a say in which rows there are.
    """

    alias: str
    table: exp.Expr
    condition: exp.Expr
    kind: Literal["LEFT", "INNER"]
    name: str
    structural: bool = False


@dataclass(frozen=True, slots=True)
class Scan(Relation):
    """The rows of a cube or view (R1, R2) with the columns that the statement needs.

    Attributes:
        alias: of the scan in the plan.
        relation: the cube's or view's name.
        cube: whose rows it reads: the relation itself, or a view's root.
        base: alias of the root table inside the scan.
        table: the root table or subquery, without alias.
        filters: conditions that belong to the relation itself, over the base tables.
        policies: names of the access policies that rule its rows, inside its tables or as filters.
        pushed: leakproof conditions of the client's over its columns, for its governed query.
        fenced: nothing of the client's may be evaluated on rows that the filters keep out.
        inline: the SELECT around it reads the tables and computes the columns where it uses them.
        rollup: the pre-aggregation whose groups are read instead of the rows; empty for none.
        rollup_built_at: Unix seconds at which its oldest data was read.
        unused: pre-aggregations that the rows are not read from, and why.
    """

    alias: str
    relation: str
    cube: str
    data_source: str
    base: str
    table: exp.Expr
    joins: tuple[ScanJoin, ...]
    columns: tuple[ScanColumn, ...]
    filters: tuple[exp.Expr, ...] = ()
    policies: tuple[str, ...] = ()
    pushed: tuple[exp.Expr, ...] = ()
    fenced: bool = False
    inline: bool = False
    rollup: str = ""
    rollup_built_at: float | None = field(default=None, compare=False)
    unused: tuple[UnusedRollup, ...] = field(default=(), compare=False)

    def describe(self) -> str:
        """One stable line."""
        columns = ", ".join(
            f"{column.name}={sql_text(column.expression)}" for column in self.columns
        )
        joins = "".join(f" join {join.name}" for join in self.joins)
        filters = "".join(f" where {sql_text(item)}" for item in (*self.pushed, *self.filters))
        inline = " inline" if self.inline else ""
        inline += f" rollup {self.rollup} of" if self.rollup else ""
        policies = f" policies ({', '.join(self.policies)})" if self.policies else ""
        return f"scan{inline} {self.relation} as {self.alias}{joins}{filters}{policies} [{columns}]"


@dataclass(frozen=True, slots=True)
class Derived(Relation):
    """A subquery in FROM."""

    alias: str
    query: Query
    lateral: bool = False

    def describe(self) -> str:
        """One stable line."""
        return f"derived {self.alias}{' lateral' if self.lateral else ''}"


@dataclass(frozen=True, slots=True)
class CteReference(Relation):
    """A WITH query in FROM, by the key of its ``Cte``."""

    alias: str
    cte: str

    def describe(self) -> str:
        """One stable line."""
        return f"cte {self.cte} as {self.alias}"


@dataclass(frozen=True, slots=True)
class TemporaryRows(Relation):
    """A temporary table of the session, its rows bound as arrays.

    Attributes:
        columns: name, type and the number of the array among the statement's, from 0.
    """

    alias: str
    table: str
    columns: tuple[tuple[str, PostgresType, int], ...]

    def describe(self) -> str:
        """One stable line."""
        names = ", ".join(name for name, _, _ in self.columns)
        return f"temporary {self.table} as {self.alias} [{names}]"


@dataclass(frozen=True, slots=True)
class FunctionTable(Relation):
    """A function in FROM, which may speak of the relations before it.

    Attributes:
        function: ``generate_series`` or ``unnest``.
        columns: names of its columns, the ordinality last.
        subqueries: those inside the arguments.
    """

    alias: str
    function: str
    arguments: tuple[exp.Expr, ...]
    columns: tuple[str, ...]
    ordinality: bool = False
    subqueries: tuple[Subquery, ...] = ()

    def describe(self) -> str:
        """One stable line."""
        listed = ", ".join(sql_text(item) for item in self.arguments)
        ordinality = " with ordinality" if self.ordinality else ""
        return f"function {self.function}({listed}){ordinality} as {self.alias}"


@dataclass(frozen=True, slots=True)
class StageRows(Relation):
    """Rows that were fetched into a table of the stage (``semantic.compiler.staging``)."""

    alias: str
    table: str
    columns: tuple[tuple[str, PostgresType], ...]

    def describe(self) -> str:
        """One stable line."""
        return f"{self.table} as {self.alias} [{', '.join(name for name, _ in self.columns)}]"


AliasedRelation = Scan | Derived | CteReference | FunctionTable | TemporaryRows | StageRows
"""What stands in FROM under an alias of its own: everything but joins."""


@dataclass(frozen=True, slots=True)
class Join(Relation):
    """A join as the client wrote it, or as the model declares it.

    Attributes:
        condition: of the client's text.
        model_condition: of the model, in the warehouse's dialect over columns of the scans.
        path: how the model calls its join, as ``flights.origin``.
        is_to_one: the model says that a row of the left side has one of the right at most.
    """

    left: Relation
    right: Relation
    kind: Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]
    condition: exp.Expr | None
    model_condition: exp.Expr | None = None
    path: str = ""
    is_to_one: bool = False

    def describe(self) -> str:
        """One stable line."""
        path = f" by {self.path}" if self.path else ""
        conditions = [item for item in (self.model_condition, self.condition) if item is not None]
        on = " on " + " and ".join(sql_text(item) for item in conditions) if conditions else ""
        return f"{self.kind.lower()} join{path}{on}"


@dataclass(frozen=True, slots=True)
class RowKey:
    """What tells the rows of a measure's cube apart where a join may repeat them (J2).

    Attributes:
        columns: the primary key as plan columns; all NULL where an outer join found no row.
        inputs: names of the formula's columns whose aggregates are over these rows; None for all.
        apart: further values that a row is counted apart for.
    """

    columns: tuple[exp.Expr, ...]
    inputs: frozenset[str] | None = None
    apart: tuple[exp.Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasureUse:
    """A measure evaluated over the rows of a group (M1).

    Attributes:
        key: unique in the statement; the placeholder's column name.
        name: ``relation.measure``, for people.
        alias: the relation whose columns the formula is over.
        formula: aggregates over ``alias``'s columns.
        portable: the formula is a PostgreSQL expression, not in the warehouse's dialect.
        type: of the value; None for a portable formula that says it itself.
        filter: the FILTER condition, a PostgreSQL expression.
        row_keys: where the SELECT's rows may repeat those of a cube, how to count each once. A plan
            with any of them is not complete: ``semantic.compiler.lower`` writes them out.
        position: in the client's text, for refusals.
    """

    key: str
    name: str
    alias: str
    formula: exp.Expr
    portable: bool
    type: PostgresType | None
    filter: exp.Expr | None = None
    row_keys: tuple[RowKey, ...] = ()
    position: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Subquery(PlanNode):
    """A query inside an expression."""

    key: str
    query: Query

    def describe(self) -> str:
        """One stable line."""
        return f"subquery {self.key}"


@dataclass(frozen=True, slots=True)
class Projection:
    """An output column: its name in the plan, unique among its siblings whatever the case."""

    name: str
    expression: exp.Expr


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A sort key.

    ``output`` is set where the key is an output column (0-based); ``nulls_first`` is explicit.
    """

    expression: exp.Expr
    descending: bool
    nulls_first: bool
    output: int | None = None

    def __str__(self) -> str:
        words = [sql_text(self.expression)]
        if self.descending:
            words.append("desc")
        if self.nulls_first != self.descending:
            words.append("nulls first" if self.nulls_first else "nulls last")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Select(Query):
    """A SELECT.

    Attributes:
        group: None does not group; () groups everything into one row. Elements may be
            ``exp.Rollup``, ``exp.Cube``, ``exp.GroupingSets``.
        windows: named windows as (name, ``exp.Window``).
    """

    projections: tuple[Projection, ...]
    source: Relation | None = None
    where: exp.Expr | None = None
    group: tuple[exp.Expr, ...] | None = None
    having: exp.Expr | None = None
    windows: tuple[tuple[str, exp.Expr], ...] = ()
    distinct: bool = False
    distinct_on: tuple[exp.Expr, ...] = ()
    order: tuple[OrderKey, ...] = ()
    limit: exp.Expr | None = None
    offset: exp.Expr | None = None
    with_ties: bool = False
    measures: tuple[MeasureUse, ...] = ()
    subqueries: tuple[Subquery, ...] = ()

    def describe(self) -> str:
        """One stable line."""
        names = {use.key: use for use in self.measures}
        words = ["select distinct" if self.distinct else "select"]
        if self.distinct_on:
            words.append(f"distinct on ({', '.join(_show(e, names) for e in self.distinct_on)})")
        words.append(
            "["
            + ", ".join(
                text
                if (text := _show(p.expression, names)).rpartition(".")[2] == p.name
                else f"{p.name}={text}"
                for p in self.projections
            )
            + "]"
        )
        if self.where is not None:
            words.append(f"where {_show(self.where, names)}")
        if self.group is not None:
            words.append(f"group by ({', '.join(_show(e, names) for e in self.group)})")
        if self.having is not None:
            words.append(f"having {_show(self.having, names)}")
        if self.order:
            words.append("order by " + ", ".join(_show_order(key, names) for key in self.order))
        if self.limit is not None:
            words.append(f"limit {sql_text(self.limit)}{' with ties' if self.with_ties else ''}")
        if self.offset is not None:
            words.append(f"offset {sql_text(self.offset)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class SetOperation(Query):
    """UNION, INTERSECT or EXCEPT.

    ``columns`` are its output names. Sort keys are output columns; their expressions only show.
    ``uniform``: both sides are known to have the same types, down to the digits of numbers.
    """

    operator: Literal["union", "intersect", "except"]
    all: bool
    left: Query
    right: Query
    columns: tuple[str, ...]
    order: tuple[OrderKey, ...] = ()
    limit: exp.Expr | None = None
    offset: exp.Expr | None = None
    uniform: bool = False

    def describe(self) -> str:
        """One stable line."""
        words = [self.operator + (" all" if self.all else "")]
        if self.order:
            words.append("order by " + ", ".join(str(key) for key in self.order))
        if self.limit is not None:
            words.append(f"limit {sql_text(self.limit)}")
        if self.offset is not None:
            words.append(f"offset {sql_text(self.offset)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Values(Query):
    """VALUES; ``columns`` are its output names."""

    rows: tuple[tuple[exp.Expr, ...], ...]
    columns: tuple[str, ...]
    subqueries: tuple[Subquery, ...] = ()

    def describe(self) -> str:
        """One stable line."""
        return f"values {len(self.rows)} rows [{', '.join(self.columns)}]"


@dataclass(frozen=True, slots=True)
class Cte(PlanNode):
    """One WITH query; ``key`` is unique in the statement."""

    key: str
    query: Query
    materialized: bool | None = None
    recursive: bool = False

    def describe(self) -> str:
        """One stable line."""
        return f"with {'recursive ' if self.recursive else ''}{self.key}"


@dataclass(frozen=True, slots=True)
class With(Query):
    """A query with its WITH queries."""

    ctes: tuple[Cte, ...]
    body: Query

    def describe(self) -> str:
        """One stable line."""
        return "with"


def _show(node: exp.Expr, names: dict[str, MeasureUse]) -> str:
    text = sql_text(node)
    for key, use in names.items():
        condition = f" filter ({sql_text(use.filter)})" if use.filter is not None else ""
        rows = "".join(f" by row of {_show_key(item)}" for item in use.row_keys)
        text = text.replace(f'"{MEASURE_TABLE}"."{key}"', f"measure({use.name}{rows}{condition})")
    return text


def _show_key(key: RowKey) -> str:
    return "(" + ", ".join(sql_text(node) for node in (*key.columns, *key.apart)) + ")"


def _show_order(key: OrderKey, names: dict[str, MeasureUse]) -> str:
    text = str(key)
    shown = sql_text(key.expression)
    return _show(key.expression, names) + text[len(shown) :]


def walk(node: PlanNode) -> Iterator[PlanNode]:
    """A node and all nodes below it, top down."""
    yield node
    for child in node.children():
        yield from walk(child)


def explain(node: PlanNode, depth: int = 0) -> str:
    """The plan as text: one line a node, children indented by two spaces."""
    below = (explain(child, depth + 1) for child in node.children())
    return "\n".join(["  " * depth + node.describe(), *below])


def query_columns(query: Query) -> tuple[str, ...]:
    """The names of a query's output columns."""
    if isinstance(query, Select):
        return tuple(projection.name for projection in query.projections)
    if isinstance(query, With):
        return query_columns(query.body)
    if isinstance(query, SetOperation | Values):
        return query.columns
    raise TypeError(type(query).__name__)
