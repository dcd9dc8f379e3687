"""``cubewire top`` and ``cubewire kill`` against a server of two workers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from proxy.cli import main
from proxy.cli.top import _table
from tests.support.server import RunningServer
from tests.support.waiting import until
from tests.system_tables.conftest import TOKEN, connect


def cubewire(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "cubewire"), *arguments]
    return subprocess.run(
        [*command, "--config", str(folder / "cubewire.yml")],
        capture_output=True,
        text=True,
        timeout=30,
    )


def top(folder: Path) -> list[dict[str, object]]:
    done = cubewire(folder, "top", "--once", "--format", "json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@contextmanager
def sleeping(shop: RunningServer) -> Iterator[tuple[psycopg.Connection, list[str | None]]]:
    """A session whose statement takes a minute, and the SQLSTATE that it has ended with."""
    ended: list[str | None] = []
    with connect(shop, "otto", application_name="napper") as connection:

        def run() -> None:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as error:
                ended.append(error.sqlstate)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield connection, ended
        finally:
            connection.cancel_safe()
            thread.join(20)


def test_the_statement_that_runs_is_shown_and_ended(shop: RunningServer, folder: Path) -> None:
    with sleeping(shop) as (connection, ended):
        rows: list[dict[str, object]] = []

        def is_shown() -> bool:
            rows[:] = [row for row in top(folder) if row["application"] == "napper"]
            return bool(rows)

        until(is_shown)
        (row,) = rows
        assert (row["login"], row["sql"]) == ("otto", "SELECT pg_sleep(60)")
        name = str(row["statement_id"])
        assert name.startswith(f"{connection.info.backend_pid}-")
        done = cubewire(folder, "kill", name)
        assert (done.returncode, done.stdout) == (0, f"ended: {name}\n"), done.stderr
    assert ended == ["57014"]
    again = cubewire(folder, "kill", name)
    assert again.returncode == 1
    assert f"no statement {name} is here" in again.stderr


def test_a_session_is_ended(shop: RunningServer, folder: Path) -> None:
    with connect(shop, "otto") as connection:
        number = connection.info.backend_pid
        done = cubewire(folder, "kill", str(number), "--format", "json")
        assert json.loads(done.stdout) == {"workers": 1, "failed": []}
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "either an ID or --user is needed"),
        (("7-1", "--user", "otto"), "either an ID or --user is needed"),
        (("x",), "x is no id"),
        (("7", "--block"), "--block and --lift go with --user"),
        (("99999999-1",), "there is no worker 23"),
    ],
)
def test_wrong_calls(
    shop: RunningServer,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    assert main(["kill", *arguments, "--config", str(folder / "cubewire.yml")]) == 2
    assert complaint in capsys.readouterr().err


def test_reports_need_the_token(shop: RunningServer, admin_port: int) -> None:
    url = f"http://127.0.0.1:{admin_port}/rows?table=sessions"
    for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers))
        assert caught.value.code == status
        caught.value.close()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(url.replace("sessions", "nothing"), headers=bearer)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 404
    caught.value.close()


def test_what_a_client_sends_moves_no_cursor() -> None:
    row: dict[str, object] = {
        "host": "here",
        "statement_id": "7-1",
        "login": "otto",
        "acts_for": "olga",
        "application": "\x1b[2J[bold]",
        "state": "running",
        "data_source": None,
        "milliseconds": 1500.0,
        "rows": 1234,
        "sql": "SELECT 1,\n\x1b[31m 2",
    }
    console = Console(width=120, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(_table([row]))
    text = captured.get()
    assert "\x1b" not in text
    assert "otto for olga" in text
    assert "[bold]" in text
    assert "1.5" in text
    assert "1,234" in text
    assert "SELECT 1, [31m 2" in text
