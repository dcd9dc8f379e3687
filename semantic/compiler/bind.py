"""Text of one statement to a bound statement: the analysis text and the plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from semantic.compiler.api import BoundValue, SessionSettings, TemporaryColumn, WholeRow
from semantic.compiler.callers import Callers
from semantic.compiler.expressions import check_functions
from semantic.compiler.expressions.configured import mark_configured
from semantic.compiler.names import fold
from semantic.compiler.parse import parse
from semantic.compiler.plan import Query
from semantic.compiler.positions import EditedText, apply_edits
from semantic.compiler.progress import reached
from semantic.compiler.query import QueryBinder
from semantic.compiler.scope import use_all
from semantic.compiler.statement import CATALOGS, SYSTEM_SCHEMA, Statement, not_a_query
from semantic.errors import SemanticError
from semantic.model.published import PublishedModel, PublishedRelation

_WORDS = re.compile(r"[^\W\d][\w$]*")


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A statement over cubes with its names resolved.

    Attributes:
        sql: the client's text.
        text: the text that PostgreSQL analyses, which differs from the client's by edits only.
        plan: the plan; None when a name was not found, which PostgreSQL will report.
        names: of the output columns.
        relations: the cubes and views that it reads.
        data_sources: the warehouses whose rows it reads.
        deferred: what to raise should PostgreSQL accept the text all the same.
        temporary: the columns of temporary tables that it reads.
        rows: whole rows among the output columns.
        values: of policies, that placeholders in the plan may stand for, by their names.
        volatile: a configured function that it calls may answer otherwise each time.
    """

    sql: str
    text: EditedText
    plan: Query | None
    names: tuple[str, ...]
    relations: tuple[str, ...]
    data_sources: tuple[str, ...]
    deferred: SemanticError | None = None
    temporary: tuple[TemporaryColumn, ...] = ()
    rows: tuple[WholeRow, ...] = ()
    values: Mapping[str, BoundValue] = field(default_factory=dict, repr=False)
    volatile: bool = False

    @property
    def data_source(self) -> str:
        """The only warehouse, or one of several."""
        return next(iter(self.data_sources), "default")

    @property
    def analysis_sql(self) -> str:
        """What PostgreSQL parses."""
        return self.text.text

    def client_position(self, position: int) -> int:
        """A 1-based character position in ``analysis_sql`` as one in the client's text."""
        return self.text.client_position(position)


class Binder:
    """Binds statements against one model."""

    def __init__(self, callers: Callers, published: PublishedModel) -> None:
        self._callers = callers
        self._relations: Mapping[str, PublishedRelation] = {r.name: r for r in published.relations}
        self._folded = {fold(name): name for name in self._relations if fold(name) != name}
        self._functions = {function.name: function for function in published.functions}
        self._catalogs = CATALOGS | ({SYSTEM_SCHEMA} if published.system_tables else set())
        self._words = {fold(name) for name in self._relations}

    def bind(
        self, sql: str, settings: SessionSettings, constants: Mapping[int, str | None]
    ) -> BoundStatement | None:
        """See ``Compiler.bind``."""
        if not self._may_touch(sql):
            return None
        parsed = parse(sql)
        reached("parse")
        if constants:
            _put_constants(parsed.tree, constants)
        members = self._callers.members(settings.access)
        statement = Statement(
            sql,
            parsed.tokens,
            settings,
            members,
            self._relations,
            self._folded,
            catalogs=self._catalogs,
        )
        binder = QueryBinder(statement)
        if not any(self._touches(binder, table) for table in parsed.tree.find_all(exp.Table)):
            return None
        if not isinstance(parsed.tree, exp.Query | exp.Values):
            raise not_a_query(parsed.tree)
        query = binder.bind(parsed.tree, None)
        use_all(query)
        sources = tuple(statement.data_sources)
        volatile = mark_configured(parsed.tree, self._functions, sources)
        check_functions(parsed.tree, members.sql.dialect(statement.data_source), sql)
        rows = query.demand_rows()
        plan = None if statement.deferred is not None else query.build()
        reached("bind")
        return BoundStatement(
            sql,
            apply_edits(sql, statement.edits),
            plan,
            tuple(query.names),
            tuple(statement.cubes),
            sources,
            statement.deferred,
            statement.temporary.columns(),
            rows,
            members.tables.values,
            volatile,
        )

    def _may_touch(self, sql: str) -> bool:
        """Whether the name of a cube or view occurs in the text at all."""
        return not self._words.isdisjoint(_WORDS.findall(fold(sql)))

    def _touches(self, binder: QueryBinder, table: exp.Table) -> bool:
        """Whether a table name means a cube or view, and not a WITH query around it."""
        if binder.relation_of(table) is None or binder.temporary_of(table) is not None:
            return False
        if table.args.get("db") is not None:
            return True
        return not _is_shadowed(table)


def _put_constants(tree: exp.Expr, constants: Mapping[int, str | None]) -> None:
    for node in list(tree.find_all(exp.Parameter)):
        index = int(node.name) - 1 if node.name.isdigit() else -1
        if index in constants:
            value = constants[index]
            text = exp.Null() if value is None else exp.Literal.string(value)
            node.replace(exp.cast(text, "text"))


def _is_shadowed(table: exp.Table) -> bool:
    """Whether a WITH query of the same name is in sight."""
    name = fold(table.name) if not table.this.args.get("quoted") else table.name
    node: exp.Expr = table
    while node.parent is not None:
        inside = node
        node = node.parent
        clause = node.args.get("with_")
        if clause is None:
            continue
        for cte in clause.expressions:
            # A WITH query sees those before it, itself only when recursive.
            if inside is clause and _holds(cte, table) and not clause.args.get("recursive"):
                break
            alias = cte.args["alias"].this
            if (alias.this if alias.args.get("quoted") else fold(alias.this)) == name:
                return True
    return False


def _holds(cte: exp.Expr, table: exp.Expr) -> bool:
    node: exp.Expr | None = table
    while node is not None:
        if node is cte:
            return True
        node = node.parent
    return False
