"""Programs that these tests use where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def attempt(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What a program says, whether it succeeds or not; the test is skipped where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run(
        [path, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def run(program: str, *arguments: str | Path) -> str:
    """The standard output of a program that has to succeed."""
    done = attempt(program, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
