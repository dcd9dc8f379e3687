"""A model of a thousand cubes, and a DuckDB file with their tables."""

from __future__ import annotations

from pathlib import Path

import duckdb
import yaml

from tests.bench.statements import Named

CUBES = 1000
DIMENSIONS = 35
MEASURES = 15


def write_model(folder: Path, cubes: int) -> None:
    """So many cubes of 50 members, a hundred in a file, each joined to the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, cubes, 100):
        numbers = range(first, min(first + 100, cubes))
        text = "cubes:\n" + "".join(_cube(number) for number in numbers)
        (folder / f"part{first // 100}.yml").write_text(text)


def _cube(number: int) -> str:
    name = cube_name(number)
    lines = [f"  - name: {name}", f"    sql_table: {name}", f"    description: Facts {number}."]
    if number:
        other = cube_name(number - 1)
        condition = f"{{CUBE}}.d1 = {{{other}.d0}}"
        join = f'{{name: {other}, relationship: many_to_one, sql: "{condition}"}}'
        lines += ["    joins:", f"      - {join}"]
    lines.append("    dimensions:")
    for index in range(DIMENSIONS):
        key = ", primary_key: true" if index == 0 else ""
        sql = f'"{{CUBE}}.d{index}"'
        lines.append(f"      - {{name: d{index}, type: {kind(index)}, sql: {sql}{key}}}")
    lines += ["    measures:", "      - {name: count, type: count}"]
    for index in range(1, MEASURES):
        aggregate = ("sum", "avg", "max")[index % 3]
        lines.append(f'      - {{name: m{index}, type: {aggregate}, sql: "{{d{index * 2}}}"}}')
    return "\n".join(lines) + "\n"


def cube_name(number: int) -> str:
    """The name of a cube and of its table."""
    return f"facts_{number:04}"


def kind(index: int) -> str:
    """The type of a dimension: text at odd places, numbers at the others and at the first two."""
    return "string" if index % 2 and index > 1 else "number"


def write_tables(path: Path, cubes: int) -> None:
    """Empty tables for the cubes."""
    columns = ", ".join(
        f"d{index} {'VARCHAR' if kind(index) == 'string' else 'INTEGER'}"
        for index in range(DIMENSIONS)
    )
    with duckdb.connect(str(path)) as database:
        database.execute("BEGIN")
        for number in range(cubes):
            database.execute(f"CREATE TABLE {cube_name(number)} ({columns})")
        database.execute("COMMIT")


def write_configuration(folder: Path, cubes: int) -> Path:
    """A model, its tables and a configuration for them; gives back the path of the last."""
    write_model(folder / "models", cubes)
    write_tables(folder / "rows.duckdb", cubes)
    path = folder / "cubewire.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "models": str(folder / "models"),
                "state_directory": str(folder / "state"),
                "auth": {"method": "trust"},
                "data_sources": {
                    "default": {"type": "duckdb", "path": str(folder / "rows.duckdb")}
                },
            }
        )
    )
    return path


def large_statements(cubes: int) -> tuple[Named, ...]:
    """Statements on the first of so many cubes."""
    return tuple(
        Named(
            name,
            f"SELECT d1, MEASURE(count) AS n, SUM(m3) AS a, MEASURE(m2) AS b FROM {name} "
            "WHERE d3 = 'x' AND d4 > 7 GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
        )
        for name in map(cube_name, range(cubes))
    )
