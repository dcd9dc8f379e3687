"""Servers that the clients of this folder talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.shop import shop_target, start_shop
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


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Our server over the shop of the captured statements."""
    server = start_shop(tmp_path_factory.mktemp("shop"))
    yield shop_target(server)
    server.stop()
