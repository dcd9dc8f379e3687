"""Plan nodes are values: frozen, slotted, hashable, and they print the same line each time."""

from __future__ import annotations

import dataclasses
import sys

from semantic.compiler import plan, plan_facts
from semantic.compiler.plan import PlanNode, explain, walk
from tests.compiler.conftest import SETTINGS, Shop

STATEMENT = """
WITH w AS (SELECT status, revenue FROM orders WHERE quantity > 1)
SELECT w.status, SUM(w.revenue) FILTER (WHERE w.status > ''), (SELECT COUNT(*) FROM lines), v.x
FROM w JOIN (VALUES (1, 2)) AS v(x, y) ON v.x = 1 WHERE w.status IN (SELECT city FROM customers)
GROUP BY w.status, v.x UNION ALL SELECT 'a', 1, 2, 3 ORDER BY 1 LIMIT 5
"""


def _subclasses(cls: type) -> list[type]:
    # dataclass(slots=True) makes a class anew; the one it replaces may still be listed.
    real = [
        child
        for child in cls.__subclasses__()
        if getattr(sys.modules[child.__module__], child.__name__) is child
    ]
    return [cls, *(found for child in real for found in _subclasses(child))]


def test_every_node_is_a_frozen_slotted_dataclass() -> None:
    for cls in _subclasses(PlanNode):
        assert dataclasses.is_dataclass(cls)
        assert cls.__dataclass_params__.frozen, cls  # type: ignore[attr-defined]
        assert "__slots__" in vars(cls), cls
        assert cls.__module__ in {plan.__name__, plan_facts.__name__}


def test_nodes_are_hashable_and_print_the_same(shop: Shop) -> None:
    sql = STATEMENT.replace("SUM(w.revenue)", "MAX(w.revenue)").replace("MAX", "COUNT")
    plans = []
    for _ in range(2):
        bound = shop.compiler().bind(sql, SETTINGS)
        assert bound is not None
        assert bound.plan is not None
        plans.append(bound.plan)
    assert plans[0] == plans[1]
    assert hash(plans[0]) == hash(plans[1])
    assert explain(plans[0]) == explain(plans[1])
    for node in walk(plans[0]):
        assert "\n" not in node.describe()
        hash(node)


def test_rules_leave_the_plan_that_they_are_given_alone(shop: Shop) -> None:
    compiler = shop.compiler()
    bound = compiler.bind("SELECT s FROM (SELECT status s FROM orders) q WHERE 1 = 1", SETTINGS)
    assert bound is not None
    assert bound.plan is not None
    before = explain(bound.plan)
    assert explain(compiler.plan(bound)) != before
    assert explain(bound.plan) == before
