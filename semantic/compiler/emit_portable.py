"""What a plan and its statement need in a dialect that does not have all that PostgreSQL has.

A plan that asks for more is refused (0A000) before anything of it is written. Columns of the model
are put into the form that the dialect's templates take, once, where the scans read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import ErrorLevel, exp
from sqlglot.errors import UnsupportedError as UnsupportedDialectError

from semantic.compiler.api import Analysis, ResultColumn
from semantic.compiler.dialect import dialect_of
from semantic.compiler.emit_parts import is_constant, is_plain_count
from semantic.compiler.exact_columns import exact_column
from semantic.compiler.expressions import (
    Features,
    features_of,
    is_comparable,
    is_sortable,
    tables_of,
)
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.plan import (
    MEASURE_TABLE,
    SUBQUERY_TABLE,
    AliasedRelation,
    Cte,
    Derived,
    Join,
    PlanNode,
    Query,
    Scan,
    Select,
    SetOperation,
    Subquery,
    Values,
    walk,
)
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.portable_forms import reformed
from semantic.compiler.rewrite.tools import bottom_up, expressions_of
from semantic.compiler.trees import grouping_keys, table_of
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType

_NO_END = 9223372036854775807
"""A number of rows that no query has."""


def prepared(plan: Query, analysis: Analysis, dialect: str) -> Query:
    """A plan whose scans yield what the dialect's templates take.

    Raises:
        UnsupportedError: it asks for a form of query that the dialect does not have.
    """
    tables = tables_of(dialect)
    if tables is None:
        return plan
    types = PlanTypes(plan, analysis)
    plan = bottom_up(plan, lambda node: reformed(node, tables.features, types))
    for node in walk(plan):
        missing = _missing(node, tables.features)
        if missing:
            raise UnsupportedError(f"{missing} is not supported on {tables.title}")
    return bottom_up(plan, lambda node: _changed(node, tables))


def _changed(node: PlanNode, tables: Tables) -> PlanNode:
    if isinstance(node, Scan):
        columns = tuple(
            replace(item, expression=exact_column(item.expression, item.type, tables))
            for item in node.columns
        )
        return replace(node, columns=columns)
    if isinstance(node, Cte) and not tables.features.materialized:
        return replace(node, materialized=None)
    return node


def _missing(node: PlanNode, features: Features) -> str:
    """The form that a node asks for and the dialect does not have; empty for none."""
    if isinstance(node, Join):
        if isinstance(node.right, Join) and not features.nested_joins:
            return "a join within a join"
        return "FULL JOIN" if node.kind == "FULL" and not features.full_join else ""
    if isinstance(node, Derived):
        return "LATERAL" if node.lateral and not features.lateral else ""
    if isinstance(node, Values):
        return "" if features.values else "VALUES"
    if isinstance(node, Cte):
        return "WITH RECURSIVE" if node.recursive and not features.recursive else ""
    if isinstance(node, Subquery):
        allowed = features.correlated_subqueries or not _is_correlated(node.query)
        return "" if allowed else "a correlated subquery"
    if isinstance(node, SetOperation):
        return _missing_of_sets(node, features) or _computed(node, features)
    if isinstance(node, Select):
        return _missing_of_select(node, features) or _computed(node, features)
    return ""


def _is_correlated(query: Query) -> bool:
    """Whether a query speaks of rows around it."""
    nodes = list(walk(query))
    inside = {node.alias for node in nodes if isinstance(node, AliasedRelation)}
    inside |= {"", MEASURE_TABLE, SUBQUERY_TABLE}
    return any(
        table_of(column) not in inside
        for node in nodes
        for tree in expressions_of(node)
        for column in tree.find_all(exp.Column)
    )


def _missing_of_sets(node: SetOperation, features: Features) -> str:
    name = f"{node.operator} all" if node.all else node.operator
    if name not in features.set_operations:
        return name.upper()
    nested = any(_is_enclosed(side) for side in (node.left, node.right))
    return "" if features.nested_set_operations or not nested else f"{name.upper()} of such queries"


def _is_enclosed(side: Query) -> bool:
    """Whether a side of a set operation is written in parentheses."""
    plain = isinstance(side, Select) and not side.order
    return not plain or getattr(side, "limit", None) is not None


def _missing_of_select(node: Select, features: Features) -> str:
    sets = (exp.GroupingSets, exp.Rollup, exp.Cube)
    if not features.grouping_sets and any(isinstance(key, sets) for key in node.group or ()):
        return "GROUPING SETS, ROLLUP or CUBE"
    if node.distinct_on and not features.distinct_on:
        return "DISTINCT ON"
    if node.with_ties and not features.with_ties:
        return "WITH TIES"
    missing = _missing_of_keys(list(grouping_keys(node.group or ())), features)
    if missing:
        return missing
    return "WINDOW" if node.windows and not features.named_windows else ""


def _missing_of_keys(keys: Sequence[exp.Expr], features: Features) -> str:
    if not features.constant_keys and any(is_constant(key) for key in keys):
        return "GROUP BY of a constant"
    if not features.aggregated_queries and any(key.find(exp.Query) for key in keys):
        return "GROUP BY of a subquery"
    return ""


def _computed(node: Select | SetOperation, features: Features) -> str:
    counts = [item for item in (node.limit, node.offset) if item is not None]
    if not features.empty_pages and len(counts) == 2 and node.limit == exp.Literal.number(0):
        return "OFFSET with LIMIT 0"
    if features.computed_limits or all(is_plain_count(item) for item in counts):
        return ""
    return "a computed LIMIT or OFFSET"


def check_keys(plan: Query, types: PlanTypes, dialect: str) -> None:
    """Check what rows are told apart and sorted by.

    Raises:
        UnsupportedError: the dialect compares values of that type by other rules than PostgreSQL.
    """
    tables = tables_of(dialect)
    if tables is None:
        return
    for node in walk(plan):
        for kind in _told_apart(node, types):
            if not is_comparable(kind, dialect):
                raise UnsupportedError(
                    f"telling values of type {kind.name} apart is not supported on {tables.title}"
                )
        for kind in _sorted_by(node, types):
            if not is_sortable(kind, dialect):
                raise UnsupportedError(
                    f"sorting by values of type {kind.name} is not supported on {tables.title}"
                )


def _told_apart(node: PlanNode, types: PlanTypes) -> list[PostgresType]:
    if isinstance(node, Select):
        keys = [*grouping_keys(node.group or ()), *node.distinct_on]
        kinds = [types.expression(key) for key in keys if not is_constant(key)]
        return [*kinds, *(types.query(node) if node.distinct else ())]
    if isinstance(node, SetOperation) and (node.operator != "union" or not node.all):
        return list(types.query(node))
    return []


def _sorted_by(node: PlanNode, types: PlanTypes) -> list[PostgresType]:
    if isinstance(node, Select):
        keys = [key.expression for key in node.order]
        return [types.expression(key) for key in keys if not is_constant(key)]
    if isinstance(node, SetOperation) and node.order:
        return list(types.query(node))
    return []


def written(tree: exp.Expr, columns: tuple[ResultColumn, ...], dialect: str) -> str:
    """A statement's text. Changes the tree.

    Raises:
        UnsupportedError: the dialect has no form for something in it.
    """
    if tables_of(dialect) is not None:
        tree = _settled(tree, dialect)
    try:
        text = dialect_of(dialect).generate(tree, copy=False, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedDialectError as error:
        raise UnsupportedError(
            f"the warehouse has no exact form of this statement: {error}",
            hint="Write the expression in another way.",
        ) from error
    if not columns or not features_of(dialect).typed_results:
        return text
    return f"/* {', '.join(column.type.name for column in columns)} */ {text}"


def _settled(tree: exp.Expr, dialect: str) -> exp.Expr:
    """The tree in the dialect's spellings: placeholders, and what fences rows off."""
    for node in list(tree.find_all(exp.Parameter)):
        node.replace(exp.Var(this=f"${node.this.name}"))
    features = features_of(dialect)
    if not features.filters:
        for item in list(tree.find_all(exp.Filter)):
            item.replace(_narrowed(item.this, item.expression.this))
    if not features.nested_order:
        _drop_nested_order(tree)
    fence = features.fence
    if fence == "offset":
        return tree
    for select in tree.find_all(exp.Select):
        offset = select.args.get("offset")
        if offset is None or select.args.get("limit") is not None:
            continue
        if fence == "none" or offset.expression.name != "0":
            raise UnsupportedError("OFFSET without LIMIT is not supported here")
        select.set("offset", None)
        select.set("limit", exp.Limit(expression=exp.Literal.number(_NO_END)))
    return tree


def _drop_nested_order(tree: exp.Expr) -> None:
    """Take ORDER BY out of queries within others that yield all of their rows."""
    for query in tree.find_all(exp.Select, exp.SetOperation):
        limited = query.args.get("limit") is not None or query.args.get("offset") is not None
        if query is not tree and not limited:
            query.set("order", None)


def _narrowed(call: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """An aggregate of what a condition leaves, which passes over NULLs."""
    distinct = call.this if isinstance(call.this, exp.Distinct) else None
    values = [call.this] if distinct is None else distinct.expressions
    others = [item for name, item in call.args.items() if item and name not in ("this", "big_int")]
    if not isinstance(call, exp.AggFunc) or len(values) != 1 or others:
        raise UnsupportedError("FILTER of this aggregate is not supported on this data source")
    value = exp.Literal.number(1) if isinstance(values[0], exp.Star) else values[0]
    chosen = exp.Case(ifs=[exp.If(this=condition, true=value)])
    if distinct is not None:
        distinct.set("expressions", [chosen])
    else:
        call.set("this", chosen)
    return call
