"""The server that most of these tests do things to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.support import serving
from tests.support.oracle import OraclePostgres
from tests.support.server import RunningServer


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres
) -> Iterator[RunningServer]:
    """Two warehouses, and limits that no test here reaches."""
    with serving(tmp_path_factory.mktemp("server"), oracle=oracle) as running:
        yield running
