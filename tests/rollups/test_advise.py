"""Advice: what statements need, and the smallest set of rollups that answers them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semantic.compiler.rollups.advise import LoggedStatement, Suggestion, covers, suggest
from semantic.compiler.rollups.needs import Need
from semantic.model.preaggregation import PreAggregation, RollupTime
from semantic.model.template import Reference
from tests.rollups.warehouses import SETTINGS, Warehouse, candidates_of

LOG = (
    "SELECT kind, amount FROM sales GROUP BY 1",
    "SELECT date_trunc('month', sold_at), amount, count FROM sales GROUP BY 1",
    "SELECT date_trunc('week', sold_at), kind, amount FROM sales WHERE sold_at > $1 GROUP BY 1, 2",
    "SELECT s.kind, COUNT(*) FROM (SELECT * FROM sales WHERE cheap) AS s GROUP BY 1",
    "SELECT city, average_amount, shops_used FROM sales GROUP BY 1",
    "SELECT shop_city, per_sale FROM overview WHERE kind = 'a' GROUP BY 1",
    "SELECT EXTRACT(hour FROM seen_at), count FROM sales GROUP BY 1",
    "SELECT kind, middle FROM sales GROUP BY 1",
    "SELECT id, amount FROM sales",
)


def needs(warehouse: Warehouse, sql: str) -> tuple[Need, ...]:
    bound = warehouse.compiler.bind(sql, SETTINGS)
    assert bound is not None
    return warehouse.compiler.rollup_needs(bound, SETTINGS)


def test_needs(in_duckdb: Warehouse) -> None:
    found = [needs(in_duckdb, sql) for sql in LOG]
    names = frozenset
    assert found[0] == (Need("sales", names({"kind"}), measures=names({"amount"})),)
    assert found[1] == (
        Need("sales", measures=names({"amount", "count"}), times=names({("sold_at", "month")})),
    )
    assert found[2][0].times == {("sold_at", "day")}
    assert found[3] == (Need("sales", names({"kind"}), names({"cheap"}), names({"count"})),)
    assert found[4][0].dimensions == {"city", "shop_id"}
    assert found[5][0].dimensions == {"shops.city", "kind"}
    assert found[6][0].times == {("seen_at", "hour")}
    assert found[7] == ()
    assert found[8] == ()


def test_moments_of_other_zones_need_finer_periods(in_duckdb: Warehouse) -> None:
    settings = replace(SETTINGS, time_zone="Asia/Kathmandu")
    bound = in_duckdb.compiler.bind(LOG[6], settings)
    assert bound is not None
    (need,) = in_duckdb.compiler.rollup_needs(bound, settings)
    assert need.times == {("seen_at", "minute")}


def test_the_smallest_set_answers_what_it_promises(in_duckdb: Warehouse) -> None:
    log = [LoggedStatement(needs(in_duckdb, sql), 10, 1.0) for sql in LOG]
    found = suggest(log)
    answerable = {place for place, item in enumerate(log) if item.needs}
    assert {place for item in found for place in item.statements} == answerable
    assert len(found) < len(answerable)
    model = in_duckdb.model
    cube = replace(
        model.cubes_by_name["sales"], pre_aggregations=tuple(_declared(item) for item in found)
    )
    others = tuple(cube if each.name == "sales" else each for each in model.cubes)
    in_duckdb.use(replace(model, cubes=others))
    try:
        stored = candidates_of([in_duckdb.build(f"sales.{item.name}") for item in found])
        for place in sorted(answerable):
            if "$1" in LOG[place]:
                continue
            statement, rows, expected = in_duckdb.answers(LOG[place], stored)
            assert statement.rollups, f"{LOG[place]}\n" + "\n".join(statement.steps.lines())
            assert rows == expected
    finally:
        in_duckdb.use(model)


def _declared(item: Suggestion) -> PreAggregation:
    def references(names: frozenset[str]) -> tuple[Reference, ...]:
        return tuple(Reference(tuple(name.split("."))) for name in sorted(names))

    stores = item.stores
    return PreAggregation(
        item.name,
        measures=references(stores.measures),
        dimensions=references(stores.dimensions),
        segments=references(stores.segments),
        time_dimensions=tuple(
            RollupTime(Reference(tuple(name.split("."))), unit) for name, unit in stores.times
        ),
    )


@pytest.mark.parametrize(
    ("fine", "coarse", "expected"),
    [("day", "week", True), ("month", "week", False), (None, "day", True), ("day", None, False)],
)
def test_times_that_are_covered(fine: str | None, coarse: str | None, expected: bool) -> None:
    stores = Need("c", times=frozenset({("t", fine)}))
    assert covers(stores, Need("c", times=frozenset({("t", coarse)}))) is expected


def test_few_statements_of_many_seconds_come_first() -> None:
    rare = Need("c", frozenset({"a"}), times=frozenset({("t", "day")}))
    often = Need("c", frozenset({"b"}), times=frozenset({("u", "day")}))
    found = suggest([LoggedStatement((rare,), 1, 100.0), LoggedStatement((often,), 50, 1.0)])
    assert [item.stores for item in found] == [rare, often]
    assert found[0].as_mapping() == {
        "name": "by_day_a", "dimensions": ["a"], "time_dimension": "t", "granularity": "day",
    }  # fmt: skip
    assert suggest([]) == ()
    assert suggest([LoggedStatement(())]) == ()
