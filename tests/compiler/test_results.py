"""What a statement returns on DuckDB is what PostgreSQL returns for it, spelled out."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.rewrite import RULES, Rule
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import SETTINGS, Row, Shop

FILES = sorted((Path(__file__).parent / "testdata" / "results").glob("*.slt"))


@dataclass
class Query:
    """A statement, what it is checked against, and how to compare."""

    sql: str
    check: str
    rowsort: bool
    parameters: list[str]
    defined: bool
    line: int


def read_queries(path: Path) -> list[Query]:
    found: list[Query] = []
    line = 1
    for block in path.read_text().split("\n\n"):
        at, line = line, line + block.count("\n") + 2
        lines = [item for item in block.strip("\n").split("\n") if not item.startswith("#")]
        if not lines or not lines[0]:
            continue
        words = lines[0].split()
        assert words[0] == "query", f"{path.name}:{at}: {lines[0]}"
        sql, _, check = "\n".join(lines[1:]).partition("\ncheck\n")
        assert check, f"{path.name}:{at}: no check"
        options = dict(word.partition("=")[::2] for word in words[1:])
        ordered = "ORDER BY" in sql.upper() or "rowsort" in options
        assert ordered or "single" in options, f"{path.name}:{at}: say rowsort, single or ORDER BY"
        parameters = options["parameters"].split(",") if "parameters" in options else []
        found.append(Query(sql, check, "rowsort" in options, parameters, "defined" in options, at))
    return found


def compiled(
    shop: Shop, analyst: Analyst, sql: str, rules: tuple[Rule, ...], settings: SessionSettings
) -> CompiledStatement:
    compiler = shop.compiler(rules)
    bound = compiler.bind(sql, settings)
    assert bound is not None
    return compiler.compile(bound, analyst.analyse(bound.analysis_sql), settings)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
@pytest.mark.parametrize("rules", [RULES, ()], ids=["rules", "no rules"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results(
    path: Path,
    rules: tuple[Rule, ...],
    warehouse: str,
    request: pytest.FixtureRequest,
    base_tables: psycopg.Connection[Row],
) -> None:
    prefix = "" if warehouse == "duckdb" else "postgres_"
    shop: Shop = request.getfixturevalue(f"{prefix}shop")
    analyst: Analyst = request.getfixturevalue(f"{prefix}analyst")
    for query in read_queries(path):
        settings = SETTINGS
        if query.defined:
            settings = SessionSettings("tester", "cubewire", measure_aggregates="defined")
        where = f"{path.name}:{query.line}\n{query.sql}"
        statement = compiled(shop, analyst, query.sql, rules, settings)
        values = [query.parameters[use.index] for use in statement.parameters]
        rows = [normal(row) for row in shop.run(statement.sql, values)]
        expected = [normal(row) for row in base_tables.execute(query.check.encode()).fetchall()]
        if query.rowsort:
            rows.sort(key=repr)
            expected.sort(key=repr)
        plan = "\n".join(statement.steps.lines())
        shown = f"{where}\n---- emitted\n{statement.sql}\n---- plan\n{plan}"
        assert rows == expected, shown


def normal(row: Sequence[object]) -> Row:
    return tuple(_normal(value) for value in row)


def _normal(value: object) -> object:
    """Numbers of all types alike, to 12 digits; whole numbers as integers."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float | Decimal):
        return float(f"{float(value):.12g}")
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return _number(value)
    return value


def _number(text: str) -> object:
    """Numeric values may travel as PostgreSQL's text of them."""
    try:
        return float(f"{float(text):.12g}")
    except ValueError:
        return text
