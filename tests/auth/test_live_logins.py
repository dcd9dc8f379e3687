"""Logins by rule against the server itself, with the drivers that its users have."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.server import RunningServer, start_server

RULES = [
    {"user": "root", "method": "reject"},
    {"user": "plain", "tls": "require", "method": "password", "session_lifetime": 2},
    {"user": ["anna", "bert", "carl"], "address": "127.0.0.0/8", "method": "scram"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logins")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    manage(folder, "add", "anna", password="a")
    configuration = {
        "state_directory": "state",
        "auth": {
            "rules": RULES,
            "users": {"plain": {"password": "p"}, "root": {"password": "r"}},
            "users_file": "users.yml",
            "revalidate_seconds": 1,
        },
    }
    path = folder / "cubewire.yml"
    path.write_text(json.dumps(configuration))
    running = start_server(["--demo", "--port", "0", "--config", str(path)])
    yield running
    running.stop()


def manage(folder: Path, action: str, *arguments: str, password: str = "") -> None:
    command = [str(Path(sys.executable).parent / "cubewire"), "users", action, *arguments]
    subprocess.run(
        [*command, "--file", str(folder / "users.yml")],
        input=f"{password}\n",
        text=True,
        check=True,
        capture_output=True,
    )


def connect(
    server: RunningServer, user: str, password: str, **options: str
) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        dbname="cubewire",
        user=user,
        password=password,
        autocommit=True,
        **options,
    )


def logs_in(server: RunningServer, user: str, password: str, **options: str) -> bool:
    with connect(server, user, password, **options) as connection:
        return connection.execute("SELECT current_user").fetchone() == (user,)


def refusal(server: RunningServer, user: str, password: str, **options: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(server, user, password, **options)
    return str(caught.value)


def ended(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """What a session is told when it ends, which must be soon."""
    started = time.monotonic()
    while time.monotonic() - started < 10:
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            return str(error)
        time.sleep(0.1)
    raise AssertionError("the session goes on")


def test_by_rule(server: RunningServer) -> None:
    assert logs_in(server, "anna", "a")
    assert logs_in(server, "anna", "a", sslmode="require", channel_binding="require")
    assert logs_in(server, "plain", "p", sslmode="require")
    assert "auth.rules rejects connection for host" in refusal(server, "root", "r")
    downgraded = refusal(server, "plain", "p", sslmode="disable")
    assert 'no entry of auth.rules for host "127.0.0.1", user "plain"' in downgraded
    assert "no entry of auth.rules" in refusal(server, "dora", "d")
    for user, password in (("anna", "wrong"), ("carl", "a")):
        told = refusal(server, user, password)
        assert f'password authentication failed for user "{user}"' in told


def test_a_user_of_the_file_comes_and_goes_while_the_server_runs(
    server: RunningServer, folder: Path
) -> None:
    manage(folder, "add", "bert", password="b")
    assert logs_in(server, "bert", "b")
    with connect(server, "bert", "b") as first, connect(server, "anna", "a") as other:
        manage(folder, "passwd", "bert", password="c")
        assert "identity has been revoked" in ended(first)
        with connect(server, "bert", "c") as second:
            second.execute("BEGIN")
            manage(folder, "remove", "bert")
            assert "identity has been revoked" in ended(second)
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert 'password authentication failed for user "bert"' in refusal(server, "bert", "c")


def test_a_session_that_is_at_work_ends_with_its_identity(server: RunningServer) -> None:
    started = time.monotonic()
    with (
        connect(server, "plain", "p", sslmode="require") as connection,
        pytest.raises(psycopg.OperationalError, match="identity has expired") as caught,
    ):
        connection.execute("SELECT pg_sleep(60)")
    assert caught.value.sqlstate == "28000"
    assert 1.5 < time.monotonic() - started < 6
