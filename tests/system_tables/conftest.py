"""The governed shop, served by two workers, whose staff sees the server's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.security.shop import dsn, start_shop
from tests.support.addresses import free_ports
from tests.support.server import RunningServer

TOKEN = "operators-token"


@pytest.fixture(scope="session")
def admin_port() -> int:
    return free_ports(2)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operated")


@pytest.fixture(scope="session")
def shop(folder: Path, admin_port: int) -> Iterator[RunningServer]:
    running = start_shop(
        folder,
        system_tables={"groups": ["staff"]},
        server={"port": 0, "workers": 2, "admin_port": admin_port, "admin_token": TOKEN},
    )
    yield running
    running.stop()


def connect(shop: RunningServer, user: str, **options: object) -> psycopg.Connection:
    return psycopg.connect(dsn(shop, user), autocommit=True, **options)  # type: ignore[arg-type]
