"""When the model folder is looked at: once the system tells of changes, or by the clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.reload import notices as notices_module
from proxy.reload.folder import FolderWatch, UnsettledError, read_whole, state_of
from proxy.reload.notices import FolderNotices, tells_all
from proxy.reload.reloader import Outcome, Reloader
from semantic.model.files import model_files

HOUR = 3600.0


@dataclass(slots=True)
class Texts:
    """A loader that reads a folder, and holds what it has read."""

    folder: Path
    version: str = ""
    loads: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self) -> bool:
        self.version = " ".join(file.read_text() for file in model_files(self.folder))
        self.loads += 1
        self.changed.set()
        return True

    async def becomes(self, version: str) -> None:
        async with asyncio.timeout(40):
            while self.version != version:
                self.changed.clear()
                await self.changed.wait()


async def _unheard(_: Outcome) -> None:
    pass


@asynccontextmanager
async def watched(
    folder: Path, look_seconds: float = HOUR, debounce: float = 0.05
) -> AsyncIterator[tuple[Texts, FolderNotices]]:
    """A folder that is loaded as it changes."""
    loader = Texts(folder)
    watch = FolderWatch(folder, debounce)
    reloader = Reloader(loader, _unheard, watch, look_seconds=look_seconds)
    reloader.notices = FolderNotices(folder, reloader.look_soon)
    tasks = [asyncio.create_task(each) for each in (reloader.run(), reloader.notices.run())]
    await asyncio.sleep(0.1)  # the system's watches are set
    try:
        yield loader, reloader.notices
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def replaced(link: Path, target: str) -> None:
    """Let a link lead elsewhere in one step."""
    made = link.with_name("made")
    made.symlink_to(target)
    made.replace(link)


async def test_changes_are_loaded_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a")
    async with watched(tmp_path) as (loader, _):
        (tmp_path / "one.yml").write_text("b")
        await loader.becomes("b")
        (tmp_path / "one.tmp").write_text("c")
        (tmp_path / "one.tmp").replace(tmp_path / "one.yml")
        await loader.becomes("c")
        (tmp_path / "two.yml").write_text("d")
        await loader.becomes("c d")
        (tmp_path / "one.yml").unlink()
        await loader.becomes("d")


async def test_config_map_is_exchanged(tmp_path: Path) -> None:
    for name in ("..first", "..second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cubes.yml").write_text(name)
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "cubes.yml").symlink_to("..data/cubes.yml")
    assert tells_all(tmp_path)
    async with watched(tmp_path) as (loader, _):
        replaced(tmp_path / "..data", "..second")
        await loader.becomes("..second")
        assert loader.loads == 1


async def test_burst_is_one_change(tmp_path: Path) -> None:
    async with watched(tmp_path, debounce=1.0) as (loader, _):
        for number in range(30):
            (tmp_path / "one.yml").write_text(str(number))
            await asyncio.sleep(0.02)
        await loader.becomes("29")
        assert loader.loads == 1


async def test_what_editors_leave_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a")
    async with watched(tmp_path) as (loader, _):
        for name in (".one.yml.swp", "one.yml~", "#one.yml#", "4913", ".#one.yml"):
            (tmp_path / name).write_text("x")
        await asyncio.sleep(0.4)
        assert loader.loads == 0
        (tmp_path / "one.yml").write_text("b")
        await loader.becomes("b")


async def test_folder_that_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices_module, "CHECK_SECONDS", 0.2)
    models, other = tmp_path / "models", tmp_path / "other"
    for folder in (models, other):
        folder.mkdir()
        (folder / "one.yml").write_text(folder.name)
    async with watched(models) as (loader, told):
        models.rename(tmp_path / "former")
        other.rename(models)
        await loader.becomes("other")
        await _until(lambda: told.complete)
        (models / "one.yml").write_text("b")
        await loader.becomes("b")


async def test_without_notices_the_clock_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over the network: links that lead away are no more told of than what others write."""
    monkeypatch.setattr(notices_module, "CHECK_SECONDS", 0.05)
    models, away = tmp_path / "models", tmp_path / "away"
    models.mkdir()
    away.mkdir()
    (away / "one.yml").write_text("a")
    (models / "one.yml").symlink_to(away / "one.yml")
    async with watched(models, look_seconds=0.05) as (loader, told):
        await asyncio.sleep(0.3)
        assert not told.complete
        (away / "one.yml").write_text("b")
        await loader.becomes("b")
        (models / "one.yml").unlink()
        (models / "one.yml").write_text("c")
        await loader.becomes("c")
        await _until(lambda: told.complete)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


def test_kinds_of_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    mounts = tmp_path / "mountinfo"
    root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
    point = str(folder).replace(" ", r"\040")
    for kind, expected in (("nfs4", False), ("fuse.sshfs", False), ("9p", False), ("xfs", True)):
        mounts.write_text(f"{root}\n30 22 0:40 / {point} rw - {kind} server:/models rw\n")
        assert tells_all(folder, mounts) is expected, kind
        assert tells_all(tmp_path, mounts)
    mounts.write_text(f"{root}\n30 22 0:40 / {point[:-2]} rw - nfs server:/models rw\n")
    assert tells_all(folder, mounts)
    assert not tells_all(folder, tmp_path / "absent")
    (tmp_path / "link").symlink_to(folder)
    mounts.write_text(root)
    assert not tells_all(tmp_path / "link", mounts)


def test_a_model_is_read_as_it_was_at_one_moment(tmp_path: Path) -> None:
    one, two = tmp_path / "1.yml", tmp_path / "2.yml"
    writings = iter("bc")

    def read() -> str:
        first = one.read_text()
        for text in writings:
            one.write_text(text)
            two.write_text(text)
            if text == "b":
                raise ValueError("half of a change")
            break
        return first + two.read_text()

    one.write_text("a")
    two.write_text("a")
    assert read_whole(tmp_path, read) == "cc"

    def write_on() -> None:
        one.write_text(one.read_text() + "x")

    with pytest.raises(UnsettledError):
        read_whole(tmp_path, write_on)
    with pytest.raises(ZeroDivisionError):
        read_whole(tmp_path, lambda: 1 / 0)


def test_links_to_folders_are_followed_but_not_around(tmp_path: Path) -> None:
    models, shared = tmp_path / "models", tmp_path / "shared"
    for folder in (models / "in", models / ".git", shared):
        folder.mkdir(parents=True)
        (folder / "one.yml").write_text("a")
    (models / "linked").symlink_to(shared)
    (models / "in" / "around").symlink_to(models)
    found = {os.path.relpath(path, models) for path, *_ in state_of(models)}
    assert found == {"in/one.yml", "linked/one.yml"}
