"""``cubewire compile`` and ``explain`` over the demo."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import pytest

from proxy.cli import main
from tests.architecture.sources import ROOT

SQL = "SELECT carrier, MEASURE(count) AS flights FROM flights WHERE origin = $1 GROUP BY 1;"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _demo(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBEWIRE_STATE_DIRECTORY", str(state))
    monkeypatch.setenv("CUBEWIRE_MODELS", str(ROOT / "cube_models"))


def test_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--demo", SQL]) == 0
    text = capsys.readouterr().out
    assert text.upper().startswith(("SELECT", "WITH"))
    assert "$1" in text


@pytest.mark.parametrize("command", ["compile", "explain"])
def test_the_example_of_the_help_works(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    example = " ".join(capsys.readouterr().out.rpartition("example: cubewire ")[2].split())
    assert main(shlex.split(example)) == 0


def test_compile_as_json_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SQL + "\n"))
    assert main(["compile", "--demo", "--format", "json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data_source"] == "default"
    assert found["columns"] == [
        {"name": "carrier", "type": "text"},
        {"name": "flights", "type": "int8"},
    ]
    assert [use["index"] for use in found["parameters"]] == [1]
    assert found["relations"] == ["flights"]


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--demo", SQL]) == 0
    text = capsys.readouterr().out
    assert "flights" in text
    assert "\nMembers: flights.count, flights.carrier, flights.origin\nJoin paths: none\n" in text
    assert "\nData source: default\nSQL: " in text
    assert main(["explain", "--demo", "--format", "json", SQL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert text.startswith(found["Plan"]["Description"])
    assert found["Members"] == ["flights.count", "flights.carrier", "flights.origin"]


def test_an_error_shows_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--demo", "SELECT 1\n  FROM nothing_here"]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[-3:] == [
        'ERROR:  42P01: relation "nothing_here" does not exist',
        "LINE 2:   FROM nothing_here",
        "               ^",
    ]
    assert main(["compile", "--demo", "--format", "json", "SELECT 1 FROM nothing_here"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["sqlstate"], error["position"]) == ("42P01", 15)


def test_a_statement_without_cubes_has_no_warehouse_sql(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compile", "--demo", "SELECT version()"]) == 1
    assert "reads no cube" in capsys.readouterr().err


def test_a_broken_model_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text("cubes:\n  - name: a\n    sql_tabel: t\n")
    assert main(["compile", "--demo", "--models", str(tmp_path), "SELECT 1 FROM a"]) == 1
    assert "a.yml:3:5" in capsys.readouterr().err
