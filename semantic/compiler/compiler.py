"""The compiler's face: text to the warehouse's SQL, in two steps around the analysis."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from types import MappingProxyType

from semantic.compiler.api import Analysis, CompiledStatement, SessionSettings
from semantic.compiler.bind import Binder, BoundStatement
from semantic.compiler.callers import Callers
from semantic.compiler.emit import emit
from semantic.compiler.emit_parts import Emitted
from semantic.compiler.explained import explained
from semantic.compiler.lower import lower
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.names import truncate
from semantic.compiler.plan import Query, Scan, walk
from semantic.compiler.rewrite import RULES, Rule, rewrite
from semantic.compiler.whole_rows import apart
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.model import Model
from semantic.model.published import PublishedModel

NO_CONSTANTS: Mapping[int, str] = MappingProxyType({})


class Compiler:
    """Compiles statements against one model.

    Args:
        model: the model.
        published: the same model as clients see it, with the types of its columns.
        dialects: sqlglot's name of the dialect by data source; ``default`` is taken for others.
        rules: rewrite rules; any of them may be left out without changing a result.
    """

    def __init__(
        self,
        model: Model,
        published: PublishedModel,
        dialects: Mapping[str, str],
        rules: tuple[Rule, ...] = RULES,
    ) -> None:
        self._sql = ModelSql(model, dialects)
        types = {(relation, name): kind for relation, name, kind in published.types}
        self._callers = Callers(self._sql, types)
        self._binder = Binder(self._callers, published)
        self._rules = rules

    def restricted(self, published: PublishedModel) -> Compiler:
        """The same, for callers who are shown only a part of the model.

        What has been learned of the model's SQL is shared.
        """
        compiler = copy(self)
        compiler._callers = self._callers.restricted()
        compiler._binder = Binder(compiler._callers, published)
        return compiler

    def bind(
        self,
        sql: str,
        settings: SessionSettings,
        constants: Mapping[int, str] = NO_CONSTANTS,
    ) -> BoundStatement | None:
        """Resolve the names of one statement; None when it touches no cube or view.

        Args:
            sql: the text.
            settings: of the session.
            constants: values of text parameters, by 0-based number, to be compiled as if they stood
                in the text: for what a dialect can do with a constant only, such as the field of
                date_trunc. PostgreSQL analyses the text without them.

        Raises:
            UnparsableStatement: our parser cannot read the text; PostgreSQL's answer is the better.
            SemanticError: the statement is refused, with its position in ``sql``. Unknown columns
                and ill-typed calls are left for PostgreSQL to report.
        """
        try:
            return self._binder.bind(sql, settings, constants)
        except RecursionError as error:
            raise _too_deep() from error

    def compile(
        self, bound: BoundStatement, analysis: Analysis, settings: SessionSettings
    ) -> CompiledStatement:
        """The warehouse's SQL for a statement that PostgreSQL has accepted."""
        plan = self.plan(bound)
        names = [truncate(name) for name in bound.names]
        wanted = [column.name for column in analysis.columns]
        if len(names) != len(wanted):
            raise SemanticError(
                "XX000",
                "the catalog and the model disagree about the columns of the result",
                detail=f"The model says {names}, the catalog {wanted}.",
            )
        if names != wanted:
            # Our parser may have read the text otherwise than PostgreSQL reads it.
            raise UnsupportedError(
                "this way of writing a result column is not supported over a cube",
                hint="Give every result column a name with AS, or write it in another way.",
                detail=f"Its columns were read as {names}, PostgreSQL calls them {wanted}.",
            )
        dialect = self._sql.dialect(bound.data_source)
        try:
            arrays = tuple(item.type for item in bound.temporary)
            returned = replace(analysis, columns=apart(analysis, bound.rows))
            emitted = emit(plan, returned, dialect, settings, arrays, bound.values)
        except RecursionError as error:
            raise _too_deep() from error
        return CompiledStatement(
            sql=emitted.sql,
            parameters=emitted.parameters,
            data_source=bound.data_source,
            columns=returned.columns,
            steps=explained(plan),
            relations=bound.relations,
            temporary=bound.temporary,
            rows=bound.rows,
            governed=any(isinstance(node, Scan) and node.policies for node in walk(plan)),
            cubes=self._cubes(bound, emitted),
        )

    def _cubes(self, bound: BoundStatement, emitted: Emitted) -> tuple[str, ...]:
        """The cubes whose rows are read, also where a pre-aggregation stands in their place."""
        relations = (self._sql.model.relation(name) for name in bound.relations)
        roots = (self._sql.root_of(each).name for each in relations if each is not None)
        return tuple(dict.fromkeys((*roots, *emitted.cubes)))

    def plan(self, bound: BoundStatement) -> Query:
        """The rewritten plan of a bound statement.

        Raises:
            SemanticError: a name was not found, and PostgreSQL did not mind.
        """
        if bound.plan is None:
            raise bound.deferred or SemanticError("XX000", "the statement has no plan")
        dialect = self._sql.dialect(bound.data_source)
        return rewrite(lower(bound.plan, dialect), self._rules)


def _too_deep() -> SemanticError:
    return SemanticError(
        "54001",
        "statement is nested too deep",
        hint="Write long chains of OR as IN (...), or split the statement.",
    )


__all__ = ["BoundStatement", "Compiler"]
