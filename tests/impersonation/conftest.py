"""A server whose logins may act for others: ``imp_alice`` for two, ``imp_boss`` for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.support import serving
from tests.support.server import RunningServer

USERS: dict[str, dict[str, object]] = {
    "imp_alice": {"act_as": ["imp_bob", "imp_carol", "imp_gone"]},
    "imp_bob": {"groups": ["west"], "attributes": {"letters": ["b", "c"]}},
    "imp_carol": {"groups": ["west"], "attributes": {"letters": ["c", "d"]}},
    "imp_dave": {},
    "imp_boss": {"act_as": ["*"]},
}


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("impersonation")


@pytest.fixture(scope="package")
def server(folder: Path) -> Iterator[RunningServer]:
    users = {name: {"password": name, **user} for name, user in USERS.items()}
    audit = {"sink": "file", "file": "audit.jsonl"}
    with serving(folder, auth={"users": users}, audit=audit) as running:
        yield running
