"""TPC-H: made once a scale by tpchgen-cli, kept as Parquet and in a DuckDB file."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import psycopg

from tests.support.oracle import OraclePostgres
from tests.support.server import REPOSITORY
from tests.support.tables import copy_table, fresh_database

SCALE = 0.1
DATABASE = "tpch"
# Of each table the columns that tell its rows apart, and those it is looked up by.
KEYS = {
    "region": ("r_regionkey",),
    "nation": ("n_nationkey",),
    "supplier": ("s_suppkey",),
    "customer": ("c_custkey",),
    "part": ("p_partkey",),
    "partsupp": ("ps_partkey, ps_suppkey", "ps_suppkey"),
    "orders": ("o_orderkey", "o_custkey", "o_orderdate"),
    "lineitem": ("l_orderkey, l_linenumber", "l_partkey, l_suppkey", "l_suppkey"),
}
_KEPT = REPOSITORY / ".cubewire" / "tpch"


def tpch_folder(scale: float = SCALE) -> Path:
    """The folder with ``tpch.duckdb`` and a Parquet file a table; made where it is not there.

    Several processes may ask at once: the first makes it.
    """
    _KEPT.mkdir(parents=True, exist_ok=True)
    made = _KEPT / f"scale-{scale:g}"
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            making = _KEPT / "making"
            shutil.rmtree(making, ignore_errors=True)
            _make(making, scale)
            making.rename(made)
    return made


def _make(folder: Path, scale: float) -> None:
    command = Path(sys.executable).parent / "tpchgen-cli"
    wanted = ("parquet", "--quiet", "-s", str(scale), "-o", str(folder))
    subprocess.run([command, *wanted], check=True, timeout=300)
    with duckdb.connect(str(folder / "tpch.duckdb")) as database:
        for table in KEYS:
            database.execute(f"CREATE TABLE {table} AS FROM '{folder / table}.parquet'")


def load_tpch(oracle: OraclePostgres, folder: Path) -> tuple[Path, str]:
    """The DuckDB file, and a PostgreSQL database with the same tables in ``public``.

    Args:
        oracle: where the database is made.
        folder: for what goes from one database to the other.
    """
    warehouse = tpch_folder() / "tpch.duckdb"
    dsn = fresh_database(oracle, DATABASE)
    with (
        duckdb.connect(str(warehouse), read_only=True) as source,
        psycopg.connect(dsn, autocommit=True) as sink,
    ):
        for table, (primary, *others) in KEYS.items():
            copy_table(source, sink, table, folder)
            sink.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({primary})".encode())
            for columns in others:
                sink.execute(f"CREATE INDEX ON {table} ({columns})".encode())
        sink.execute("ANALYZE")
        # The reference need not be quick, but neither should it ever choose a nested loop over all.
        sink.execute(f"ALTER DATABASE {DATABASE} SET jit = off")
        sink.execute(f"ALTER DATABASE {DATABASE} SET work_mem = '64MB'")
    return warehouse, dsn
