"""Whatever is stored and asked, the answer is that of the source."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.rollups.random_sales import case
from tests.rollups.soundness import Tally, check
from tests.rollups.warehouses import Warehouse, sales_model

# Of the statements of this test; so that it does not become an empty one.
LEAST_MATCHED = 0.25
# A case is made of a number, so there is nothing to shrink.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.mark.parametrize(
    ("dialect", "examples", "part"),
    [("duckdb", 80, 0), ("duckdb", 80, 1), ("postgres", 80, 0), ("apart", 40, 0)],
)
def test_answers_are_those_of_the_source(
    dialect: str, examples: int, part: int, request: pytest.FixtureRequest
) -> None:
    warehouse: Warehouse = request.getfixturevalue(f"in_{dialect}")
    tally = Tally()

    @settings(
        max_examples=examples,
        deadline=None,
        # The same cases each time; the campaign looks for others.
        derandomize=True,
        phases=PHASES,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.integers(0, 2**63))
    def run(seed: int) -> None:
        check(warehouse, case(seed + (part << 64)), tally)

    try:
        run()
    finally:
        warehouse.reset(sales_model())
    print(tally)
    assert tally.fraction > LEAST_MATCHED, tally
    assert tally.with_source, tally
    assert tally.governed, tally
