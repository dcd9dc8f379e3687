"""The shop: its model, its data in DuckDB and PostgreSQL, and a PostgreSQL that analyses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import psycopg
import pytest

from semantic.compiler.api import SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rewrite import RULES, Rule
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from semantic.security.access import Access, decide
from semantic.security.context import SecurityContext
from tests.compiler.analyst import Analyst, probe_postgres
from tests.compiler.shop import TABLES, probe_duckdb, published, shop_database, shop_model
from tests.support.oracle import OraclePostgres

SETTINGS = SessionSettings("tester", "cubewire")
Row = tuple[object, ...]


@dataclass(frozen=True)
class Shop:
    """What tests of the compiler work on: the model over one warehouse."""

    model: Model
    published: PublishedModel
    dialect: str = "duckdb"
    database: duckdb.DuckDBPyConnection | psycopg.Connection[Row] = field(kw_only=True)

    def compiler(self, rules: tuple[Rule, ...] = RULES) -> Compiler:
        return Compiler(self.model, self.published, {"default": self.dialect}, rules)

    @property
    def access(self) -> Access:
        """What anybody may see of the model."""
        types = {(relation, name): kind for relation, name, kind in self.published.types}
        return decide(self.model, types, SecurityContext.of("tester"))

    def run(self, sql: str, values: Sequence[object]) -> list[Row]:
        """Rows of a statement of the warehouse; ``$n`` are its parameters."""
        if isinstance(self.database, duckdb.DuckDBPyConnection):
            return self.database.cursor().execute(sql, list(values)).fetchall()
        with psycopg.RawCursor(self.database) as cursor:
            return cursor.execute(sql.encode(), list(values)).fetchall()


@pytest.fixture(scope="session")
def shop() -> Shop:
    """The shop in DuckDB."""
    model = shop_model()
    database = shop_database()
    types = published(model, "duckdb", lambda sql: probe_duckdb(database, sql))
    return Shop(model, types, database=database)


@pytest.fixture(scope="session")
def base_tables(oracle: OraclePostgres) -> Iterator[psycopg.Connection[Row]]:
    """PostgreSQL with the shop's base tables: what is right is what it answers."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE compiler_base")
    dsn = oracle.dsn.replace("/postgres", "/compiler_base")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


@pytest.fixture(scope="session")
def postgres_shop(base_tables: psycopg.Connection[Row]) -> Shop:
    """The shop in PostgreSQL."""
    model = shop_model()
    types = published(model, "postgres", lambda sql: probe_postgres(base_tables, sql))
    return Shop(model, types, "postgres", database=base_tables)


def _analyst(oracle: OraclePostgres, shop: Shop) -> Analyst:
    name = f"compiler_catalog_{shop.dialect}"
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return Analyst(oracle.dsn.replace("/postgres", f"/{name}"), shop.published)


@pytest.fixture(scope="session")
def analyst(shop: Shop, oracle: OraclePostgres) -> Iterator[Analyst]:
    found = _analyst(oracle, shop)
    yield found
    found.close()


@pytest.fixture(scope="session")
def postgres_analyst(postgres_shop: Shop, oracle: OraclePostgres) -> Iterator[Analyst]:
    found = _analyst(oracle, postgres_shop)
    yield found
    found.close()
