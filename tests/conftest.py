"""Fixtures shared by all tests."""

from __future__ import annotations

import contextlib
import gc
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.oracle import OraclePostgres, start_oracle
from tests.support.server import RunningServer, start_server

FOLDER = Path(__file__).parent
LONGEST = (
    "rollups/test_soundness.py",
    "e2e/test_queries.py",
    "reliability/test_cancel.py",
    "reliability/test_half_open.py",
    "reliability/test_drain.py",
    "oracle/test_oracle.py",
    "warehouse/test_faults.py",
    "connectors/test_conformance_stopping.py",
    "reliability/test_hostile_sql.py",
    "auth/test_live_logins.py",
    "rollups/test_masks.py",
    "scale/test_balancer.py",
    "rollups_store/test_server.py",
    "connectors/test_conformance_results.py",
    "reliability/test_slow_reader.py",
    "reliability/test_logins.py",
    "oracle/test_split.py",
    "reliability/test_huge_results.py",
    "reload/test_load.py",
    "security/test_attacks.py",
    "reliability/test_catalog_death.py",
    "reliability/test_clock.py",
    "rollups/test_matching.py",
    "reliability/test_limits.py",
    "reliability/test_disconnects.py",
    "security/test_noninterference.py",
    "connectors/test_duckdb_hardening.py",
    "warehouse/test_exhaustion.py",
    "soak/test_soak.py",
)
"""Files that take the longest, of 80 to 20 seconds; kept roughly in that order."""
LONG = frozenset(("oracle", "reliability", "rollups", "rollups_store", "scale", "security"))
"""Folders whose files take longer than others'."""
PORTS = range(20_000, 32_000)
"""Below what Linux takes for outgoing connections, which would take them before we do."""

# How long one example takes says more of what else the machine does than of what is tested.
settings.register_profile(
    "tests", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="record the expected parts of text fixtures anew"
    )


def pytest_configure() -> None:
    """What is collected stays: the collector of garbage need not go through it."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Or DuckDB's module would complain of objects that are left."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first, so that in the end no worker is left alone with it."""
    places = {FOLDER / name: place for place, name in enumerate(LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        is_long = item.path in slow or item.path.parent.name in LONG
        return places.get(item.path, len(places) if is_long else len(places) + 1)

    items.sort(key=place)


def free_port() -> int:
    """A port that nothing listens on, and that the system gives to no outgoing connection."""
    while True:
        # Not of ``random``: tests that seed it would all find the same one.
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def oracle() -> Iterator[OraclePostgres]:
    """One real PostgreSQL 16 for the whole session (and per xdist worker)."""
    server = start_oracle(free_port())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cubewire_server() -> Iterator[RunningServer]:
    """Our server with the demo, for the whole session (and per xdist worker)."""
    server = start_server(["--demo", "--port", "0"])
    yield server
    server.stop()
