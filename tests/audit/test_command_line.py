"""What is done on the command line stands in a trail of its own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import psycopg
import pytest

from proxy.cli import main
from tests.reliability.support import configuration, dsn
from tests.support.server import start_server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "cubewire.yml"
    audit = {"sink": "file", "file": "audit.jsonl", "chain": True, "required": True}
    settings = {"audit": audit, "state_directory": "state", "auth": {"users_file": "users.yml"}}
    file.write_text(json.dumps(settings))
    return file


def users(config: Path, *arguments: str) -> int:
    return main(["users", *arguments, "--config", str(config)])


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_users(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-secret-password\n"))
    assert users(config, "add", "anna", "--group", "west") == 0
    assert users(config, "add", "anna") == 1
    assert users(config, "list") == 0
    assert users(config, "remove", "anna") == 0
    path = config.parent / "audit.cli.jsonl"
    acts = [row for row in rows(path) if row["event"] == "administration"]
    assert [(row["action"], row["target"], row["outcome"]) for row in acts] == [
        ("users add", "anna", "done"),
        ("users add", "anna", "failed"),
        ("users remove", "anna", "done"),
    ]
    assert all(str(row["login"]).startswith("system user ") for row in acts)
    assert "a-secret-password" not in path.read_text()
    assert "SCRAM" not in path.read_text()
    assert main(["audit", "verify", str(path), "--config", str(config)]) == 0


def test_nothing_is_done_without_a_trace(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.cli.audited._TRIES", 2)
    (config.parent / "audit.cli.jsonl").mkdir()
    assert users(config, "add", "anna", "--no-password") == 1
    assert not (config.parent / "users.yml").exists()
    settings = json.loads(config.read_text())
    settings["audit"]["required"] = False
    config.write_text(json.dumps(settings))
    assert users(config, "add", "anna", "--no-password") == 0
    assert (config.parent / "users.yml").exists()


def test_each_worker_has_a_chain(tmp_path: Path) -> None:
    audit = {"sink": "file", "file": str(tmp_path / "audit.jsonl"), "chain": True}
    file = configuration(tmp_path, audit=audit)
    server = start_server(["--config", str(file), "--workers", "2"])
    try:
        for _ in range(6):
            with psycopg.connect(dsn(server)) as connection:
                connection.execute("SELECT letter FROM tiny")
    finally:
        server.stop()
    files = sorted(tmp_path.glob("audit.*.jsonl"))
    assert [path.name for path in files] == ["audit.worker-0.jsonl", "audit.worker-1.jsonl"]
    logins = [row for path in files for row in rows(path) if row["event"] == "login"]
    assert len(logins) == 6
    assert all(rows(path)[-1]["action"] == "closed" for path in files)
    assert main(["audit", "verify", *map(str, files), "--config", str(file)]) == 0


def test_a_killed_server_leaves_a_chain_that_goes_on(tmp_path: Path) -> None:
    audit = {"sink": "file", "file": str(tmp_path / "audit.jsonl"), "chain": True}
    file = configuration(tmp_path, audit=audit)
    for number in range(2):
        server = start_server(["--config", str(file)])
        with psycopg.connect(dsn(server)) as connection:
            connection.execute("SELECT letter FROM tiny")
        server.stop(9 if number == 0 else 15)
    assert main(["audit", "verify", str(tmp_path / "audit.jsonl"), "--config", str(file)]) == 0
    assert [row["action"] for row in rows(tmp_path / "audit.jsonl") if row["event"] == "audit"] == [
        "opened",
        "opened",
        "closed",
    ]
