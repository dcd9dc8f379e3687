"""The demo model loads, has a member of every simple kind, and runs on two warehouses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from semantic.model.loader import load_model
from semantic.model.members import Case, Dimension, Measure, Member, Segment
from semantic.model.model import MemberTarget, Model, RowTarget
from semantic.model.template import Reference, SqlTemplate
from tests.support.oracle import OraclePostgres

FOLDER = Path(__file__).parents[2] / "cube_models"

TABLES = {
    "flights": "flight_id bigint, flight_date date, year int, month int, day int, dep_time int,"
    " sched_dep_time int, dep_delay int, arr_time int, sched_arr_time int, arr_delay int,"
    " carrier varchar, flight int, tailnum varchar, origin varchar, dest varchar, air_time int,"
    " distance int, hour int, minute int, time_hour timestamptz",
    "airlines": "carrier varchar, name varchar",
    "airports": "faa varchar, name varchar, lat double precision, lon double precision, alt int,"
    " tz int, dst varchar, tzone varchar",
    "planes": "tailnum varchar, year int, type varchar, manufacturer varchar, model varchar,"
    " engines int, seats int, speed int, engine varchar",
    "weather": "weather_id bigint, origin varchar, year int, month int, day int, hour int,"
    " temp double precision, dewp double precision, humid double precision, wind_dir int,"
    " wind_speed double precision, wind_gust double precision, precip double precision,"
    " pressure double precision, visib double precision, time_hour timestamptz",
}

AGGREGATES = {
    "count": "COUNT({})",
    "count_distinct": "COUNT(DISTINCT {})",
    "count_distinct_approx": "COUNT(DISTINCT {})",
    "sum": "SUM({})",
    "avg": "AVG({})",
    "min": "MIN({})",
    "max": "MAX({})",
    "median": "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY {})",
    "percentile": "PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY {})",
}


@pytest.fixture(scope="module")
def model() -> Model:
    report = load_model(FOLDER, {})
    assert report.model is not None, report.render_text()
    return report.model


class Printer:
    """The plainest possible compiler: enough to run each member alone."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.joins: dict[tuple[str, ...], str] = {}

    def select(self, home: str, member: Member) -> str:
        expression = self.member(home, (), home, member)
        cube = self.model.cubes_by_name[home]
        joins = "".join(self.joins.values())
        return f'SELECT {expression} FROM {cube.sql_table} AS "{home}"{joins}'

    def member(self, root: str, path: tuple[str, ...], cube: str, member: Member) -> str:
        if isinstance(member, Measure):
            return self.measure(root, path, cube, member)
        if isinstance(member, Dimension) and member.latitude and member.longitude:
            pair = (member.latitude, member.longitude)
            return " || ',' || ".join(f"({self.sql(root, path, cube, part)})" for part in pair)
        if isinstance(member, Dimension) and member.case:
            return self.case(root, path, cube, member.case)
        assert member.sql is not None
        return f"({self.sql(root, path, cube, member.sql)})"

    def case(self, root: str, path: tuple[str, ...], cube: str, case: Case) -> str:
        assert case.otherwise
        whens = "".join(
            f" WHEN {self.sql(root, path, cube, branch.condition)} THEN '{branch.label}'"
            for branch in case.when
            if branch.condition
        )
        return f"(CASE{whens} ELSE '{case.otherwise.label}' END)"

    def measure(self, root: str, path: tuple[str, ...], cube: str, member: Measure) -> str:
        text = self.sql(root, path, cube, member.sql) if member.sql else "1"
        if member.is_calculated:
            return f"({text})"
        if member.filters:
            found = (f"({self.sql(root, path, cube, item)})" for item in member.filters)
            text = f"CASE WHEN {' AND '.join(found)} THEN {text} END"
        return AGGREGATES[member.type].format(text)

    def sql(self, root: str, path: tuple[str, ...], cube: str, template: SqlTemplate) -> str:
        return "".join(
            part if isinstance(part, str) else self.reference(root, path, cube, part)
            for part in template.parts
            if isinstance(part, str | Reference)
        )

    def reference(self, root: str, path: tuple[str, ...], cube: str, part: Reference) -> str:
        target = self.model.resolve(cube, part)
        whole = (*path, *target.path)
        self.join(root, whole)
        if isinstance(target, RowTarget):
            return '"' + "__".join((root, *whole)) + '"'
        assert isinstance(target, MemberTarget)
        return self.member(root, whole, target.cube, target.member)

    def join(self, root: str, path: tuple[str, ...]) -> None:
        for length in range(1, len(path) + 1):
            part = path[:length]
            if part in self.joins:
                continue
            step = self.model.walk(root, part)[-1]
            self.joins[part] = ""
            table = self.model.cubes_by_name[step.target].sql_table
            condition = self.sql(root, part[:-1], step.source, step.join.sql)
            name = "__".join((root, *part))
            self.joins[part] = f' LEFT JOIN {table} AS "{name}" ON {condition}'


