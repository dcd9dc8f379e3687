"""A server whose logins may act for others: ``imp_alice`` for two, ``imp_boss`` for everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.support import serving
from tests.support.server import RunningServer

USERS: dict[str, dict[str, object]] = {
    "imp_alice": {"act_as": ["imp_bob", "imp_carol", "imp_gone", "imp_temp"]},
    "imp_bob": {"groups": ["west"], "attributes": {"letters": ["b", "c"]}},
    "imp_carol": {"groups": ["west"], "attributes": {"letters": ["c", "d"]}},
    "imp_dave": {},
    "imp_boss": {"act_as": ["*"]},
}


LETTERS = {
    "name": "letters",
    "sql_table": "tiny",
    "dimensions": [
        {"name": "id", "type": "number", "sql": "{CUBE}.id", "primary_key": True},
        {"name": "letter", "type": "string", "sql": "{CUBE}.letter"},
        {"name": "secret", "type": "string", "sql": "'secret of ' || {CUBE}.letter", "mask": "?"},
    ],
    "measures": [{"name": "total", "type": "count"}],
    "access_policy": [
        {
            "group": "west",
            "member_masking": {"includes": ["secret"]},
            "row_level": {
                "filters": [
                    {"member": "letter", "operator": "equals", "values": ["{ user.letters }"]}
                ]
            },
        }
    ],
}
"""Everybody in the group has rows of their own; others have no such cube."""


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("impersonation")
    (made / "models").mkdir()
    (made / "models" / "letters.yml").write_text(json.dumps({"cubes": [LETTERS]}))
    return made


@pytest.fixture(scope="package")
def server(folder: Path) -> Iterator[RunningServer]:
    users = {name: {"password": name, **user} for name, user in USERS.items()}
    audit = {"sink": "file", "file": "audit.jsonl"}
    auth = {"users": users, "users_file": str(folder / "users.yml"), "revalidate_seconds": 1}
    with serving(folder, auth=auth, audit=audit) as running:
        yield running
