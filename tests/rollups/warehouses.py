"""Warehouses for tests of pre-aggregations: a model over a database, and what is built of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg

from semantic.compiler.api import Analysis, CompiledStatement, ParameterUse, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rewrite import RULES, Rule
from semantic.compiler.rewrite.match_rollup import match_rollup
from semantic.compiler.rollups.api import (
    NONE,
    RollupCandidates,
    RollupDefinition,
    StoredPart,
    StoredRollup,
)
from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from semantic.security.access import OPEN, Access, decide
from semantic.security.context import SecurityContext
from tests.compiler.analyst import Analyst, probe_postgres
from tests.compiler.shop import probe_duckdb, published
from tests.rollups.sales import TABLES

MODELS = Path(__file__).parent / "models"
WITHOUT_ROLLUPS: tuple[Rule, ...] = tuple(rule for rule in RULES if rule is not match_rollup)
Row = tuple[object, ...]
Database = duckdb.DuckDBPyConnection | psycopg.Connection[Row]
Bounds = tuple[datetime | None, datetime | None]
WHOLE: Bounds = (None, None)


def governed_model() -> Model:
    report = load_model(MODELS, {})
    assert report.model is not None, "\n".join(str(problem) for problem in report.problems)
    return report.model


def sales_model() -> Model:
    """The same without policies."""
    model = governed_model()
    return replace(model, cubes=tuple(replace(cube, access_policies=()) for cube in model.cubes))


@dataclass
class Warehouse:
    """A database with the tables of a model, and the tables of its rollups beside them."""

    dialect: str
    database: Database
    model: Model
    catalog: str
    published: PublishedModel = field(init=False)
    compiler: Compiler = field(init=False)
    plain: Compiler = field(init=False)
    analyst: Analyst = field(init=False)
    # As ``PublishedModel`` has them of a PostgreSQL warehouse, without the extension.
    sketches: tuple[tuple[str, str], ...] = (("default", ""),)
    _tables: int = 0

    def __post_init__(self) -> None:
        self.published = self._publish()
        self.use(self.model)
        # Pre-aggregations are not published, so that other models over the tables look the same.
        self.analyst = Analyst(self.catalog, self.published)

    def close(self) -> None:
        self.analyst.close()
        self.database.close()

    def use(self, model: Model) -> None:
        """Another model over the same tables, with other pre-aggregations or policies."""
        self.model = model
        dialects = {"default": self.dialect}
        self.compiler = Compiler(model, self.published, dialects)
        self.plain = Compiler(model, self.published, dialects, WITHOUT_ROLLUPS)

    def access(self, group: str, **attributes: object) -> Access:
        """What a member of a group may see."""
        types = {(relation, name): kind for relation, name, kind in self.published.types}
        context = SecurityContext.of("ann", groups=frozenset({group}), attributes=attributes)
        return decide(self.model, types, context)

    def reset(self, model: Model) -> None:
        """The model and the rows of the fixtures again."""
        for table in ("sales", "shops", "items"):
            self.execute(f"DROP TABLE {table}")
        self.execute(TABLES)
        self.use(model)

    def _publish(self) -> PublishedModel:
        probe: Callable[[str], list[tuple[str, str, int]]]
        if isinstance(self.database, duckdb.DuckDBPyConnection):
            database = self.database
            probe = lambda sql: probe_duckdb(database, sql)  # noqa: E731
        else:
            connection = self.database
            probe = lambda sql: probe_postgres(connection, sql)  # noqa: E731
        found = published(self.model, self.dialect, probe)
        is_duckdb = self.dialect == "duckdb"
        own = (("default", duckdb.__version__),) if is_duckdb else self.sketches
        return replace(found, sketches=own)

    def run(self, sql: str, values: Sequence[object] = (), zone: str = "UTC") -> list[Row]:
        """Rows of a statement of the warehouse's; ``$n`` are its parameters."""
        if isinstance(self.database, duckdb.DuckDBPyConnection):
            cursor = self.database.cursor()
            cursor.execute(f"SET TimeZone = '{zone}'")
            table = cursor.sql(sql, params=list(values)).to_arrow_table()
            return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        self.database.execute(f"SET TimeZone = '{zone}'".encode())
        with psycopg.RawCursor(self.database) as cursor:
            return cursor.execute(sql.encode(), list(values)).fetchall()

    def execute(self, sql: str) -> None:
        if isinstance(self.database, duckdb.DuckDBPyConnection):
            self.database.execute(sql)
        else:
            self.database.execute(sql.encode())

    def build(
        self, name: str, partitions: Sequence[Bounds] = (WHOLE,), built_at: float = 1.0
    ) -> StoredRollup:
        """Tables of one rollup, built as the store does, one for each range."""
        definition = self.compiler.rollups()[name]
        parts = tuple(self._part(definition, bounds, built_at) for bounds in partitions)
        return StoredRollup(name, definition.version, definition.site, parts)

    def _part(self, definition: RollupDefinition, bounds: Bounds, built_at: float) -> StoredPart:
        start, end = bounds
        compiled = self.compiler.build_rollup(definition.name, start, end, SETTINGS)
        self._tables += 1
        table = f'"rollup_{self._tables}"'
        self.execute(f"DROP TABLE IF EXISTS {table}")
        sql = compiled.sql
        if isinstance(self.database, psycopg.Connection):
            # A utility statement takes no parameters there.
            for number, use in enumerate(compiled.parameters, 1):
                literal = f"CAST('{bounds[use.index]}' AS {use.type.name})"
                sql = re.sub(rf"\${number}\b", literal, sql)
            self.database.execute(b"SET TimeZone = 'UTC'")
            self.database.execute(f"CREATE TABLE {table} AS {sql}".encode())
        else:
            values = [_for_type(bounds[use.index], use.type.name) for use in compiled.parameters]
            self.database.execute("SET TimeZone = 'UTC'")
            self.database.execute(f"CREATE TABLE {table} AS {sql}", values)
        rows = self.run(f"SELECT COUNT(*) FROM {table}")[0][0]
        assert isinstance(rows, int)
        return StoredPart(table, start, end, rows, built_at)

    def compile(
        self,
        sql: str,
        candidates: RollupCandidates = NONE,
        settings: SessionSettings | None = None,
        *,
        plain: bool = False,
    ) -> CompiledStatement:
        settings = settings or SETTINGS
        compiler = self.plain if plain else self.compiler
        bound = compiler.bind(sql, settings)
        assert bound is not None
        return compiler.compile(bound, self.analyse(bound.analysis_sql), settings, candidates)

    def analyse(self, sql: str) -> Analysis:
        return self.analyst.analyse(sql)

    def forget_tables(self) -> None:
        """Let the names of rollups' tables be given again."""
        self._tables = 0

    def over_source(
        self, sql: str, zone: str = "UTC", values: Sequence[object] = (), access: Access = OPEN
    ) -> Answer:
        """A statement over the source."""
        settings = SessionSettings("tester", "cubewire", time_zone=zone, access=access)
        statement = self.compile(sql, settings=settings, plain=True)
        assert not statement.rollups
        return Answer(statement, self._texts(statement, values, zone))

    def over_rollups(
        self,
        sql: str,
        candidates: RollupCandidates,
        zone: str = "UTC",
        values: Sequence[object] = (),
        access: Access = OPEN,
    ) -> Answer:
        """A statement over what is built, as far as it can be."""
        settings = SessionSettings("tester", "cubewire", time_zone=zone, access=access)
        statement = self.compile(sql, candidates, settings)
        return Answer(statement, self._texts(statement, values, zone))

    def _texts(
        self, statement: CompiledStatement, values: Sequence[object], zone: str
    ) -> list[str]:
        rows = self.run(statement.sql, bound_values(statement, values), zone)
        return sorted(repr(shown(row)) for row in rows)

    def answers(
        self,
        sql: str,
        candidates: RollupCandidates,
        zone: str = "UTC",
        values: Sequence[object] = (),
        access: Access = OPEN,
    ) -> tuple[CompiledStatement, list[str], list[str]]:
        """The statement over rollups, its rows, and those over the source; sorted texts."""
        found = self.over_rollups(sql, candidates, zone, values, access)
        expected = self.over_source(sql, zone, values, access)
        assert found.statement.columns == expected.statement.columns
        return found.statement, found.rows, expected.rows


@dataclass(frozen=True)
class Answer:
    """A statement and its rows, as sorted texts."""

    statement: CompiledStatement
    rows: list[str]


SETTINGS = SessionSettings("tester", "cubewire")


def _for_type(moment: datetime | None, kind: str) -> object:
    if moment is None or kind == "timestamptz":
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


def bound_values(statement: CompiledStatement, values: Sequence[object] = ()) -> list[object]:
    """What is bound to a statement's placeholders: the client's values and those of policies."""
    return [
        values[use.index] if isinstance(use, ParameterUse) else use.value
        for use in statement.parameters
    ]


def shown(row: Row) -> Row:
    """A row as it is compared: sums of floats depend on their order, all else is exact."""
    return tuple(_shown(value) for value in row)


def _shown(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.10g}") + 0.0
    if isinstance(value, Decimal):
        return str(value)
    return value


def candidates_of(
    stored: Mapping[str, StoredRollup] | Sequence[StoredRollup], since: float | None = None
) -> RollupCandidates:
    found = stored.values() if isinstance(stored, Mapping) else stored
    return RollupCandidates(tuple(found), since)