def _is_over_measures(member: object) -> bool:
    """Whether a member is made of measures at other grains and times, which no expression says."""
    return isinstance(member, Measure) and (member.multi_stage or member.case is not None)


def selects(model: Model) -> list[str]:
    found = [
        Printer(model).select(cube.name, member)
        for cube in model.cubes
        for member in cube.members.values()
        if not _is_over_measures(member)
    ]
    for view in model.views:
        for column in view.columns.values():
            if isinstance(column, Measure | Segment):
                assert column.sql is not None
                printer = Printer(model)
                pieces = [
                    part
                    if isinstance(part, str)
                    else _view_reference(printer, model, view.name, part)
                    for part in column.sql.parts
                    if isinstance(part, str | Reference)
                ]
                joins = "".join(printer.joins.values())
                table = f'{model.cubes_by_name[view.root].sql_table} AS "{view.root}"'
                found.append(f"SELECT {''.join(pieces)} FROM {table}{joins}")
    return found


def _view_reference(printer: Printer, model: Model, view: str, part: Reference) -> str:
    target = model.resolve(view, part)
    assert isinstance(target, MemberTarget)
    printer.join(target.root, target.path)
    return printer.member(target.root, target.path, target.cube, target.member)


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
    yield connection
    connection.close()


def test_sql_runs_on_duckdb(model: Model, duck: duckdb.DuckDBPyConnection) -> None:
    for statement in selects(model):
        duck.execute(statement)


def test_sql_runs_on_postgres(model: Model, oracle: OraclePostgres) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        connection.execute("CREATE SCHEMA demo")
        connection.execute("SET search_path TO demo")
        for name, columns in TABLES.items():
            connection.execute(f"CREATE TABLE {name} ({columns})")
        for statement in selects(model):
            connection.execute(statement.encode())
        connection.rollback()


def test_every_simple_kind_is_there(model: Model) -> None:
    cubes = model.cubes
    dimensions = {item.type for cube in cubes for item in cube.dimensions}
    assert dimensions == {"string", "number", "boolean", "time", "geo", "switch"}
    measures = {item.type for cube in cubes for item in cube.measures}
    assert measures == {
        *AGGREGATES,
        *("number", "string", "time", "boolean", "number_agg", "rank"),
    }
    flights = model.cubes_by_name["flights"]
    assert [join.name for join in flights.joins] == [
        "airlines",
        "origin",
        "destination",
        "planes",
        "weather",
    ]
    assert [item.name for item in model.cubes_by_name["weather"].primary_key] == [
        "origin",
        "observed_at",
    ]


def test_view_columns(model: Model) -> None:
    view = model.views_by_name["flight_overview"]
    assert view.root == "flights"
    name = view.columns["destination_name"]
    assert not isinstance(name, Measure | Segment)
    assert (name.join_path, name.cube, name.member) == (("destination",), "airports", "name")
    assert [item.name for item in view.hierarchies] == [
        "origin_place",
        "destination_place",
        "build",
    ]
    kinds = [column.kind for column in view.columns.values()]
    assert kinds == sorted(kinds, key=["dimension", "measure", "segment"].index)
