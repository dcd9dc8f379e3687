"""What is particular to SQL Server's statements: conditions are no values, and texts are bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlglot
from sqlglot import exp

from semantic.compiler.masks import literal_mask
from semantic.compiler.rewrite import RULES
from semantic.model.members import Mask
from semantic.model.types import BOOL
from tests.compiler.analyst import Analyst
from tests.compiler.conftest import SETTINGS, Shop
from tests.compiler.test_results import compiled

WHOLE = [
    # A condition is turned into a bit and back.
    ("SELECT quantity > 3 AS big, COUNT(*) FROM orders GROUP BY 1",
     "GROUP BY CAST(CASE WHEN ([orders].quantity > CAST( 3 AS int)) THEN 1 WHEN NOT"),
    ("SELECT id FROM orders WHERE (quantity > 3) IS NOT TRUE", "ELSE CAST( 0 AS bit) END) = 1))"),
    ("SELECT id FROM orders WHERE true OR quantity > 3", "(CAST( 1 AS bit) = 1)"),
    ("SELECT COUNT(*) FILTER (WHERE quantity > 3) FROM orders",
     "COUNT_BIG( (CASE WHEN ([orders].quantity > CAST( 3 AS int)) THEN 1 END) )"),
    # Trailing blanks count.
    ("SELECT id FROM orders WHERE status = 'it''s '", "= CAST( 0x6974277320 AS varbinary(max))"),
    ("SELECT id FROM orders WHERE status = $1", "CAST(CAST( $1 COLLATE Latin1_General_100_BIN2"),
    # Sums do not overflow, and NULLs sort behind all else.
    ("SELECT SUM(quantity) FROM orders", "SUM(CAST( [orders].quantity AS bigint))"),
    ("SELECT id FROM orders ORDER BY id LIMIT 3", "ORDER BY CASE WHEN [orders].id IS NULL THEN 1"),
    # ORDER BY stands nowhere but at the end.
    ("SELECT x.id FROM (SELECT id FROM orders ORDER BY quantity) AS x", "FROM orders AS [orders]"),
    ("SELECT id FROM orders ORDER BY id LIMIT 3 OFFSET 2", "OFFSET 2 ROWS FETCH FIRST 3 ROWS"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "part"), WHOLE)
def test_whole(shop: Shop, analyst: Analyst, sql: str, part: str) -> None:
    found = compiled(replace(shop, dialect="tsql"), analyst, sql, RULES, SETTINGS)
    assert not found.fetches
    assert part in found.sql
    tree = sqlglot.parse_one(found.sql, read="tsql")
    assert all(
        select is tree or not select.args.get("order") for select in tree.find_all(exp.Select)
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'x' AS k, COUNT(*) FROM orders GROUP BY 1",
        "SELECT id FROM orders ORDER BY id LIMIT 0 OFFSET 2",
        "SELECT MIN(status) FROM orders",
        "SELECT SUM(CASE WHEN id IN (SELECT id FROM customers) THEN 1 ELSE 0 END) FROM orders",
        "SELECT status, COUNT(*) FROM orders GROUP BY ROLLUP (status)",
        "SELECT id, RANK() OVER (ORDER BY quantity) FROM orders",
        "SELECT id FROM orders WHERE status LIKE 'o%'",
    ],
)
def test_in_the_stage(shop: Shop, analyst: Analyst, sql: str) -> None:
    assert compiled(replace(shop, dialect="tsql"), analyst, sql, RULES, SETTINGS).fetches


def test_a_boolean_mask_is_a_value() -> None:
    assert literal_mask(Mask(value=True), BOOL, "tsql").sql("tsql") == "CAST( 1 AS bit )"
