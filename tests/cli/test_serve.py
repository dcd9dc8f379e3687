"""``cubewire serve`` as its user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.architecture.sources import ROOT
from tests.conftest import free_port
from tests.support.server import RunningServer, start_server
from tests.support.waiting import until


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


def start(state: Path, *arguments: str, **environment: str) -> RunningServer:
    values = {"CUBEWIRE_STATE_DIRECTORY": str(state), **environment}
    return start_server(["--demo", "--port", "0", *arguments], values, fresh=True)


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def test_demo_from_ready_to_sigterm(state: Path) -> None:
    port = free_port()
    server = start(state, "--admin-port", str(port), CUBEWIRE_LOG__FORMAT="json")
    try:
        assert server.dsn == f"postgresql://demo:demo@127.0.0.1:{server.port}/cubewire"
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            sql = "SELECT COUNT(*), MEASURE(cancelled_count) FROM flights"
            assert connection.execute(sql).fetchone() == (336_776, 8_255)
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute("SELECT 1 FROM nothing_here")
        assert get(port, "/healthz") == "ok\n"
        assert json.loads(get(port, "/readyz"))["ready"] is True
        metrics = get(port, "/metrics")
        assert 'cubewire_logins_total{result="ok"} 1.0' in metrics
        assert 'sqlstate_class="42"' in metrics
    finally:
        code = server.stop(signal.SIGTERM)
    assert code == 0
    statements = [
        json.loads(line) for line in server.log if '"logger":"cubewire.statement"' in line
    ]
    cube = next(each for each in statements if each["kind"] == "cube")
    assert (cube["user"], cube["database"], cube["rows"]) == ("demo", "cubewire", 1)
    assert cube["sqlstate"] == "00000"
    assert "sql" not in cube
    assert any(name.endswith("_ms") for name in cube)
    assert any(each["sqlstate"] == "42P01" for each in statements)


def test_the_port_is_taken(state: Path) -> None:
    server = start(state)
    try:
        command = [str(Path(sys.executable).parent / "cubewire"), "serve", "--demo"]
        done = subprocess.run(
            [*command, "--port", str(server.port)],
            env={**os.environ, "CUBEWIRE_STATE_DIRECTORY": str(state)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.stop()
    assert done.returncode == 1
    assert done.stdout == ""
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def workers_of(server: RunningServer) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children()
    return sorted(
        (each for each in children if "--worker" in each.cmdline()),
        key=lambda each: each.cmdline()[-1],
    )


def test_workers_share_the_port_and_are_replaced(state: Path) -> None:
    server = start(state, "--workers", "2")
    try:
        first, second = workers_of(server)
        first.kill()
        until(lambda: any("worker died" in line for line in server.log))
        until(lambda: len(workers_of(server)) == 2)
        for _ in range(5):
            with psycopg.connect(server.dsn) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert second.is_running()
    finally:
        assert server.stop(signal.SIGTERM) == 0
    assert not second.is_running()


def test_workers_end_with_their_parent(state: Path) -> None:
    server = start(state, "--workers", "2")
    family = workers_of(server)
    os.kill(server.pid, signal.SIGKILL)
    server.stop(signal.SIGKILL)
    until(lambda: not any(each.is_running() for each in family))
