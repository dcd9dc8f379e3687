"""Fixtures of the stores' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rollups_store.support import PARQUET, STORES, Place, forget, open_place
from tests.support.oracle import OraclePostgres


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rollups"


@pytest.fixture(params=STORES)
async def place(
    request: pytest.FixtureRequest, folder: Path, oracle: OraclePostgres
) -> AsyncIterator[Place]:
    """Each kind of store in turn, empty."""
    forget(oracle)
    async with open_place(request.param, folder, oracle) as opened:
        yield opened
    forget(oracle)


@pytest.fixture
async def parquet(folder: Path, oracle: OraclePostgres) -> AsyncIterator[Place]:
    """The folder of Parquet files alone."""
    async with open_place(PARQUET, folder, oracle) as opened:
        yield opened
