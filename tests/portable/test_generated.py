"""Dialects whose engines are not at hand: what each template becomes, and that it can be read.

``--rewrite`` records the files in ``generated`` anew, to be read by who knows the engine.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlglot

from semantic.compiler.expressions import infer, tables_of
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType
from tests.portable.bench import Bench, columns_of, expression
from tests.portable.expressions import aggregates, scalars, windows

FOLDER = Path(__file__).parent / "generated"
TYPES = ("bool", "int2", "int4", "int8", "numeric", "float8", "text", "date", "timestamp")
DIALECTS = ("athena", "bigquery", "databricks", "snowflake", "trino", "tsql")


KIN = {"athena": "trino", "databricks": "spark"}
"""Dialects of which only what differs from another one's is recorded."""


def parser_of(dialect: str) -> str:
    tables = tables_of(dialect)
    assert tables is not None
    return tables.parser or dialect


def statements(dialect: str) -> list[tuple[str, str]]:
    """Each expression over the table of the tests, and the statement that it becomes."""
    tables = tables_of(dialect)
    assert tables is not None
    connector = cast("Any", SimpleNamespace(dialect=dialect))
    bench = Bench(cast("Any", None), connector, dict(columns_of(TYPES)))
    found = []
    for make in (scalars, aggregates, windows):
        for _, text in make(tables, TYPES):
            if " NOT LIKE " in text:
                # As LIKE, with NOT around it.
                continue
            kind = infer(expression(text), bench)
            try:
                sql = bench.emitted(text, PostgresType(kind.name), "")
            except UnsupportedError as error:
                sql = f"refused: {error}"
            found.append((text, sql))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_statements(dialect: str, pytestconfig: pytest.Config) -> None:
    found = statements(dialect)
    if dialect in KIN:
        common = set(statements(KIN[dialect]))
        found = [item for item in found if item not in common]
    text = "".join(f"{ours} -> {theirs}\n" for ours, theirs in found)
    path = FOLDER / f"{dialect}.txt"
    if pytestconfig.getoption("--rewrite"):
        path.write_text(text)
    assert text == path.read_text()
    answered = [sql for _, sql in found if not sql.startswith("refused")]
    assert dialect in KIN or len(answered) > 0.9 * len(found)
    for sql in answered:
        sqlglot.parse_one(sql, read=parser_of(dialect))
