"""The PostgreSQL types of a plan's columns, worked out when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import Analysis
from semantic.compiler.expressions import infer, set_columns
from semantic.compiler.expressions.types import QUOTIENT, has_mixed_scales
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    AliasedRelation,
    Cte,
    CteReference,
    Derived,
    FunctionTable,
    MeasureUse,
    PlanNode,
    Query,
    Relation,
    Scan,
    ScanColumn,
    Select,
    SetOperation,
    StageRows,
    Subquery,
    TemporaryRows,
    Values,
    With,
    query_columns,
    walk,
)
from semantic.compiler.trees import table_of
from semantic.errors import SemanticError
from semantic.model.types import (
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    NUMERIC,
    TEXT,
    UNKNOWN,
    PostgresType,
)


class PlanTypes:
    """The ``TypeEnvironment`` of a plan."""

    def __init__(self, plan: PlanNode, analysis: Analysis) -> None:
        self._parameters = analysis.parameters
        self._relations: dict[str, Relation] = {}
        self._measures: dict[str, MeasureUse] = {}
        self._subqueries: dict[str, Query] = {}
        self._ctes: dict[str, Query] = {}
        self._recursive: dict[str, SetOperation] = {}
        self._known: dict[tuple[str, str], PostgresType] = {}
        self._scan_columns: dict[tuple[str, str], ScanColumn] = {}
        self._columns: dict[int, tuple[PostgresType, ...]] = {}
        self._kept: list[Query] = []
        for node in walk(plan):
            self._register(node)

    def _register(self, node: PlanNode) -> None:
        if isinstance(node, AliasedRelation):
            self._relations[node.alias] = node
            if isinstance(node, Scan):
                for item in node.columns:
                    self._scan_columns[(node.alias, item.name)] = item
        elif isinstance(node, Cte):
            self._ctes[node.key] = node.query
            if node.recursive and isinstance(node.query, SetOperation):
                self._recursive[node.key] = node.query
        elif isinstance(node, Subquery):
            self._subqueries[node.key] = node.query
        elif isinstance(node, Select):
            for use in node.measures:
                self._measures[use.key] = use

    def define(self, table: str, name: str, kind: PostgresType) -> None:
        """Make a column known that belongs to no relation of the plan."""
        self._known[(table, name)] = resolved(kind)

    def find_relation(self, alias: str) -> Relation | None:
        """The relation of that alias, if it is one of the plan's."""
        return self._relations.get(alias)

    def scan_column(self, scan: Scan, name: str) -> ScanColumn:
        """A scan's column by name."""
        return self._scan_columns[(scan.alias, name)]

    def subquery_plan(self, key: str) -> Query:
        """The query of that key."""
        return self._subqueries[key]

    def column(self, node: exp.Column) -> PostgresType:
        """The type of a bound column."""
        table, name = table_of(node), node.name
        key = (table, name)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._find(table, name)
        return known

    def _measure(self, use: MeasureUse) -> PostgresType:
        if use.type is None:
            return infer(use.formula, self)
        if use.portable and use.type == NUMERIC:
            # An average has digits that differ from row to row, a sum has not.
            found = infer(use.formula, self)
            return found if found.name == "numeric" else use.type
        return use.type

    def parameter(self, index: int) -> PostgresType:
        """The type of a parameter, 0-based."""
        if index >= len(self._parameters):
            raise SemanticError("42P02", f"there is no parameter ${index + 1}")
        return self._parameters[index]

    def subquery(self, node: exp.Expr) -> PostgresType:
        """The type of the only column of a subquery in an expression."""
        columns = self.subquery_columns(node)
        return columns[0] if columns else UNKNOWN

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        """The types of all columns of a subquery in an expression."""
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        key = subquery_key(node)
        return () if key is None else self.query(self._subqueries[key])

    def expression(self, node: exp.Expr) -> PostgresType:
        """The type of a plan expression."""
        return infer(node, self)

    def query(self, query: Query) -> tuple[PostgresType, ...]:
        """The types of a query's columns."""
        known = self._columns.get(id(query))
        if known is None:
            known = self._columns[id(query)] = self._of_query(query)
            self._kept.append(query)
        return known

    def recursive(self, key: str) -> tuple[PostgresType, ...] | None:
        """The types of a recursive WITH query, which are those of the part that does not read it.

        None for other WITH queries. How many decimals the numbers of the other part have is not
        known before they are computed.
        """
        union = self._recursive.get(key)
        if union is None:
            return None
        left = self.query(union.left)
        return tuple(QUOTIENT if kind.name == "numeric" else kind for kind in left)

    def _of_query(self, query: Query) -> tuple[PostgresType, ...]:
        if isinstance(query, With):
            return self.query(query.body)
        if isinstance(query, Select):
            return tuple(resolved(infer(item.expression, self)) for item in query.projections)
        if isinstance(query, SetOperation) and query.uniform:
            return self.query(query.left)
        if isinstance(query, SetOperation):
            sides = (self._sides(query.left), self._sides(query.right))
            return tuple(resolved(common_type(pair)) for pair in zip(*sides, strict=True))
        if isinstance(query, Values):
            rows = [[infer(item, self) for item in row] for row in query.rows]
            return tuple(resolved(common_type(items)) for items in zip(*rows, strict=True))
        raise TypeError(type(query).__name__)

    def _sides(self, query: Query) -> tuple[PostgresType, ...]:
        """Types of one side of a set operation; literals are still of unknown type there."""
        if isinstance(query, Select):
            return tuple(infer(item.expression, self) for item in query.projections)
        return self.query(query)

    def _find(self, table: str, name: str) -> PostgresType:
        if table == MEASURE_TABLE:
            return self._measure(self._measures[name])
        relation = self._relations[table]
        if isinstance(relation, Scan):
            return self._scan_columns[(table, name)].type
        if isinstance(relation, TemporaryRows):
            return next(kind for own, kind, _ in relation.columns if own == name)
        if isinstance(relation, StageRows):
            return dict(relation.columns)[name]
        if isinstance(relation, FunctionTable):
            kinds = set_columns(relation.function, relation.arguments, self)
            return dict(zip(relation.columns, kinds, strict=False)).get(name, INT8)
        recursive = self.recursive(relation.cte) if isinstance(relation, CteReference) else None
        if isinstance(relation, CteReference) and recursive is not None:
            return recursive[query_columns(self._ctes[relation.cte]).index(name)]
        query = self._ctes[relation.cte] if isinstance(relation, CteReference) else None
        if isinstance(relation, Derived):
            query = relation.query
        if query is None:
            raise TypeError(type(relation).__name__)
        return self._query_column(query, name)

    def _query_column(self, query: Query, name: str) -> PostgresType:
        """One column's type, without asking for those that nobody needs."""
        while isinstance(query, With):
            query = query.body
        if isinstance(query, Select):
            item = next(item for item in query.projections if item.name == name)
            return resolved(infer(item.expression, self))
        return self.query(query)[query_columns(query).index(name)]


