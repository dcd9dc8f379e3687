"""Servers that the clients of this folder talk to."""

from __future__ import annotations

import pytest

from tests.e2e.targets import Pair, Target, make_mirror, server_target
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer


@pytest.fixture(scope="session")
def ours(cubewire_server: RunningServer) -> Target:
    """Our server with the demo."""
    return server_target(cubewire_server)


@pytest.fixture(scope="session")
def pair(ours: Target, oracle: OraclePostgres) -> Pair:
    """Our server and a PostgreSQL that mirrors its tables."""
    return Pair(ours, make_mirror(ours, oracle))
