from __future__ import annotations

import ast
import re
import tomllib

from proxy.auth.algorithms import ASYMMETRIC, HMAC
from proxy.version import VERSION
from proxy.wire.sqlstates import SQLSTATES
from tests.architecture.sources import PACKAGES, ROOT, modules
from tests.conftest import FOLDER, LONGEST

NOT_SQLSTATES = frozenset({"ATAN2", "INT16", "KOI8R", "KOI8U", "LOG10", "UINT8"}) | {
    *ASYMMETRIC,
    *HMAC,
}
"""Texts that look like one."""


def test_every_module_says_what_it_is() -> None:
    found = [module.place for module in modules() if not ast.get_docstring(module.tree)]
    assert not found, "\n".join(found)


def test_every_sqlstate_is_postgres_own() -> None:
    """A digit among five capitals and digits is an SQLSTATE here, wherever it stands."""
    looks = re.compile(r"(?=.*[0-9])[0-9A-Z]{5}")
    found = []
    for module in modules():
        if module.name == "proxy.wire.sqlstates":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if looks.fullmatch(text) and text not in SQLSTATES and text not in NOT_SQLSTATES:
                    found.append(f"{module.place}:{node.lineno}: {text}")
    assert not found, "\n".join(found)


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_packages_are_listed() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(project()["tool"]["setuptools"]["packages"]) == folders


def test_version_is_the_projects() -> None:
    assert project()["project"]["version"] == VERSION


def test_every_dependency_is_explained() -> None:
    readme = (ROOT / "README.md").read_text()
    for text in project()["project"]["dependencies"]:
        name = re.split(r"[\[>=<~]", text)[0]
        assert f"`{name}`" in readme, f"{name} has no line in README.md"


def test_the_longest_tests_are_there() -> None:
    assert [name for name in LONGEST if not (FOLDER / name).is_file()] == []