def subquery_key(node: exp.Expr) -> str | None:
    """The key of a subquery's placeholder; None for any other node."""
    if isinstance(node, exp.Select) and len(node.expressions) == 1:
        only = node.expressions[0]
        if isinstance(only, exp.Column) and table_of(only) == SUBQUERY_TABLE:
            return only.name
    return None


def resolved(kind: PostgresType) -> PostgresType:
    """The type of a column whose expression is a bare literal is text."""
    return TEXT if kind.name == "unknown" else kind


_NUMBERS = (INT2, INT4, INT8, NUMERIC, FLOAT4, FLOAT8)
_TIMES = ("date", "timestamp", "timestamptz")
_STRINGS = ("bpchar", "varchar", "name", "text")


def common_type(kinds: Sequence[PostgresType]) -> PostgresType:
    """The type that PostgreSQL chooses for a column of UNION or VALUES (manual, 10.5)."""
    known = [kind for kind in kinds if kind.name != "unknown"]
    if not known:
        return UNKNOWN
    first = known[0]
    if has_mixed_scales(known):
        return QUOTIENT
    if all(kind == first for kind in known):
        return first
    names = [kind.name for kind in known]
    if len(set(names)) == 1:
        return PostgresType(first.name)
    order = [kind.name for kind in _NUMBERS]
    if all(name in order for name in names):
        return PostgresType(max(names, key=order.index))
    for family in (_TIMES, _STRINGS):
        if all(name in family for name in names):
            return PostgresType(max(names, key=family.index))
    return PostgresType(first.name)
