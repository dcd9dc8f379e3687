"""Queries as tools send them: their rows are those of plain SQL over plain tables.

Each block of ``testdata/queries`` is a query over cubes and a check: the same with every measure
spelled out, for PostgreSQL over tables that hold the cubes' rows. Both run, and agree, with DuckDB
and with PostgreSQL as the warehouse.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.e2e.demo_data import load_demo, plain_session
from tests.e2e.targets import Target
from tests.support.oracle import OraclePostgres
from tests.support.server import REPOSITORY, start_server

FILES = sorted((Path(__file__).parent / "testdata" / "queries").glob("*.slt"))
Connection = psycopg.Connection[tuple[object, ...]]
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A block: a statement over cubes, and what checks it or the SQLSTATE of its refusal."""

    where: str
    sql: str
    check: str
    error: str
    rowsort: bool
    maybe: bool


def read_queries(path: Path) -> list[Query]:
    found = []
    line = 1
    for block in path.read_text().split("\n\n"):
        start, line = line, line + block.count("\n") + 2
        lines = [text for text in block.strip("\n").split("\n") if not text.startswith("#")]
        if not any(lines):
            continue
        where = f"{path.stem}:{start}"
        header, body = lines[0], "\n".join(lines[1:])
        assert header in ("query", "query rowsort", "query maybe"), f"{where}: {header}"
        sql, _, check = body.partition("\ncheck\n")
        sql, _, error = sql.partition("\nerror ")
        assert bool(check) != bool(error), f"{where}: either check or error"
        maybe = header.endswith("maybe")
        rowsort = maybe or header.endswith("rowsort")
        found.append(Query(where, sql, check, error.strip(), rowsort, maybe))
    return found


KNOWN: dict[tuple[str, str], str] = {
    ("duckdb", "to_char(sum"): "to_char of numbers is not translated to DuckDB yet",
    ("duckdb", "'season'"): "the model's granularities are no targets of date_trunc yet",
    ("duckdb", "'{UA,AA}'"): "an array in a string is not supported yet",
    ("postgres", "'season'"): "the model's granularities are no targets of date_trunc yet",
}
"""A warehouse and part of a statement that fails there, with the reason; it must go on failing."""

QUERIES = [query for path in FILES for query in read_queries(path)]


@pytest.fixture(scope="module")
def demo(oracle: OraclePostgres, tmp_path_factory: pytest.TempPathFactory) -> Target:
    return load_demo(oracle, tmp_path_factory.mktemp("tables"))


class Checker:
    """Runs the checks, each once for both warehouses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[Row]] = {}

    def rows(self, query: Query) -> list[Row]:
        if query.where not in self._rows:
            found = self._connection.execute(query.check.encode()).fetchall()
            self._rows[query.where] = sorted(found, key=order) if query.rowsort else found
        return self._rows[query.where]


@pytest.fixture(scope="module")
def checker(demo: Target) -> Iterator[Checker]:
    with plain_session(demo) as connection:
        yield Checker(connection)


@pytest.fixture(scope="module")
def over_duckdb(ours: Target, demo: Target) -> Iterator[Connection]:
    with ours.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def over_postgres(demo: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Our server with the same model, over PostgreSQL."""
    folder = tmp_path_factory.mktemp("postgres")
    configuration = {
        "models": str(REPOSITORY / "cube_models"),
        "state_directory": str(folder / "state"),
        "server": {"port": 0},
        "auth": {"users": {"demo": {"password": "demo"}}},
        "data_sources": {"default": {"type": "postgres", "dsn": demo.dsn}},
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    server = start_server(["--config", str(path)])
    target = Target("cubewire", server.host, server.port, "demo", "demo", "cubewire")
    with target.connect() as connection:
        yield connection
    server.stop()


each_query = pytest.mark.parametrize(
    "query", [pytest.param(query, id=query.where) for query in QUERIES]
)


@each_query
def test_duckdb(query: Query, over_duckdb: Connection, checker: Checker) -> None:
    compare_known("duckdb", query, over_duckdb, checker)


@each_query
def test_postgres(query: Query, over_postgres: Connection, checker: Checker) -> None:
    compare_known("postgres", query, over_postgres, checker)


def test_there_are_enough() -> None:
    assert sum(bool(query.check) for query in QUERIES) >= 80


def compare_known(warehouse: str, query: Query, ours: Connection, checker: Checker) -> None:
    reasons = [
        why for (where, part), why in KNOWN.items() if where == warehouse and part in query.sql
    ]
    if not reasons:
        compare(query, ours, checker)
        return
    with pytest.raises((psycopg.Error, AssertionError)):
        compare(query, ours, checker)
    pytest.xfail(reasons[0])


def compare(query: Query, ours: Connection, checker: Checker) -> None:
    if query.error:
        with pytest.raises(psycopg.Error) as problem:
            ours.execute(query.sql.encode()).fetchall()
        assert problem.value.sqlstate == query.error or (query.maybe and refused(problem.value))
        return
    for binary in (False, True):
        try:
            found = ours.execute(query.sql.encode(), binary=binary).fetchall()
        except psycopg.Error as error:
            if query.maybe and refused(error):
                pytest.skip(f"refused: {error.diag.message_primary}")
            raise
        agree(sorted(found, key=order) if query.rowsort else found, checker.rows(query))


def agree(found: Sequence[Row], expected: Sequence[Row]) -> None:
    assert len(found) == len(expected)
    for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert same(mine, theirs), f"row {number}: {mine}\nexpected {theirs}"


def refused(error: psycopg.Error) -> bool:
    """Whether it says that it cannot do this: 0A000, with a hint or at a place in the statement."""
    told = error.diag.message_hint or error.diag.statement_position
    return error.sqlstate == "0A000" and told is not None


def same(mine: Sequence[object], theirs: Sequence[object]) -> bool:
    return len(mine) == len(theirs) and all(map(same_value, mine, theirs))


def same_value(mine: object, theirs: object) -> bool:
    """Equal; floating point numbers to 12 digits, as sums depend on the order of the rows."""
    if isinstance(mine, float) or isinstance(theirs, float):
        if isinstance(mine, float | Decimal | int) and isinstance(theirs, float | Decimal | int):
            return math.isclose(mine, theirs, rel_tol=1e-12, abs_tol=1e-12)
        return mine == theirs
    return (type(mine) is type(theirs) and mine == theirs) or is_whole(mine, theirs)


def is_whole(mine: object, theirs: object) -> bool:
    """Whether both are the same number, one of them by chance of a type without fraction."""
    kinds = (int, Decimal)
    return isinstance(mine, kinds) and isinstance(theirs, kinds) and mine == theirs


def order(row: Row) -> tuple[str, ...]:
    """A sort key under which numbers that count as the same stand in the same place."""
    return tuple(
        f"{float(value):.9g}"
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        else repr(value)
        for value in row
    )
