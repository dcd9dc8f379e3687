"""Random rollups, statements and rows by the thousand: ``python -m tests.rollups.campaign``."""

from __future__ import annotations

import argparse
import sys
import time

import duckdb
import psycopg

from tests.conftest import free_port
from tests.rollups.random_sales import case
from tests.rollups.sales import TABLES
from tests.rollups.soundness import Tally, check
from tests.rollups.warehouses import Database, Warehouse, sales_model
from tests.support.oracle import OraclePostgres, start_oracle

MOST_FAILURES = 10


def database(oracle: OraclePostgres, dialect: str) -> Database:
    """A warehouse of its own with the tables of the sales."""
    if dialect == "duckdb":
        connection = duckdb.connect(":memory:")
        connection.execute(TABLES)
        return connection
    with psycopg.connect(oracle.dsn, autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE rollups_base")
    dsn = oracle.dsn.replace("/postgres", "/rollups_base")
    warehouse = psycopg.connect(dsn, autocommit=True)
    warehouse.execute(TABLES)
    return warehouse


def catalog(oracle: OraclePostgres, dialect: str) -> str:
    """The DSN of an empty database for the analysis."""
    with psycopg.connect(oracle.dsn, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE rollups_catalog_{dialect}".encode())
    return oracle.dsn.replace("/postgres", f"/rollups_catalog_{dialect}")


def run(oracle: OraclePostgres, dialect: str, first: int, count: int) -> int:
    """Check so many cases from a number on. Returns how many failed."""
    warehouse = Warehouse(
        dialect, database(oracle, dialect), sales_model(), catalog(oracle, dialect)
    )
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
    parser.add_argument("--cases", type=int, default=10_000, help="of both warehouses together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    oracle = start_oracle(free_port())
    try:
        half = options.cases // 2
        failed = run(oracle, "duckdb", options.first, options.cases - half)
        failed += run(oracle, "postgres", options.first + options.cases, half)
    finally:
        oracle.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
