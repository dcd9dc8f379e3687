"""The functions that the connector adds to DuckDB, beside PostgreSQL's own arithmetic."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
import pytest

from connectors.base import Parameter
from connectors.duckdb_connector import DuckDBConnector, DuckDBOptions
from connectors.duckdb_functions import QUOTIENT, add_functions, quotient
from connectors.errors import WarehouseError
from semantic.compiler.expressions.duckdb.numeric import QUOTIENT_FUNCTION
from tests.support.oracle import OraclePostgres

EDGES = (
    *("0", "0.00", "1", "-1", "9999", "10000", "10001", "0.0001", "0.00009999", "0.0000", "-0.5"),
    *(
        "99999999",
        "100000000",
        "2.50",
        "1.5000000000000000",
        "12345678901234567890123456789012345678",
    ),
    *("0.00000000000000000001", "-99999999999999999999.99", "4", "40000", "7.7777777777777777"),
)


def numbers(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    found = []
    for _ in range(count):
        digits = source.randrange(10 ** source.randrange(1, 38))
        scale = source.choice((0, 0, 2, 2, 4, 9, source.randrange(20)))
        found.append(f"{Decimal(digits).scaleb(-scale) * source.choice((1, 1, 1, -1)):f}")
    return found


def test_quotients_are_postgresqls(oracle: OraclePostgres) -> None:
    above = [*EDGES * len(EDGES), *numbers(1, 3000)]
    below = [*(each for each in EDGES for _ in EDGES), *numbers(2, 3000)]
    pairs = [pair for pair in zip(above, below, strict=True) if pair[1].strip("-0.")]
    with psycopg.connect(oracle.dsn) as postgres:
        expected = postgres.execute(
            "SELECT (a::numeric / b::numeric)::text FROM unnest(%s::text[], %s::text[])"
            " WITH ORDINALITY AS t(a, b, n) ORDER BY n",
            ([a for a, _ in pairs], [b for _, b in pairs]),
        ).fetchall()
    assert len(pairs) > 3000
    for (a, b), (text,) in zip(pairs, expected, strict=True):
        assert quotient(a, b) == text, (a, b)


async def test_statements_call_it(tmp_path: Path) -> None:
    path = tmp_path / "file.duckdb"
    duckdb.connect(str(path)).close()
    connector = DuckDBConnector(DuckDBOptions(path=str(path)))
    await connector.start()
    try:
        sql = f"SELECT {QUOTIENT}(x, '3') AS q FROM unnest(['1', NULL, '-2.00']) AS t(x)"
        for _ in range(3):
            stream = await connector.execute(sql)
            (batch,) = [batch async for batch in stream]
            expected = ["0.33333333333333333333", None, "-0.66666666666666666667"]
            assert batch["q"].to_pylist() == expected
        with pytest.raises(WarehouseError) as caught:
            await connector.execute(f"SELECT {QUOTIENT}('1', ?)", [Parameter("text", "0")])
        assert (caught.value.sqlstate, caught.value.message) == ("22012", "division by zero")
    finally:
        await connector.close()


def test_the_compiler_knows_it_by_its_name() -> None:
    assert QUOTIENT_FUNCTION == QUOTIENT


def test_added_once() -> None:
    with duckdb.connect(":memory:") as database:
        add_functions(database)
        add_functions(database)
        assert database.execute(f"SELECT {QUOTIENT}('1', '8')").fetchall() == [
            ("0.12500000000000000000",)
        ]
