"""The compiler's face: text to the warehouse's SQL, in two steps around the analysis."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from semantic.compiler.api import (
    Analysis,
    CompiledStatement,
    Fetch,
    PlanStep,
    ResultColumn,
    SessionSettings,
)
from semantic.compiler.bind import Binder, BoundStatement
from semantic.compiler.callers import Callers
from semantic.compiler.emit import emit
from semantic.compiler.emit_parts import Emitted
from semantic.compiler.explained import explained
from semantic.compiler.lower import lower
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.names import truncate
from semantic.compiler.plan import Query, Scan, query_columns, walk
from semantic.compiler.progress import reached
from semantic.compiler.rewrite import RULES, Rule, rewrite
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rollups.api import (
    NONE,
    ROLLUP_STORE,
    RollupCandidates,
    RollupDefinition,
)
from semantic.compiler.rollups.catalog import RollupCatalog
from semantic.compiler.rollups.needs import Need, needs_of
from semantic.compiler.staging import (
    COMPLETE,
    LATE,
    STAGE,
    Warehouses,
    check_portable,
    data_sources,
    stage,
)
from semantic.compiler.whole_rows import apart
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from semantic.model.types import UNKNOWN, PostgresType
from semantic.security.access import UNGOVERNED

NO_CONSTANTS: Mapping[int, str | None] = MappingProxyType({})
NO_SETTINGS = SessionSettings("", "")


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
        known = {**dialects, ROLLUP_STORE: STAGE}
        self._sql = ModelSql(model, known, dict(published.sketches))
        types = {(relation, name): kind for relation, name, kind in published.types}
        self._callers = Callers(self._sql, types)
        self._binder = Binder(self._callers, published)
        self._rollups = RollupCatalog(self._callers.members(UNGOVERNED))
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
        constants: Mapping[int, str | None] = NO_CONSTANTS,
    ) -> BoundStatement | None:
        """Resolve the names of one statement; None when it touches no cube or view.

        Args:
            sql: the text.
            settings: of the session.
            constants: values of text parameters, by 0-based number, to be compiled as if they stood
                in the text: for what a dialect can do with a constant only, such as the field of
                date_trunc, None for NULL. PostgreSQL analyses the text without them.

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
        self,
        bound: BoundStatement,
        analysis: Analysis,
        settings: SessionSettings,
        rollups: RollupCandidates = NONE,
    ) -> CompiledStatement:
        """The warehouse's SQL for a statement that PostgreSQL has accepted.

        Args:
            bound: the statement.
            analysis: what PostgreSQL says of it.
            settings: of the session.
            rollups: what it may be answered from instead of the cubes' own rows.
        """
        if any(item.data_source == ROLLUP_STORE for item in rollups.stored):
            try:
                return self._compile(bound, analysis, settings, rollups)
            except SemanticError:
                # What only the warehouse can do, it does over its own rows.
                kept = (item for item in rollups.stored if item.data_source != ROLLUP_STORE)
                rollups = replace(rollups, stored=tuple(kept))
        return self._compile(bound, analysis, settings, rollups)

    def _compile(
        self,
        bound: BoundStatement,
        analysis: Analysis,
        settings: SessionSettings,
        rollups: RollupCandidates,
    ) -> CompiledStatement:
        plan = self.plan(bound, settings, rollups)
        reached("plan")
        names = [truncate(name) for name in bound.names]
        wanted = [column.name for column in analysis.columns]
        if len(names) != len(wanted):
            raise SemanticError(
                "XX000",
                "the catalog and the model disagree about the columns of the result",
                detail=f"The model says {names}, the catalog {wanted}.",
            )
        if not wanted:
            raise UnsupportedError("a SELECT without columns is not supported", hint="Select 1.")
        if names != wanted:
            # Our parser may have read the text otherwise than PostgreSQL reads it.
            raise UnsupportedError(
                "this way of writing a result column is not supported over a cube",
                hint="Give every result column a name with AS, or write it in another way.",
                detail=f"Its columns were read as {names}, PostgreSQL calls them {wanted}.",
            )
        returned = replace(analysis, columns=apart(analysis, bound.rows))
        try:
            emitted, fetches = self._emitted(plan, bound, returned, settings, rollups)
        except RecursionError as error:
            raise _too_deep() from error
        reached("emit")
        stored = [node for node in walk(plan) if isinstance(node, Scan) and node.rollup]
        return CompiledStatement(
            sql=emitted.sql,
            parameters=emitted.parameters,
            data_source=next(iter(data_sources(plan)), bound.data_source),
            columns=returned.columns,
            steps=explained(plan),
            relations=bound.relations,
            temporary=bound.temporary,
            rows=bound.rows,
            governed=any(isinstance(node, Scan) and node.policies for node in walk(plan)),
            rollups=tuple(dict.fromkeys(scan.rollup for scan in stored)),
            rollups_built_at=min(
                (s.rollup_built_at for s in stored if s.rollup_built_at is not None), default=None
            ),
            cubes=self._cubes(bound, emitted),
            volatile=bound.volatile,
            fetches=fetches,
        )

    def _emitted(
        self,
        plan: Query,
        bound: BoundStatement,
        returned: Analysis,
        settings: SessionSettings,
        rollups: RollupCandidates,
    ) -> tuple[Emitted, tuple[Fetch, ...]]:
        """A plan as one statement, and what is fetched before where no warehouse does it all."""
        sources = data_sources(plan) or (bound.data_source,)
        dialect = self._sql.dialect(sources[0])
        arrays = tuple(item.type for item in bound.temporary)
        reason = f"it reads several data sources: {', '.join(sources)}"
        if sources == (ROLLUP_STORE,):
            check_portable(plan, self._sql.dialect(bound.data_source))
        if len(sources) == 1:
            try:
                return emit(plan, returned, dialect, settings, arrays, bound.values), ()
            except UnsupportedError as error:
                if dialect in COMPLETE:
                    raise
                reason = error.message
        apart = self.plan(
            bound, settings, rollups, tuple(rule for rule in self._rules if rule not in LATE)
        )
        warehouses = Warehouses(returned, self._sql.dialect, settings, bound.values)
        staged = stage(apart, warehouses, returned, arrays, reason)
        return staged.emitted, staged.fetches

    def _cubes(self, bound: BoundStatement, emitted: Emitted) -> tuple[str, ...]:
        """The cubes whose rows are read, also where a pre-aggregation stands in their place."""
        relations = (self._sql.model.relation(name) for name in bound.relations)
        roots = (self._sql.root_of(each).name for each in relations if each is not None)
        return tuple(dict.fromkeys((*roots, *emitted.cubes)))

    def rollups(self) -> Mapping[str, RollupDefinition]:
        """The model's pre-aggregations by name, as ``cube.name``."""
        return self._rollups.definitions()

    def rollup_needs(self, bound: BoundStatement, settings: SessionSettings) -> tuple[Need, ...]:
        """What rollups would have to store to answer a statement; none where none could."""
        plan = self.plan(bound, settings)
        return needs_of(plan, self._callers.members(UNGOVERNED), settings.time_zone)

    def build_rollup(
        self, name: str, start: datetime | None, end: datetime | None, settings: SessionSettings
    ) -> CompiledStatement:
        """The SELECT of a rollup's rows, its columns in order and of the warehouse's own types.

        It has to be run in the time zone UTC. The start is its parameter of index 0, the end that
        of index 1; of the type of the time, which may be one without a zone, by the clock of UTC.

        Args:
            name: of the rollup.
            start: only rows from a moment on; None: from the first on, and those without a time.
            end: only rows before a moment.
            settings: whose names do not matter; the time zone is taken to be UTC.

        Raises:
            SemanticError: 42704, there is no such rollup to be built; 22023, it has no time.
        """
        bounds = {"start": start is not None, "end": end is not None}
        rows = self._rollups.rows_sql(name, **bounds)
        if rows is not None:
            sql, uses = rows
            definition = self._rollups.definition(name)
            source, step = definition.data_source, PlanStep("Query", "rows")
            return CompiledStatement(sql, uses, source, (), step, (definition.cube,))
        query, kind = self._rollups.build_query(name, **bounds)
        return self._own_statement(name, query, (kind, kind), settings)

    def rollup_range(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        """One row: the first and the last moment that a partitioned rollup covers.

        As the model declares them, else those of the rows. None for a rollup without partitions.
        """
        first = self._rollups.extreme_query(name, last=False)
        last = self._rollups.extreme_query(name, last=True)
        if first is None or last is None:
            return None
        made = [self._own_statement(name, query, (), settings) for query in (first, last)]
        texts = [
            declared or each.sql
            for declared, each in zip(self._rollups.declared_range(name), made, strict=True)
        ]
        sql = f'SELECT ({texts[0]}) AS "start", ({texts[1]}) AS "end"'
        columns = (ResultColumn("start", UNKNOWN), ResultColumn("end", UNKNOWN))
        return replace(made[0], sql=sql, columns=columns)

    def rollup_timeless(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        """One row: the number of rows without a time, which no closed partition holds."""
        query = self._rollups.timeless_query(name)
        return None if query is None else self._own_statement(name, query, (), settings)

    def rollup_refresh_key(self, name: str, settings: SessionSettings) -> CompiledStatement | None:
        """The SQL whose changed result means changed data; None where the model has none."""
        sql = self._rollups.refresh_sql(name)
        if sql is None:
            return None
        definition = self._rollups.definition(name)
        step = PlanStep("Query", "refresh key")
        return CompiledStatement(sql, (), definition.data_source, (), step, (definition.cube,))

    def _own_statement(
        self,
        name: str,
        query: Query,
        parameters: tuple[PostgresType, ...],
        settings: SessionSettings,
    ) -> CompiledStatement:
        """A statement about a rollup, in types of the warehouse's own."""
        definition = self._rollups.definition(name)
        utc = replace(settings, time_zone="UTC")
        dialect = self._sql.dialect(definition.data_source)
        emitted = emit(query, Analysis(parameters, ()), dialect, utc, (), {})
        kinds = {item.name: item.type for item in definition.columns}
        return CompiledStatement(
            sql=emitted.sql,
            parameters=emitted.parameters,
            data_source=definition.data_source,
            columns=tuple(
                ResultColumn(item, kinds.get(item, UNKNOWN)) for item in query_columns(query)
            ),
            steps=explained(query),
            relations=(definition.cube,),
            cubes=emitted.cubes,
        )

    def plan(
        self,
        bound: BoundStatement,
        settings: SessionSettings = NO_SETTINGS,
        rollups: RollupCandidates = NONE,
        rules: tuple[Rule, ...] | None = None,
    ) -> Query:
        """The rewritten plan of a bound statement, by all rules or some of them.

        Raises:
            SemanticError: a name was not found, and PostgreSQL did not mind.
        """
        if bound.plan is None:
            raise bound.deferred or SemanticError("XX000", "the statement has no plan")
        # What is cheaper on one warehouse is not, where several compute the plan.
        dialect = self._sql.dialect(bound.data_source) if len(bound.data_sources) < 2 else ""
        context = self.rewrite_context(bound.data_source, settings, rollups)
        return rewrite(lower(bound.plan, dialect), context, self._rules if rules is None else rules)

    def rewrite_context(
        self, data_source: str, settings: SessionSettings, rollups: RollupCandidates
    ) -> RewriteContext:
        """What the rewrite rules know besides a plan."""
        dialect = self._sql.dialect(data_source)
        chosen = self._rollups.choose(rollups)
        return RewriteContext(dialect, settings.time_zone, chosen, self._sql.dialects)


def _too_deep() -> SemanticError:
    return SemanticError(
        "54001",
        "statement is nested too deep",
        hint="Write long chains of OR as IN (...), or split the statement.",
    )


__all__ = ["BoundStatement", "Compiler"]
