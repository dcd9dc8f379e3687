"""The cubes whose tables a statement reads are named, whatever way a table comes into it."""

from __future__ import annotations

import pytest

from semantic.compiler.api import Analysis, ResultColumn
from semantic.model.types import INT8, NUMERIC, TEXT, PostgresType
from tests.compiler.conftest import SETTINGS, Shop


@pytest.mark.parametrize(
    ("sql", "kind", "cubes"),
    [
        ("SELECT status FROM baskets", TEXT, {"baskets"}),
        ("SELECT goods_total FROM baskets", NUMERIC, {"baskets", "goods"}),
        ("SELECT sum_of_goods FROM basket_goods", NUMERIC, {"baskets", "goods"}),
        ("SELECT buyer_city FROM basket_goods", TEXT, {"baskets", "customers"}),
        ("SELECT status FROM basket_goods", TEXT, {"baskets"}),
        ("SELECT count(*) FROM baskets WHERE is_full", INT8, {"baskets", "goods"}),
        (
            "WITH b AS (SELECT id FROM baskets) SELECT count(*) FROM b"
            " WHERE EXISTS (SELECT 1 FROM customers)",
            INT8,
            {"baskets", "customers"},
        ),
        ("SELECT status FROM orders UNION ALL SELECT name FROM customers", TEXT, None),
    ],
)
def test_cubes(shop: Shop, sql: str, kind: PostgresType, cubes: set[str] | None) -> None:
    compiler = shop.compiler()
    bound = compiler.bind(sql, SETTINGS)
    assert bound is not None
    analysis = Analysis((), (ResultColumn(bound.names[0], kind),))
    found = compiler.compile(bound, analysis, SETTINGS).cubes
    assert set(found) == (cubes or {"orders", "customers"})
    assert len(found) == len(set(found))
