"""Binds queries: WITH, set operations, VALUES, and what stands in FROM."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.api import TemporaryTable
from semantic.compiler.conformed import is_over_several_roots
from semantic.compiler.cube_source import CubeSource
from semantic.compiler.fact_view import FactView
from semantic.compiler.from_functions import bind_function
from semantic.compiler.name_scope import Scope
from semantic.compiler.names import Names, name_of, quoted
from semantic.compiler.plain_build import PlainBuilder
from semantic.compiler.plain_columns import PlainColumns
from semantic.compiler.plan import (
    OrderKey,
    Query,
    SetOperation,
    Values,
)
from semantic.compiler.positions import position_of
from semantic.compiler.resolve import ROWS, Resolver
from semantic.compiler.scope import (
    BoundQuery,
    QuerySource,
    Source,
    use_all,
)
from semantic.compiler.select import BoundSelect
from semantic.compiler.select_state import limits_of
from semantic.compiler.sources import FromClause
from semantic.compiler.statement import Statement, not_a_query, refuse_other_arguments, unsupported
from semantic.compiler.temporary_source import TemporarySource, find_temporary
from semantic.compiler.trees import column, identifier
from semantic.compiler.with_queries import BoundCte, BoundWith, OwnRows
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension
from semantic.model.relations import View

_OPERATORS = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}
_SET_CLAUSES = frozenset({"this", "expression", "distinct", "with_", "order", "limit", "offset"})
_TABLE_CLAUSES = frozenset({"this", "db", "catalog", "alias", "joins", "only"})
_SUBQUERY_CLAUSES = frozenset({"this", "alias", "joins", "with_", "order", "limit", "offset"})


class BoundSetOperation(PlainColumns):
    """UNION, INTERSECT, EXCEPT; see ``BoundQuery``. Its columns are all in demand."""

    def __init__(
        self, statement: Statement, node: exp.SetOperation, left: BoundQuery, right: BoundQuery
    ) -> None:
        refuse_other_arguments(node, _SET_CLAUSES, "a set operation")
        self._statement = statement
        self._node = node
        self._left = left
        self._right = right
        use_all(left)
        use_all(right)
        self.names = list(left.names)
        self._output_names = Names()
        self._columns = tuple(self._output_names.take(name) for name in self.names)
        self._limit, self._offset, ties = limits_of(node)
        if ties:
            raise unsupported("WITH TIES", node)
        order = node.args.get("order")
        self._order = tuple(self._key(item) for item in (order.expressions if order else []))

    def _key(self, node: exp.Ordered) -> OrderKey:
        key = node.this
        index = None
        if isinstance(key, exp.Literal) and str(key.this).isdigit():
            index = int(key.this) - 1
        elif isinstance(key, exp.Column) and isinstance(key.this, exp.Identifier):
            name = name_of(key.this)
            index = self.names.index(name) if name in self.names else None
        if index is None or not 0 <= index < len(self.names):
            raise unsupported(
                "ORDER BY of a set operation over anything but its output columns", node
            )
        return OrderKey(
            column("", self._columns[index]),
            bool(node.args.get("desc")),
            bool(node.args.get("nulls_first")),
            index,
        )

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        return self._columns[index]

    def time_dimension(self, index: int) -> Dimension | None:
        """See ``BoundQuery``."""
        left, right = self._left.time_dimension(index), self._right.time_dimension(index)
        same = left is not None and right is not None and left.granularities == right.granularities
        return left if same else None

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``BoundQuery``."""
        if self._node.args.get("distinct"):
            yield frozenset(range(len(self.names)))

    def build(self) -> Query:
        """See ``BoundQuery``."""
        for side in (self._left, self._right):
            for index in range(len(side.names)):
                side.demand(index)
        left, right = self._left.build(), self._right.build()
        operator = next(name for kind, name in _OPERATORS.items() if isinstance(self._node, kind))
        return SetOperation(
            operator,  # type: ignore[arg-type]
            not self._node.args.get("distinct"),
            left,
            right,
            self._columns,
            self._order,
            self._limit,
            self._offset,
        )


