"""``cubewire rollups`` and ``cubewire refresh``: what they print and how they exit."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.cli import main
from tests.rollups_store.served import Setup, configure
from tests.rollups_store.support import PARQUET, POSTGRES
from tests.support.oracle import OraclePostgres

NAME = "events.by_day"
ACTIONS = ("build", "list", "status", "plan", "drop")


@pytest.fixture
def setup(tmp_path: Path, oracle: OraclePostgres) -> Iterator[Setup]:
    return configure(PARQUET, tmp_path / "here", oracle, every="1 hour")


def run(setup: Setup, *arguments: str) -> int:
    return main(["rollups", *arguments, "--config", str(setup.config)])


def asked(setup: Setup, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run(setup, *arguments, "--format", "json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("action", ACTIONS)
def test_help_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["rollups", action, "--help"])
    assert caught.value.code == 0
    assert f"example: cubewire rollups {action}" in capsys.readouterr().out


def test_the_life_of_a_pre_aggregation(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    (listed,) = asked(setup, capsys, "list")
    assert (listed["name"], listed["parts"], listed["partition"]) == (NAME, 0, "week")
    (plan,) = asked(setup, capsys, "plan")
    assert {part["state"] for part in plan["parts"]} == {"missing"}
    some = asked(setup, capsys, "build", NAME, "--from", "2013-01-10", "--to", "2013-01-16")
    assert [part["start"] for part in some] == [
        "2013-01-14T00:00:00+00:00",
        "2013-01-07T00:00:00+00:00",
    ]
    rest = asked(setup, capsys, "build")
    assert sorted(part["status"] for part in rest) == ["built"] * 3 + ["kept"] * 2
    (listed,) = asked(setup, capsys, "list")
    assert (listed["parts"], listed["rows"]) == (5, 62)
    status = asked(setup, capsys, "status")
    assert {part["state"] for part in status} == {"fresh"}
    assert all(part["due"] > part["built_at"] for part in status)
    assert {each["status"] for each in asked(setup, capsys, "build", "--force")} == {"built"}
    assert len(asked(setup, capsys, "drop", NAME, "--now")) == 5
    assert list((setup.folder / "state" / "rollups" / "default").glob("*.parquet")) == []


def test_what_people_see(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(setup, "build") == 0
    shown = capsys.readouterr()
    assert shown.out == "5 built\n"
    assert "events.by_day 2013-01-21 00:00 to 2013-01-28 00:00: built, 14 rows" in shown.err
    assert run(setup, "list") == 0
    assert NAME in capsys.readouterr().out
    assert run(setup, "status") == 0
    assert capsys.readouterr().out.count("fresh") == 5
    assert run(setup, "plan") == 0
    assert capsys.readouterr().out == "events.by_day: 0 of 5 parts\n"
    assert run(setup, "drop", "--all") == 0
    assert capsys.readouterr().out == "5 tables dropped\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "events.by_year"),
        ("build", "--from", "yesterday"),
        ("drop",),
        ("drop", NAME, "--all"),
    ],
)
def test_wrong_usage(
    setup: Setup, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(setup, *arguments) == 2
    assert capsys.readouterr().err.startswith("cubewire: ")


def test_a_store_that_cannot_be_used_is_said_so(
    tmp_path: Path, oracle: OraclePostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = configure(POSTGRES, tmp_path / "here", oracle)
    with psycopg.connect(setup.dsn, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA cubewire_rollups")
        owner.execute("CREATE VIEW cubewire_rollups.stored AS SELECT 1 AS n")
    assert run(setup, "build") == 1
    assert capsys.readouterr().err.startswith("cubewire: ")


def test_a_build_that_fails_exits_so(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    model = setup.folder / "models" / "events.yml"
    text = model.read_text()
    model.write_text(text.replace('sql: "{CUBE}.n"', "sql: \"CAST(error('22012: no') AS BIGINT)\""))
    assert run(setup, "build", "--format", "json") == 1
    outcomes = json.loads(capsys.readouterr().out)
    assert {each["status"] for each in outcomes} == {"failed"}
    assert "no" in outcomes[0]["error"]


def test_a_terminal_gets_a_progress_bar(setup: Setup) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "proxy.cli", "rollups", "build", "--config", str(setup.config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=child)
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert process.wait(60) == 0
    assert "━".encode() in shown
    assert b"5/5" in shown


def test_refresh_once_then_again(setup: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["refresh", "--once", "--config", str(setup.config)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "5 built\n"
    assert main([*arguments, "--format", "json"]) == 0
    assert {each["status"] for each in json.loads(capsys.readouterr().out)} == {"kept"}


def test_refresh_runs_until_it_is_told_to_stop(setup: Setup) -> None:
    command = [sys.executable, "-m", "proxy.cli", "refresh", "--config", str(setup.config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = json.loads(process.stderr.readline())
    assert (line["message"], line["rollup"]) == ("a pre-aggregation was built", NAME)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stderr.close()
