"""Limits by source and role: what is beyond them is an error, and nothing is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.config import Config
from proxy.config.limits import SourceLimits
from proxy.warehouse.limits import limits_for
from proxy.warehouse.opening import LimitsError, check_limits
from tests.connectors.support import DUCKDB_MEMORY, open_warehouse
from tests.reliability import support
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer

LIMITS = {
    "default": {"max_bytes": "1 MiB", "by_role": {"batch": {"max_bytes": 0}}},
    "distant": {
        "max_rows": 1000,
        "deadline": "100s",
        "by_role": {
            "batch": {"max_rows": 50_000, "deadline": 0},
            "thrifty": {"max_cost": 10_000},
            "hasty": {"deadline": "1s"},
        },
    },
}


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    roles = {"demo": [], "robot": ["batch"], "miser": ["thrifty"], "sprinter": ["hasty"]}
    users = {name: {"password": name, "roles": own} for name, own in roles.items()}
    folder = tmp_path_factory.mktemp("limited")
    with support.serving(folder, oracle=oracle, limits=LIMITS, auth={"users": users}) as server:
        yield server


def outcome(server: RunningServer, user: str, sql: str) -> Any:
    """How many rows came, and the error that came after them."""
    with psycopg.connect(support.dsn(server, user), autocommit=True) as connection:
        try:
            rows = len(connection.execute(sql.encode()).fetchall())
        except psycopg.Error as error:
            # The session goes on.
            assert connection.execute("SELECT 1").fetchone() == (1,)
            return error.sqlstate, error.diag.message_primary, error.diag.message_hint
        return rows


@pytest.mark.slow
def test_more_rows_than_allowed_are_an_error(limited: RunningServer) -> None:
    query = "SELECT id FROM distant_numbers LIMIT {}"
    assert outcome(limited, "demo", query.format(1000)) == 1000
    state, message, hint = outcome(limited, "demo", query.format(1001))
    assert (state, "1,000 rows" in message) == ("53400", True)
    assert "limits.distant.max_rows" in hint
    # Every time anew: an error is not a result that could be cached.
    assert outcome(limited, "demo", query.format(1001))[0] == "53400"
    assert outcome(limited, "robot", query.format(50_000)) == 50_000
    assert outcome(limited, "robot", query.format(50_001))[0] == "53400"


@pytest.mark.slow
def test_more_bytes_than_allowed_are_an_error(limited: RunningServer) -> None:
    query = "SELECT id, payload FROM payloads WHERE id < {}"
    assert outcome(limited, "demo", query.format(900)) == 900
    assert outcome(limited, "demo", query.format(20_000))[0] == "53400"
    assert outcome(limited, "robot", query.format(20_000)) == 20_000


@pytest.mark.slow
def test_what_would_cost_too_much_is_not_run(limited: RunningServer) -> None:
    dear = "SELECT id FROM distant_numbers WHERE id < 3"
    assert outcome(limited, "miser", "SELECT id FROM distant_words WHERE id < 0") == 0
    state, message, hint = outcome(limited, "miser", dear)
    assert (state, "10,000 units of cost" in message) == ("53400", True)
    assert "limits.distant.max_cost" in hint
    assert outcome(limited, "demo", dear) == 2


@pytest.mark.slow
def test_a_deadline_ends_a_statement(limited: RunningServer) -> None:
    slow = "SELECT rest FROM distant_endless WHERE rest > 9"
    state, message, hint = outcome(limited, "sprinter", slow)
    assert (state, "deadline of data source 'distant'" in message) == ("57014", True)
    assert "limits.distant.deadline" in hint
    with psycopg.connect(support.dsn(limited, "sprinter"), autocommit=True) as connection:
        connection.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.Error, match="statement timeout"):
            connection.execute(slow.encode())


def test_of_several_roles_the_widest_limit_holds() -> None:
    source = SourceLimits.model_validate(
        {
            "max_rows": 10,
            "deadline": "1min",
            "by_role": {
                "small": {"max_rows": 5, "slots": 2},
                "large": {"max_rows": 100, "slots": 4},
                "free": {"deadline": 0},
            },
        }
    )
    assert limits_for(source, ()).max_rows == 10
    assert limits_for(source, ("other",)).deadline == 60
    small = limits_for(source, ("small",))
    assert (small.max_rows, small.role, small.role_slots) == (5, "small", 2)
    both = limits_for(source, ("small", "large"))
    assert (both.max_rows, both.role, both.role_slots) == (100, "large", 4)
    free = limits_for(source, ("small", "free"))
    assert (free.max_rows, free.deadline, free.role) == (10, math.inf, None)


async def test_what_a_source_cannot_estimate_cannot_be_limited(tmp_path: Path) -> None:
    async with open_warehouse(DUCKDB_MEMORY, tmp_path, None) as warehouse:
        check_limits("default", SourceLimits(max_rows=1), warehouse.connector)
        by_role = SourceLimits.model_validate({"by_role": {"a": {"max_cost": 1}}})
        with pytest.raises(LimitsError, match=r"limits\.default\.max_cost"):
            check_limits("default", by_role, warehouse.connector)
    with pytest.raises(ValueError, match="no data source 'nowhere'"):
        Config.model_validate({"limits": {"nowhere": {}}})
