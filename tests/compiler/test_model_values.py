"""Values of model members that depend on no session: moments (rule T1), places; unprobed cubes."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from semantic.compiler.dialect import coordinates, dialect_of
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.probe import probe_statements
from semantic.compiler.publish import publish
from semantic.model.loader import load_model
from semantic.model.members import Dimension
from semantic.model.model import Model
from tests.support.duck import memory_database

MODEL = """
cubes:
  - name: moments
    sql_table: moments
    dimensions:
      - {name: here, type: time, sql: local, time_zone: America/New_York}
      - {name: utc, type: time, sql: local, data_type: timestamptz(6)}
      - {name: known, type: time, sql: zoned, data_type: timestamptz}
      - {name: plain, type: time, sql: local}
      - {name: clock, type: time, sql: local, data_type: timestamp, time_zone: America/New_York}
  - name: hooked
    sql: "SELECT * FROM moments WHERE {FILTER_PARAMS.hooked.plain.filter('local')}"
    dimensions:
      - {name: plain, type: time, sql: local}
"""
TABLE = """
CREATE TABLE moments (local timestamp, zoned timestamptz);
INSERT INTO moments VALUES ('2024-07-01 12:00:00.000001', '2024-07-01 12:00:00+00'),
    ('9999-12-30 23:59:59.999999', '9999-12-31 23:59:59.999999+00'), (NULL, NULL),
    ('infinity', '-infinity'), ('1960-02-29 23:59:59.999999', '1900-01-01 00:00:00.25+00');
"""
EXPECTED = [
    (
        "1960-03-01 04:59:59.999999",
        "1960-02-29 23:59:59.999999",
        "1900-01-01 00:00:00.25",
        "1960-02-29 23:59:59.999999",
    ),
    (
        "2024-07-01 16:00:00.000001",
        "2024-07-01 12:00:00.000001",
        "2024-07-01 12:00:00",
        "2024-07-01 12:00:00.000001",
    ),
    (
        "9999-12-31 04:59:59.999999",
        "9999-12-30 23:59:59.999999",
        "9999-12-31 23:59:59.999999",
        "9999-12-30 23:59:59.999999",
    ),
    ("infinity", "infinity", "-infinity", "infinity"),
    (None, None, None, None),
]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    (tmp_path / "moments.yml").write_text(MODEL)
    found = load_model(tmp_path, {}).model
    assert found is not None
    return found


def query(model: Model, dialect: str) -> str:
    sql = ModelSql(model, {"default": dialect})
    cube = model.cubes_by_name["moments"]
    columns: list[str] = []
    for name in ("here", "utc", "known", "clock"):
        dimension = cube.members[name]
        assert isinstance(dimension, Dimension)
        tree = sql.dimension(cube, dimension)
        text = dialect_of(dialect).generate(tree).replace('"path:".', "")
        shown = text if name == "clock" else f"{text} AT TIME ZONE 'UTC'"
        columns.append(f"CAST({shown} AS text)")
    return f"SELECT {', '.join(columns)} FROM moments ORDER BY 1 NULLS LAST"


def test_zones_on_duckdb_do_not_depend_on_the_session(model: Model) -> None:
    with memory_database() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(TABLE)
        database.execute("SET TimeZone = 'Asia/Tokyo'")
        rows = database.execute(query(model, "duckdb")).fetchall()
    assert rows == EXPECTED


def test_zones_on_postgres_do_not_depend_on_the_session(
    model: Model, base_tables: psycopg.Connection[object]
) -> None:
    with base_tables.transaction(force_rollback=True):
        base_tables.execute("SET LOCAL TimeZone = 'UTC'")
        base_tables.execute(TABLE)
        base_tables.execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
        rows = base_tables.execute(query(model, "postgres").encode()).fetchall()
    assert rows == EXPECTED


def test_published_types(model: Model) -> None:
    dialects = {"default": "duckdb"}
    relations = {item.name: item for item in publish(model, {}, dialects).relations}
    types = {column.name: column.type.name for column in relations["moments"].columns}
    assert types["here"] == types["utc"] == types["known"] == "timestamptz"
    assert types["plain"] == types["clock"] == "timestamp"


def test_a_hook_for_filters_lets_all_rows_pass(model: Model) -> None:
    probe = probe_statements(model, {"default": "duckdb"})["hooked"]
    assert "WHERE (1 = 1)" in probe.sql


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("60.0::double", "-0.5::double", "60,-0.5"),
        ("10.25::float", "100.0::float", "10.25,100"),
        ("60.0::decimal(9, 1)", "7", "60.0,7"),
        ("'60.0'", "NULL::double", None),
    ],
)
def test_places_on_duckdb(latitude: str, longitude: str, expected: str | None) -> None:
    dialect = dialect_of("duckdb")
    pair = [dialect.parse(text)[0] for text in (latitude, longitude)]
    assert pair[0] is not None
    assert pair[1] is not None
    text = dialect.generate(coordinates(pair[0], pair[1], "duckdb"))
    with memory_database() as database:
        assert database.execute(f"SELECT {text}").fetchone() == (expected,)
