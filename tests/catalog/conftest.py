"""A catalog for each module's tests, and helpers to run statements on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.catalog import Catalog, CatalogOptions
from tests.catalog.models import SHOP


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One template cluster for all tests of a worker, made by the first."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
async def catalog(templates: Path) -> AsyncIterator[Catalog]:
    """A fresh catalog with the shop's tables."""
    running = Catalog(CatalogOptions(template_directory=templates, lease_timeout=2.0))
    await running.start()
    try:
        await running.deploy(SHOP)
        yield running
    finally:
        await running.close()


@pytest.fixture
def no_leftover_tasks() -> Iterator[None]:
    """Fails a test that leaves tasks behind."""
    yield
    loop = asyncio.get_event_loop_policy().get_event_loop()
    assert not asyncio.all_tasks(loop)
