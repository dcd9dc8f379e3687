"""What policies hide changes nothing that a user can observe, whatever the user tries."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.security.random_statements import Attempt, attempts
from tests.security.twins import Twins, twins
from tests.support.oracle import OraclePostgres

EXAMPLES = int(os.environ.get("NONINTERFERENCE_EXAMPLES", "300"))
_seen: Counter[str] = Counter()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Twins]:
    cache = {"enabled": True, "ttl": 60}
    with twins(tmp_path_factory.mktemp("twins"), oracle, cache=cache) as running:
        yield running


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
@given(attempts())
def test_hidden_rows_and_values_change_nothing(worlds: Twins, attempt: Attempt) -> None:
    _seen[worlds.seen(attempt.user, attempt.sql).sqlstate or "rows"] += 1


def test_most_attempts_ran() -> None:
    """That nothing differs means little where everything is refused."""
    if not _seen:
        pytest.skip("the statements were not run in this process")
    assert _seen["rows"] > sum(_seen.values()) / 3, _seen