class BoundValues(PlainColumns):
    """VALUES; see ``BoundQuery``."""

    def __init__(self, binder: QueryBinder, node: exp.Values, parent: Scope | None) -> None:
        self._statement = binder.statement
        self._rows = [
            list(row.expressions) if isinstance(row, exp.Tuple) else [row]
            for row in node.expressions
        ]
        width = len(self._rows[0]) if self._rows else 0
        self.names = [f"column{number + 1}" for number in range(width)]
        self._resolver = Resolver(binder.statement, Scope(parent), binder.bind)
        for row in self._rows:
            for item in row:
                self._resolver.resolve(item, ROWS)

    def demand(self, index: int) -> str:
        """See ``BoundQuery``."""
        return self.names[index]

    def unique_keys(self) -> Iterator[frozenset[int]]:
        """See ``BoundQuery``."""
        if len(self._rows) == 1:
            yield frozenset()

    def build(self) -> Query:
        """See ``BoundQuery``."""
        builder = PlainBuilder(self._statement, self._resolver)
        rows = tuple(tuple(builder.expression(item) for item in row) for row in self._rows)
        return Values(rows, tuple(self.names), tuple(builder.subqueries))


class QueryBinder:
    """Binds a statement's queries, outermost first."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._ctes: list[dict[str, BoundCte]] = []

    def bind(self, node: exp.Expr, parent: Scope | None) -> BoundQuery:
        """Bind any query."""
        clause = node.args.get("with_")
        if clause is None:
            return self._body(node, parent)
        ctes: dict[str, BoundCte] = {}
        self._ctes.append(ctes)
        made: list[BoundCte] = []
        for item in clause.expressions:
            cte = self._cte(item, parent, recursive=bool(clause.args.get("recursive")))
            cte.is_shared = sum(name_of(table.this) == cte.name for table in _tables(node)) > 1
            ctes[cte.name] = cte
            made.append(cte)
        body = self._body(node, parent)
        self._ctes.pop()
        return BoundWith(made, body)

    def _cte(self, node: exp.CTE, parent: Scope | None, *, recursive: bool) -> BoundCte:
        refuse_other_arguments(node, frozenset({"this", "alias", "materialized"}), "WITH")
        alias = node.args["alias"]
        name = name_of(alias.this)
        if not isinstance(node.this, exp.Query):
            raise not_a_query(node.this)
        columns = tuple(name_of(item) for item in alias.args.get("columns") or [])
        if recursive and any(
            table.name and name_of(table.this) == name for table in _tables(node.this)
        ):
            return self._recursive_cte(node, name, columns, parent)
        query = self.bind(node.this, parent)
        # Several references may follow, which all mean the same rows.
        use_all(query)
        materialized = node.args.get("materialized")
        return BoundCte(name, self.statement.names.take(name), query, columns, materialized)

    def _recursive_cte(
        self, node: exp.CTE, name: str, columns: tuple[str, ...], parent: Scope | None
    ) -> BoundCte:
        """A WITH query that reads itself: its columns are those of the part that does not."""
        union = node.this
        if not isinstance(union, exp.Union) or union.args.get("with_") is not None:
            raise unsupported("this form of a recursive WITH query", node)
        left = self.bind(union.this, parent)
        cte = BoundCte(
            name,
            self.statement.names.take(name),
            OwnRows(left.names),
            columns,
            None,
            recursive=True,
        )
        self._ctes[-1][name] = cte
        right = self.bind(union.expression, parent)
        cte.query = BoundSetOperation(self.statement, union, left, right)
        use_all(cte.query)
        return cte

    def _body(self, node: exp.Expr, parent: Scope | None) -> BoundQuery:
        if isinstance(node, exp.Select):
            return BoundSelect(
                self.statement,
                node,
                parent,
                lambda scope: FromClause(self.statement, node, scope, self._source),
                self.bind,
            )
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, parent)
        if isinstance(node, exp.Values):
            refuse_other_arguments(node, frozenset({"expressions", "alias"}), "VALUES")
            return BoundValues(self, node, parent)
        if isinstance(node, exp.Subquery):
            return self._parentheses(node, parent)
        raise unsupported("this form of query", node)

    def _parentheses(self, node: exp.Subquery, parent: Scope | None) -> BoundQuery:
        """``(query) ORDER BY ... LIMIT ...`` is the query with these clauses around it."""
        refuse_other_arguments(node, _SUBQUERY_CLAUSES, "a subquery")
        clauses = {key: node.args.get(key) for key in ("order", "limit", "offset")}
        if not any(clauses.values()):
            return self.bind(node.this, parent)
        alias = exp.TableAlias(this=identifier("query"))
        inner = exp.Subquery(this=node.this, alias=alias)
        around = exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner), **clauses)
        return self.bind(around, parent)

    def _set_operation(self, node: exp.SetOperation, parent: Scope | None) -> BoundQuery:
        left = self.bind(node.this, parent)
        right = self.bind(node.expression, parent)
        if len(left.names) != len(right.names):
            self.statement.defer(
                SemanticError("42601", "each query of a set operation must have the same columns")
            )
        return BoundSetOperation(self.statement, node, left, right)

    def _source(self, node: exp.Expr, scope: Scope) -> Source:
        function = bind_function(self.statement, node, scope, self.bind)
        if function is not None:
            return function
        if isinstance(node, exp.Table):
            return self._table(node, scope)
        if isinstance(node, exp.Lateral):
            inner = node.this
            if not isinstance(inner, exp.Subquery):
                raise unsupported("this form of LATERAL", node)
            return self._derived(inner, scope, node.args.get("alias"), lateral=True)
        if isinstance(node, exp.Subquery | exp.Values):
            return self._derived(node, scope.parent, node.args.get("alias"), lateral=False)
        raise unsupported("this item in FROM", node)

    def _derived(
        self, node: exp.Expr, scope: Scope | None, alias: exp.Expr | None, *, lateral: bool
    ) -> Source:
        inner = node
        if isinstance(node, exp.Subquery):
            refuse_other_arguments(node, _SUBQUERY_CLAUSES, "a subquery")
            inner = (
                node.this
                if not any(node.args.get(k) for k in ("order", "limit", "offset"))
                else node
            )
        query = self.bind(inner, scope)
        name, columns = _alias_of(alias)
        plan_alias = self.statement.names.take(name or "subquery")
        return QuerySource(name, plan_alias, query, column_names=columns, lateral=lateral)

    def _table(self, node: exp.Table, scope: Scope) -> Source:
        if not isinstance(node.this, exp.Identifier):
            raise unsupported("this item in FROM", node)
        refuse_other_arguments(node, _TABLE_CLAUSES, "FROM")
        name = name_of(node.this)
        alias, columns = _alias_of(node.args.get("alias"))
        cte = self._find_cte(name) if node.args.get("db") is None else None
        if cte is not None:
            cte.used = True
            plan_alias = self.statement.names.take(alias or name)
            names = columns or cte.column_names
            if columns and len(columns) < len(cte.column_names):
                names = (*columns, *cte.column_names[len(columns) :])
            return QuerySource(
                alias or name,
                plan_alias,
                cte.query,
                column_names=names,
                cte=cte.key,
                shared=cte.is_shared,
            )
        temporary = self.temporary_of(node)
        if temporary is not None:
            plan_alias = self.statement.names.take(alias or name)
            return TemporarySource(
                alias or name, plan_alias, temporary, columns, self.statement.temporary
            )
        return self._cube(node, name, alias or name, columns)

    def _find_cte(self, name: str) -> BoundCte | None:
        for ctes in reversed(self._ctes):
            if name in ctes:
                return ctes[name]
        return None

    def _cube(self, node: exp.Table, name: str, alias: str, columns: tuple[str, ...]) -> Source:
        statement = self.statement
        found = self.relation_of(node)
        if found is None:
            raise self._not_a_cube(node, name)
        published = statement.relations[found]
        relation = statement.members.sql.model.relation(found)
        if relation is None:
            raise SemanticError("XX000", f"{found} is published but not in the model")
        access = statement.settings.access.governing(relation)
        if access is not None and not access.grants:
            # What nothing of may be seen is not there; a catalog of all relations would know it.
            raise SemanticError(
                "42P01", f'relation "{name}" does not exist', position=position_of(node)
            )
        if found != name:
            # Other names in the text may go by the name as it is written here.
            renamed = "" if node.args.get("alias") is not None else f" AS {quoted(name)}"
            statement.replace(node.this, quoted(found) + renamed)
        taken = statement.names.take(alias)
        members, names = statement.members, statement.names
        source: CubeSource | FactView
        try:
            if isinstance(relation, View) and is_over_several_roots(relation):
                source = FactView(alias, taken, relation, published, members, names, columns)
            else:
                if isinstance(relation, View) and relation.conformed:
                    relation = members.fact_views(relation).views[relation.root]
                source = CubeSource(alias, taken, relation, published, members, names, columns)
        except UnsupportedError as error:
            error.position = error.position or position_of(node)
            raise
        statement.cubes[found] = None
        for part in source.parts.values() if isinstance(source, FactView) else (source,):
            statement.data_sources[part.builder.data_source] = None
        return source

    def relation_of(self, node: exp.Table) -> str | None:
        """The cube or view that a table name means."""
        schema = node.args.get("db")
        if schema is not None and name_of(schema) != "public":
            return None
        if not isinstance(node.this, exp.Identifier):
            return None
        name = name_of(node.this)
        if name in self.statement.relations:
            return name
        return None if node.this.args.get("quoted") else self.statement.folded.get(name)

    def temporary_of(self, node: exp.Table) -> TemporaryTable | None:
        """The temporary table of the session that a table name means."""
        settings = self.statement.settings
        if not settings.temporary_tables or not isinstance(node.this, exp.Identifier):
            return None
        schema = node.args.get("db")
        return find_temporary(
            settings,
            None if schema is None else name_of(schema),
            name_of(node.this),
            published=schema is None and self.relation_of(node) is not None,
        )

    def _not_a_cube(self, node: exp.Table, name: str) -> SemanticError:
        schema = node.args.get("db")
        shown = name if schema is None else f"{name_of(schema)}.{name}"
        if name.startswith("pg_") or (
            schema is not None and name_of(schema) in self.statement.catalogs
        ):
            return unsupported(
                "a query over cubes and system catalogs together",
                node,
                "Query the catalog in a statement of its own.",
            )
        return UndefinedRelationError(shown, position_of(node))


class UndefinedRelationError(SemanticError):
    """A relation that is no cube, view or WITH query; PostgreSQL may report it better (42P01)."""

    def __init__(self, name: str, position: int | None) -> None:
        super().__init__("42P01", f'relation "{name}" does not exist', position=position)


def _alias_of(node: exp.Expr | None) -> tuple[str, tuple[str, ...]]:
    if node is None:
        return "", ()
    name = name_of(node.this) if isinstance(node.this, exp.Identifier) else ""
    columns = [
        item.this if isinstance(item, exp.ColumnDef) else item
        for item in node.args.get("columns") or []
    ]
    return name, tuple(name_of(item) for item in columns)


def _tables(node: exp.Expr) -> Iterator[exp.Table]:
    return (
        table
        for table in node.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and table.args.get("db") is None
    )
