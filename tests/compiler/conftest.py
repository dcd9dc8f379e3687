"""The shop: its model, its data in DuckDB and PostgreSQL, and a PostgreSQL that analyses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import psycopg
import pytest

from semantic.compiler.api import SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rewrite import RULES, Rule
from semantic.model.model import Model
from semantic.model.published import PublishedModel
from tests.compiler.analyst import Analyst
from tests.compiler.shop import DUCKDB, TABLES, published, shop_database, shop_model
from tests.support.oracle import OraclePostgres

SETTINGS = SessionSettings("tester", "cubewire")


@dataclass(frozen=True)
class Shop:
    """What tests of the compiler work on."""

    model: Model
    published: PublishedModel
    database: duckdb.DuckDBPyConnection

    def compiler(self, rules: tuple[Rule, ...] = RULES) -> Compiler:
        return Compiler(self.model, self.published, DUCKDB, rules)


@pytest.fixture(scope="session")
def shop() -> Shop:
    model = shop_model()
    database = shop_database()
    return Shop(model, published(model, database), database)


@pytest.fixture(scope="session")
def analyst(shop: Shop, oracle: OraclePostgres) -> Iterator[Analyst]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE compiler_catalog")
    found = Analyst(oracle.dsn.replace("/postgres", "/compiler_catalog"), shop.published)
    yield found
    found.close()


@pytest.fixture(scope="session")
def base_tables(oracle: OraclePostgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """PostgreSQL with the shop's base tables: what is right is what it answers."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE compiler_base")
    dsn = oracle.dsn.replace("/postgres", "/compiler_base")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection
