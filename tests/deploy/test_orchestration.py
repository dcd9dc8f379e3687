"""The snippets for orchestrators."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.cli.arguments import make_parser
from tests.deploy.test_files import DEPLOY

SNIPPETS = {"airflow": "airflow_dag.py", "dagster": "dagster_definitions.py"}
SNIPPETS |= {"prefect": "prefect_flow.py"}


def commands(path: Path) -> dict[str, str]:
    """The command lines that a snippet runs, by name."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = ast.literal_eval(node.value) if isinstance(node.value, ast.Constant) else None
            if isinstance(value, str):
                found[node.targets[0].id] = value
    return found


@pytest.mark.parametrize("package", SNIPPETS)
def test_their_commands_exist(package: str) -> None:
    found = commands(DEPLOY / "orchestration" / SNIPPETS[package])
    assert set(found) == {"BUILD", "INVALIDATE"}
    for command in found.values():
        program, *arguments = command.split()
        assert program == "cubewire"
        parsed = make_parser().parse_args(arguments)
        assert parsed.format == "json"
    assert found["BUILD"].split()[1:3] == ["rollups", "build"]
    assert found["INVALIDATE"].split()[1:3] == ["cache", "invalidate"]


@pytest.mark.parametrize("package", SNIPPETS)
def test_they_load(package: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    homes = ("AIRFLOW_HOME", "DAGSTER_HOME", "PREFECT_HOME")
    subprocess.run(
        [sys.executable, str(DEPLOY / "orchestration" / SNIPPETS[package])]
        if package != "prefect"
        else [sys.executable, "-c", "import prefect_flow"],
        check=True,
        timeout=100,
        cwd=DEPLOY / "orchestration",
        env={**os.environ, **dict.fromkeys(homes, str(tmp_path)), "PYTHONDONTWRITEBYTECODE": "1"},
    )
