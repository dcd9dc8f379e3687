"""Where a new model comes from: a folder that comes to rest, and a checkout that is pulled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.reload.folder import FolderWatch
from proxy.reload.git import GitCheckout, PullError


def test_folder_has_to_come_to_rest(tmp_path: Path) -> None:
    now = 0.0
    (tmp_path / "one.yml").write_text("a")
    watch = FolderWatch(tmp_path, 1.0, lambda: now)
    assert not watch.changed()
    (tmp_path / "one.yml").write_text("ab")
    assert not watch.changed()
    now = 0.9
    (tmp_path / "two.yml").write_text("c")
    assert not watch.changed()
    now = 1.7
    assert not watch.changed()
    now = 2.0
    assert watch.changed()
    watch.loading()
    assert not watch.changed()


def test_change_that_is_taken_back_is_none(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, 0.0)
    (tmp_path / "one.yml").write_text("a")
    assert watch.changed()
    (tmp_path / "one.yml").unlink()
    assert not watch.changed()


def test_folder_behind_a_link_that_is_moved(tmp_path: Path) -> None:
    """As a ConfigMap is replaced."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cubes.yml").write_text("same")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "cubes.yml").symlink_to(tmp_path / "data" / "cubes.yml")
    (tmp_path / "data").symlink_to("old")
    watch = FolderWatch(tmp_path / "models", 0.0)
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    assert watch.changed()


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, text: str) -> None:
    (folder / "cubes.yml").write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", text)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_checkout_goes_forward_only(tmp_path: Path) -> None:
    origin, model = tmp_path / "origin", tmp_path / "model"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    commit(origin, "one")
    git(tmp_path, "clone", "-q", str(origin), str(model))
    checkout = GitCheckout(model, "origin", "main")
    commit(origin, "two")
    await checkout.pull()
    assert (model / "cubes.yml").read_text() == "two"
    commit(origin, "three")
    commit(model, "of our own")
    with pytest.raises(PullError, match="merge"):
        await checkout.pull()
    assert (model / "cubes.yml").read_text() == "of our own"
    with pytest.raises(PullError, match="fetch"):
        await GitCheckout(model, "nowhere", "main").pull()
