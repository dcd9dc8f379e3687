"""A catalog for each module's tests, and helpers to run statements on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_catalog(templates: Path) -> AsyncIterator[Catalog]:
    """The same, one for all tests of a module; these run in the module's event loop."""
    running = Catalog(CatalogOptions(template_directory=templates, lease_timeout=2.0))
    await running.start()
    try:
        await running.deploy(SHOP)
        yield running
    finally:
        await running.close()
