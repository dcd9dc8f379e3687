"""Files of at most 500 lines and functions of at most 60, tests and fixtures included."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

from tests.architecture.sources import ROOT

FILE_LINES = 500
FUNCTION_LINES = 60
GENERATED = ("requirements.lock", "proxy/wire/oids.py", "proxy/wire/sqlstates.py")
"""Made by a program from somebody else's list, and read by nobody."""
PROSE = (".md",)
TEXT = (
    ".py",
    ".sql",
    ".yml",
    ".yaml",
    ".txt",
    ".json",
    ".toml",
    ".test",
    ".pgtest",
    ".slt",
    ".java",
    ".js",
    ".sh",
    ".c",
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    names = [name for name in listed if name]
    if not names:  # not a checkout, such as an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py")]
    return [ROOT / name for name in names if not name.startswith(".") and name not in GENERATED]


def test_files() -> None:
    found = []
    for path in tracked():
        if path.suffix in TEXT and path.is_file():
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > FILE_LINES:
                found.append(f"{path.relative_to(ROOT)}: {lines} lines")
    assert not found, "\n".join(found)


def test_functions() -> None:
    found = []
    for path in tracked():
        if path.suffix != ".py" or not path.is_file():
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = length(node)
                if lines > FUNCTION_LINES:
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    found.append(f"{place}: {node.name} has {lines} lines")
    assert not found, "\n".join(found)


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total
