"""A company's staff: the model, its data in DuckDB and PostgreSQL, callers under policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from semantic.model.loader import load_model
from semantic.model.model import Model
from semantic.model.policy import AccessPolicy
from semantic.model.published import PublishedModel
from semantic.security.context import SecurityContext
from tests.compiler.analyst import Analyst, probe_postgres
from tests.compiler.policies.shops import Caller, Connection, with_policies
from tests.compiler.shop import probe_duckdb, published
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres

VAULT = """
CREATE TABLE owners (id integer, tenant integer);
CREATE TABLE vault (id integer, tenant integer, label text, owner_id integer, number integer,
  large bigint, word text, document text);
INSERT INTO owners SELECT i, i % 2 FROM generate_series(0, 99) AS r(i);
INSERT INTO vault SELECT i, i % 2, 'tenant ' || (i % 2), i % 100,
  CASE i % 2 WHEN 0 THEN 5 ELSE 0 END,
  CASE i % 2 WHEN 0 THEN 1 ELSE 4611686018427387904 END,
  CASE i % 2 WHEN 0 THEN '7' ELSE 'SECRET(' || i END,
  CASE i % 2 WHEN 0 THEN '{"a": 1}' ELSE '{SECRET' END
FROM generate_series(1, 20000) AS r(i);
"""
"""Rows of two tenants; those of the second make almost any expression fail."""

INDEXES = """
CREATE INDEX ON vault (tenant);
CREATE INDEX ON vault (number);
ANALYZE vault;
ANALYZE owners;
"""

STAFF = """
CREATE TABLE things (id integer, number integer, word text, flag boolean, shown_number integer,
  shown_word text, shown_flag boolean);
CREATE TABLE departments (id integer, name text, region text, budget numeric(10,2));
CREATE TABLE staff (id integer, department_id integer, name text, salary integer,
  hired timestamp, active boolean);
CREATE TABLE payments (id integer, staff_id integer, amount numeric(10,2));
INSERT INTO departments VALUES
  (1, 'Sales', 'north', 1000), (2, 'Research', 'south', 2000.50), (3, NULL, NULL, NULL);
INSERT INTO staff VALUES
  (1, 1, 'Ann', 90, '2020-01-15 08:00:00', true), (2, 1, 'Bea', 150, '2021-05-31', false),
  (3, 2, 'Carl', 120, '2021-06-01 00:00:00', true), (4, 2, 'Dora', NULL, NULL, NULL),
  (5, NULL, 'Eve', 100, '2022-12-31 23:59:59', true), (6, 3, NULL, 40, '2020-01-15', false),
  (7, 9, 'Gus_%', 300, '1999-12-31', true);
INSERT INTO payments VALUES
  (1, 1, 10), (2, 1, 20.5), (3, 2, 30), (4, 3, 40), (5, 3, -5), (6, 5, 7), (7, NULL, 8), (8, 8, 9);
"""


TESTER = SecurityContext.of("tester")


@dataclass(frozen=True)
class Company:
    """The staff in one warehouse."""

    model: Model
    published: PublishedModel
    dialect: str
    database: Connection
    analyst: Analyst

    def caller(
        self,
        policies: dict[str, Sequence[AccessPolicy]],
        context: SecurityContext = TESTER,
    ) -> Caller:
        """Somebody who asks, where the model has policies."""
        return Caller(
            with_policies(self.model, policies),
            self.published,
            self.dialect,
            database=self.database,
            analyst=self.analyst,
            context=context,
        )


def _model() -> Model:
    report = load_model(Path(__file__).parent / "models", {})
    assert report.model is not None, "\n".join(str(problem) for problem in report.problems)
    return report.model


def _database(oracle: OraclePostgres, name: str) -> str:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return oracle.dsn.replace("/postgres", f"/{name}")


@pytest.fixture(scope="session")
def duckdb_company(oracle: OraclePostgres) -> Iterator[Company]:
    model = _model()
    with memory_database() as database:
        database.execute(STAFF + VAULT)
        types = published(model, "duckdb", lambda sql: probe_duckdb(database, sql))
        analyst = Analyst(_database(oracle, "staff_catalog_duckdb"), types)
        yield Company(model, types, "duckdb", database, analyst)
        analyst.close()


@pytest.fixture(scope="session")
def postgres_company(oracle: OraclePostgres) -> Iterator[Company]:
    model = _model()
    with psycopg.connect(_database(oracle, "staff_base"), autocommit=True) as database:
        database.execute(f"{STAFF}{VAULT}{INDEXES}".encode())
        types = published(model, "postgres", lambda sql: probe_postgres(database, sql))
        analyst = Analyst(_database(oracle, "staff_catalog_postgres"), types)
        yield Company(model, types, "postgres", database, analyst)
        analyst.close()


@pytest.fixture(params=["duckdb", "postgres"])
def company(request: pytest.FixtureRequest) -> Company:
    """The staff, in either warehouse."""
    found: Company = request.getfixturevalue(f"{request.param}_company")
    return found
