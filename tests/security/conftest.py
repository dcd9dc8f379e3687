"""The governed shop's server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.security.shop import start_shop
from tests.support.server import RunningServer


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One for all tests of a worker."""
    running = start_shop(tmp_path_factory.mktemp("shop"))
    yield running
    running.stop()
