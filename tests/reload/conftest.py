from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reload.world import World, model, start


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server; each test begins with what the last one left."""
    made = start(tmp_path_factory.mktemp("world"), model(1, "kind"))
    yield made
    made.close()
