"""The PostgreSQL JDBC driver, in a Java program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.targets import Pair, Target, run_client

PROGRAM = Path(__file__).parent / "jdbc" / "Clients.java"
JAR = Path(os.environ.get("PGJDBC_JAR", "/usr/share/java/postgresql.jar"))
JAVA, JAVAC = shutil.which("java"), shutil.which("javac")

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(JAVA is None or JAVAC is None, reason="no Java compiler is installed"),
    pytest.mark.skipif(not JAR.exists(), reason=f"no {JAR}; PGJDBC_JAR names another"),
]

KNOWN: Mapping[str, str] = {}
"""Steps that differ from PostgreSQL, each with its reason; one that no longer differs fails."""


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    command = [str(JAVAC), "-cp", str(JAR), "-d", str(folder), str(PROGRAM)]
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    return folder


def steps(target: Target, classes: Path) -> dict[str, str]:
    """What the program prints, by step."""
    url = f"jdbc:postgresql://{target.host}:{target.port}/{target.database}"
    command = [str(JAVA), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{JAR}"]
    login = [target.user, target.password] if target.password else [target.user]
    code, out, errors = run_client([*command, "Clients", url, *login], target.environment)
    assert code == 0, errors
    return dict(line.split("\t", 1) for line in out.splitlines())


def test_driver(pair: Pair, classes: Path) -> None:
    mine, theirs = steps(pair.ours, classes), steps(pair.postgres, classes)
    assert mine.pop("encrypted") == "[[1]]"
    assert list(mine) == list(theirs)
    assert "end" in mine
    different = {name for name, value in mine.items() if value != theirs[name]}
    for name in sorted(different ^ set(KNOWN)):
        assert mine[name] == theirs[name], name
        pytest.fail(f"{name} no longer differs: {theirs[name]}")
    assert "flights" in mine["tables"]
    assert "airports" in mine["imported keys"]
    assert mine["cancel"] == "57014[[16]]"
    assert mine["query timeout"] == "57014[[16]]"
