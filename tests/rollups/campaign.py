"""Random rollups, statements and rows by the thousand: ``python -m tests.rollups.campaign``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.conftest import free_port
from tests.rollups.apart import ApartWarehouse
from tests.rollups.random_sales import case
from tests.rollups.sales import TABLES
from tests.rollups.soundness import Tally, check
from tests.rollups.warehouses import Database, Warehouse, sales_model
from tests.support.duck import memory_database
from tests.support.oracle import OraclePostgres, start_oracle

MOST_FAILURES = 10


def database(oracle: OraclePostgres, dialect: str) -> Database:
    """A warehouse of its own with the tables of the sales."""
    if dialect == "duckdb":
        connection = memory_database()
        connection.execute(TABLES)
        return connection
    name = f"rollups_base_{dialect}"
    with psycopg.connect(oracle.dsn, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}".encode())
    dsn = oracle.dsn.replace("/postgres", f"/{name}")
    warehouse = psycopg.connect(dsn, autocommit=True)
    warehouse.execute(TABLES)
    return warehouse


def catalog(oracle: OraclePostgres, dialect: str) -> str:
    """The DSN of an empty database for the analysis."""
    with psycopg.connect(oracle.dsn, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE rollups_catalog_{dialect}".encode())
    return oracle.dsn.replace("/postgres", f"/rollups_catalog_{dialect}")


def apart(oracle: OraclePostgres, folder: Path) -> ApartWarehouse:
    """PostgreSQL, its rollups in a folder."""
    found = database(oracle, "apart")
    return ApartWarehouse("postgres", found, sales_model(), catalog(oracle, "apart"), folder=folder)


def run(oracle: OraclePostgres, dialect: str, first: int, count: int) -> int:
    """Check so many cases from a number on. Returns how many failed."""
    with tempfile.TemporaryDirectory() as folder:
        if dialect == "apart":
            return _run(apart(oracle, Path(folder)), dialect, first, count)
        made = Warehouse(
            dialect, database(oracle, dialect), sales_model(), catalog(oracle, dialect)
        )
        return _run(made, dialect, first, count)


def _run(warehouse: Warehouse, dialect: str, first: int, count: int) -> int:
    tally, failures, start = Tally(), 0, time.monotonic()
    for seed in range(first, first + count):
        try:
            check(warehouse, case(seed), tally)
        except Exception as error:  # noqa: BLE001 - whatever it is, the case is told
            failures += 1
            print(f"case {seed}: {type(error).__name__}: {error}\n")
            if failures == MOST_FAILURES:
                break
    print(f"{dialect}: {tally}, {failures} failures, {time.monotonic() - start:.0f} s")
    for reason, times in sorted(tally.refused.items(), key=lambda item: -item[1])[:5]:
        print(f"  {times} not comparable: {reason}")
    return failures


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="of all warehouses together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--warehouses",
        nargs="+",
        default=["duckdb", "postgres", "apart"],
        help="apart: PostgreSQL, its rollups in Parquet",
    )
    options = parser.parse_args()
    oracle = start_oracle(free_port())
    try:
        share = options.cases // len(options.warehouses)
        failed = 0
        for number, name in enumerate(options.warehouses):
            failed += run(oracle, name, options.first + number * share, share)
    finally:
        oracle.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
