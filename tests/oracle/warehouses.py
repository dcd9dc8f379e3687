"""The warehouses that a laboratory can have: where the rows are, and the models over them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import yaml

from tests.oracle import clickhouse_rows, join_tables, mariadb_rows
from tests.oracle.copied_rows import copy_rows, write_models
from tests.oracle.tables import MODEL
from tests.portable import spark as spark_types
from tests.portable import trino as trino_types
from tests.support import spark, trino
from tests.support.clickhouse import ClickHouseServer

MARIADB = "mariadb"
Source = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rows:
    """What is to be in a warehouse.

    Attributes:
        script: the statements that make the tables.
        dsn: of a PostgreSQL that has them.
        database: its name, for those who share a server.
        folder: for what a warehouse keeps.
        ended: what is to be done in the end.
    """

    script: str
    dsn: str
    database: str
    folder: Path
    ended: ExitStack


@dataclass(frozen=True, slots=True)
class Served:
    """What a server is started with: models, data sources, and the module that it is run from."""

    models: Path
    sources: Mapping[str, Source]
    module: str = ""


def _folder(rows: Rows, name: str) -> Path:
    made = rows.folder / name
    made.mkdir(exist_ok=True)
    return made


def _models(rows: Rows) -> Path:
    """The models of the oracle, as they are."""
    models = _folder(rows, "models")
    for model in (MODEL, join_tables.MODEL):
        shutil.copy(model, models)
    return models


def _duckdb_source(rows: Rows) -> Source:
    path = rows.folder / "rows.duckdb"
    if not path.exists():
        with duckdb.connect(str(path)) as connected:
            connected.execute("SET TimeZone = 'UTC'")
            connected.execute(rows.script)
    return {"type": "duckdb", "path": str(path), "read_only": True}


def _postgres_source(rows: Rows) -> Source:
    return {"type": "postgres", "dsn": rows.dsn}


def _duckdb(rows: Rows) -> Served:
    return Served(_models(rows), {"default": _duckdb_source(rows)})


def _postgres(rows: Rows) -> Served:
    return Served(_models(rows), {"default": _postgres_source(rows)})


def _limited(rows: Rows) -> Served:
    """A PostgreSQL that is taken to know so little that most statements are split."""
    sources = {"default": _postgres_source(rows)}
    return Served(_models(rows), sources, "tests.support.limited_server")


def _mixed(rows: Rows) -> Served:
    """The cubes that are joined, some of them in another data source."""
    models = _folder(rows, "mixed_models")
    model = yaml.safe_load(join_tables.MODEL.read_text())
    for cube in model["cubes"]:
        if cube["name"] in join_tables.ELSEWHERE:
            cube["data_source"] = join_tables.OTHER
    (models / "joins.yml").write_text(yaml.safe_dump(model))
    sources = {"default": _duckdb_source(rows), join_tables.OTHER: _postgres_source(rows)}
    return Served(models, sources)


def _clickhouse(rows: Rows) -> Served:
    models = _folder(rows, "clickhouse_models")
    clickhouse_rows.write_models(models)
    engine = ClickHouseServer(rows.folder / "clickhouse_rows")
    rows.ended.callback(engine.stop)
    engine.start()
    clickhouse_rows.load(rows.dsn, engine)
    return Served(models, {"default": {"type": "clickhouse", "url": engine.url}})


def _spark(rows: Rows) -> Served:
    models = _folder(rows, "spark_models")
    write_models(models)
    url = spark.shared_server()

    def fill(name: str, types: Mapping[str, str], texts: Sequence[Sequence[str | None]]) -> None:
        spark.fill(url, f"{rows.database}.{name}", types, texts)

    copy_rows(rows.dsn, spark_types.spelled, fill)
    return Served(models, {"default": {"type": "spark", "url": url, "database": rows.database}})


def _trino(rows: Rows) -> Served:
    models = _folder(rows, "trino_models")
    write_models(models, few_digits=True)
    port = trino.shared_server()
    copy_rows(rows.dsn, trino_types.spelled, partial(trino.fill, port))
    return Served(models, {"default": trino.source(port)})


def _mariadb(rows: Rows) -> Served:
    models = _folder(rows, "mariadb_models")
    for model in (MODEL, join_tables.MODEL):
        (models / model.name).write_text(mariadb_rows.model(model.read_text()))
    return Served(models, {"default": mariadb_rows.source(rows.script, rows.database)})


WAREHOUSES: Mapping[str, Callable[[Rows], Served]] = {
    "duckdb": _duckdb,
    "postgres": _postgres,
    "limited": _limited,
    "mixed": _mixed,
    "clickhouse": _clickhouse,
    "spark": _spark,
    "trino": _trino,
    MARIADB: _mariadb,
}
"""MariaDB goes by itself: rows that it cannot hold are others for all."""


def suited(rows: str, plain: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The scripts of the rows and of the plain tables, as these warehouses can hold them."""
    if MARIADB not in names:
        return rows, plain
    return (
        rows.replace(mariadb_rows.EARLY, mariadb_rows.LATER),
        plain.replace(*mariadb_rows.WIDER),
    )
