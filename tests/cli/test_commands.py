from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.auth.verifier import Verifier
from proxy.cli import main
from proxy.cli.configuration import config_file
from proxy.cli.shown import shown_login, with_login
from proxy.config import load_config
from proxy.version import VERSION
from tests.architecture.sources import ROOT

COMMANDS = (
    "serve",
    "check",
    "compile",
    "explain",
    "functions",
    "refresh",
    "rollups",
    "users",
    "verifier",
    "version",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example: cubewire {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["sreve"], ["serve", "--prot", "1"], ["serve", "--por"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"cubewire {VERSION}\n"
    assert main(["version", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["cubewire"] == VERSION


def test_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["functions", "to_char", "SQRT"]) == 0
    shown = capsys.readouterr().out
    assert "sqrt" in shown
    assert "refused: sqrt(numeric)" in shown
    assert main(["functions", "upper", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(item["name"], item["duckdb"]) for item in found] == [("upper", "exact")]
    assert main(["functions", "read_csv"]) == 1


def test_light_commands_load_nothing_heavy() -> None:
    script = (
        "import sys, proxy.cli\n"
        "proxy.cli.main(['version'])\n"
        "heavy = {'pydantic', 'sqlglot', 'duckdb', 'pyarrow', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True)


def test_check_of_the_demo_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "cube_models")]) == 0
    assert capsys.readouterr().out.startswith("ok: 5 cubes")
    assert main(["check", str(ROOT / "cube_models"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


def test_check_reports_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yml").write_text("cubes:\n  - name: a\n    sql_tabel: t\n")
    (tmp_path / "b.yml").write_text("cubes:\n  - name: b\n    sql_table: t\n    titel: x\n")
    assert main(["check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert 'a.yml:3:5: unknown key "sql_tabel"' in text
    assert 'did you mean "sql_table"?' in text
    assert "b.yml:4:5:" in text
    assert main(["check", str(tmp_path), "--format", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert {each["file"] for each in report["problems"]} == {"a.yml", "b.yml"}


def test_check_takes_the_folder_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cubewire.yml").write_text("models: nothing_here\n")
    assert main(["check", "--config", str(tmp_path / "cubewire.yml")]) == 1
    assert str(tmp_path / "nothing_here") in capsys.readouterr().out


def test_verifier(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\nmore\n"))
    assert main(["verifier", "--iterations", "5000"]) == 0
    verifier = Verifier.parse(capsys.readouterr().out.strip())
    assert verifier.iterations == 5000
    assert verifier.matches("a secret")
    assert main(["verifier", "--iterations", "1"]) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server: {prot: 1}\n", 'cubewire.yml:1:10: server.prot: unknown key "prot"'),
        ("tls: {mode: off}\n", "auth.users is empty"),
        ("auth: {method: trust}\nserver: {host: 0.0.0.0}\n", "loopback"),
    ],
)
def test_serve_refuses_a_wrong_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    path = tmp_path / "cubewire.yml"
    path.write_text(text)
    assert main(["serve", "--config", str(path)]) == 2
    assert complaint in capsys.readouterr().err


def test_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = Path("given.yml")
    assert config_file(given, {"CUBEWIRE_CONFIG": "named.yml"}) == given
    assert config_file(None, {"CUBEWIRE_CONFIG": "named.yml"}) == Path("named.yml")
    assert config_file(None, {}) is None
    Path("cubewire.yml").touch()
    assert config_file(None, {}) == Path("cubewire.yml")


def test_only_the_demos_password_is_shown() -> None:
    dsn = "postgresql://127.0.0.1:1/cubewire"
    assert with_login(dsn, "demo:demo") == "postgresql://demo:demo@127.0.0.1:1/cubewire"
    assert with_login(dsn, "") == dsn

    def shown(**users: str) -> str:
        values = {f"auth.users.{name}.password": password for name, password in users.items()}
        return shown_login(load_config(None, {}, values), demo=True)

    assert shown(demo="demo") == "demo:demo"
    assert shown(demo="other") == "demo"
    assert shown(anna="demo") == "anna"
    assert shown(anna="a", berta="b") == ""
