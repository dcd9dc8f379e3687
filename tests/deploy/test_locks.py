"""The lock files hold what any supported Python needs, not only the one they were made with."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import ROOT

SETUP = ROOT / "requirements.lock"
IMAGE = ROOT / "deploy/docker/requirements.lock"
PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", re.MULTILINE)
OLDEST = {"python_version": "3.11", "python_full_version": "3.11.0"}


def pins(lock: str) -> dict[str, str]:
    """Versions by canonical name."""
    return {canonicalize_name(name): version for name, version in PINNED.findall(lock)}


def project() -> dict[str, object]:
    text = (ROOT / "pyproject.toml").read_text()
    return cast("dict[str, object]", tomllib.loads(text)["project"])


def needed(requirement: str) -> bool:
    """Whether the oldest supported Python needs it."""
    marker = Requirement(requirement).marker
    return marker is None or marker.evaluate(OLDEST | {"extra": ""})


@pytest.mark.parametrize("lock", [SETUP, IMAGE], ids=["setup", "image"])
def test_whatever_the_oldest_python_needs_is_pinned(lock: Path) -> None:
    pinned = pins(lock.read_text())
    missing = {}
    for name in pinned:
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of an extra or another system, not installed here
        for requirement in filter(needed, requirements):
            wanted = canonicalize_name(Requirement(requirement).name)
            if wanted not in pinned:
                missing[wanted] = name
    assert not missing


def test_the_image_has_every_extra() -> None:
    extras = cast("dict[str, list[str]]", project()["optional-dependencies"])
    wanted = [*cast("list[str]", project()["dependencies"])]
    wanted += [requirement for extra in extras.values() for requirement in extra]
    pinned = pins(IMAGE.read_text())
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name}: make the lock anew, by its first lines"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_image_runs_what_was_tested() -> None:
    setup, image = pins(SETUP.read_text()), pins(IMAGE.read_text())
    differing = {
        name: (setup[name], image[name])
        for name in setup.keys() & image.keys()
        if setup[name] != image[name]
    }
    assert not differing
