"""node-pg, pg-cursor, pg-query-stream and postgres.js."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.targets import Pair, Target, run_client
from tests.support.server import REPOSITORY

PROGRAM = Path(__file__).parent / "node"
NODE, NPM = shutil.which("node"), shutil.which("npm")

KNOWN: dict[str, str] = {}
"""Steps that differ from PostgreSQL, each with its reason; one that no longer differs fails."""

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(NODE is None or NPM is None, reason="node and npm are not installed"),
]


@pytest.fixture(scope="module")
def modules() -> Path:
    """The drivers, installed once per list of versions and kept in the checkout."""
    versions = (PROGRAM / "package.json").read_bytes()
    folder = (
        REPOSITORY / ".cubewire" / "clients" / f"node-{hashlib.sha256(versions).hexdigest()[:12]}"
    )
    stamp = folder / "installed"
    if not stamp.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(versions)
        command = [str(NPM), "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=90, check=False)
        if done.returncode:
            pytest.skip("npm cannot install the drivers: " + done.stderr.decode()[-200:])
        stamp.touch()
    return folder / "node_modules"


def steps(target: Target, modules: Path) -> dict[str, object]:
    """What the program prints, by step."""
    environment = {**target.environment, "NODE_PATH": str(modules), "TZ": "UTC"}
    command = [str(NODE), str(PROGRAM / "clients.js")]
    code, out, errors = run_client(command, environment)
    assert code == 0, errors
    return dict(json.loads(line) for line in out.splitlines())


def test_drivers(pair: Pair, modules: Path) -> None:
    mine, theirs = steps(pair.ours, modules), steps(pair.postgres, modules)
    assert list(mine) == list(theirs)
    assert "end" in mine
    for name, value in mine.items():
        alike = without_tables(value) == without_tables(theirs[name])
        assert alike != (name in KNOWN), f"{name}: {value} and {theirs[name]}"
    assert mine["pg cursor"] == [10, 10, 5, 0]
    assert mine["js cursor"] == [10, 10, 5]
    assert mine["js cancel"]["code"] == "57014"  # type: ignore[index]


def without_tables(value: object) -> object:
    """Columns without the table's OID, which is 0 from our server (no client asks more then)."""
    if not isinstance(value, dict):
        return value
    kept = dict(value)
    for key, index in (("fields", 2), ("columns", 2)):
        if key in kept:
            kept[key] = [
                [part for at, part in enumerate(item) if at != index] for item in kept[key]
            ]
    return kept
