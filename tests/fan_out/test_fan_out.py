"""Measures over random joins: each row of a measure's cube counts once in each group (J2)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from random import Random

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic.compiler.compiler import Compiler
from semantic.errors import UnsupportedError
from semantic.model.loader import load_texts
from semantic.model.model import Model
from tests.compiler.analyst import MARKERS, analyse, probe_postgres, relation_tables
from tests.compiler.conftest import SETTINGS, Row
from tests.compiler.shop import probe_duckdb, published
from tests.compiler.test_results import normal
from tests.fan_out.queries import Question, Questions
from tests.fan_out.schemas import Schema, draw_schema
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres

SCHEMAS = int(os.environ.get("FAN_OUT_SCHEMAS", "20"))
QUESTIONS = 5


@pytest.fixture(scope="module")
def postgres(oracle: OraclePostgres) -> Iterator[psycopg.Connection[Row]]:
    """Base tables and the catalog's tables side by side; every example is rolled back."""
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fan_out")
    dsn = oracle.dsn.replace("/postgres", "/fan_out")
    with psycopg.connect(dsn) as connection:
        connection.execute(MARKERS)
        connection.commit()
        yield connection


class Bench:
    """One schema on both warehouses."""

    def __init__(self, schema: Schema, postgres: psycopg.Connection[Row]) -> None:
        report = load_texts({"model.yml": schema.model()})
        assert report.model is not None, "\n".join(map(str, report.problems)) + schema.model()
        model: Model = report.model
        self._postgres = postgres
        self._duckdb = memory_database()
        self._duckdb.execute(schema.tables())
        postgres.execute(schema.tables().encode())
        types = published(model, "postgres", lambda sql: probe_postgres(postgres, sql))
        postgres.execute(relation_tables(types).encode())
        duck_types = published(model, "duckdb", lambda sql: probe_duckdb(self._duckdb, sql))
        self._compilers = {
            "postgres": Compiler(model, types, {"default": "postgres"}),
            "duckdb": Compiler(model, duck_types, {"default": "duckdb"}),
        }

    def check(self, question: Question) -> bool:
        """Whether it was answered; an answer must be right."""
        expected = _sorted(self._postgres.execute(question.plain.encode()).fetchall())
        for name, compiler in self._compilers.items():
            try:
                bound = compiler.bind(question.ours, SETTINGS)
            except UnsupportedError:
                return False
            assert bound is not None
            analysis = analyse(self._postgres, bound.analysis_sql)
            sql = compiler.compile(bound, analysis, SETTINGS).sql
            rows: Sequence[Row]
            if name == "duckdb":
                rows = self._duckdb.execute(sql).fetchall()
            else:
                rows = self._postgres.execute(sql.encode()).fetchall()
            assert _sorted(rows) == expected, f"{name}\n{question.ours}\n{question.plain}\n{sql}"
        return True


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted((normal(row) for row in rows), key=repr)


@pytest.mark.timeout(120 + 5 * SCHEMAS)
def test_random_joins(postgres: psycopg.Connection[Row]) -> None:
    answered: list[bool] = []

    @settings(
        max_examples=SCHEMAS,
        derandomize="FAN_OUT_SCHEMAS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def check(seed: int) -> None:
        chosen = Random(seed)
        schema = draw_schema(chosen)
        try:
            bench = Bench(schema, postgres)
            questions = Questions(schema, chosen)
            answered.extend(bench.check(questions.draw()) for _ in range(QUESTIONS))
        finally:
            postgres.rollback()

    check()
    assert sum(answered) > 0.9 * len(answered)
