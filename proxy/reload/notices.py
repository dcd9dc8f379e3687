"""Hearing from the operating system that something in the model folder has changed.

A notice only says that it is time to look; what a look finds is what counts. So a notice too many
costs a look, and where notices cannot be relied on, looks are taken by the clock.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import watchfiles

from proxy.reload.folder import leads_elsewhere

logger = logging.getLogger("cubewire.reload")

CHECK_SECONDS = 5.0
"""How often it is checked whether notices still tell of every change."""
STEP_SECONDS = 0.1
"""Notices that follow one another within this time are one."""

_MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = frozenset(
    (
        *("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs"),
        *("reiserfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs"),
    )
)
"""File systems that nobody else writes to, so that the kernel knows of each change. The others,
such as nfs, cifs, 9p and what FUSE brings, say nothing of what is written on other machines."""


@dataclass(slots=True, eq=False)
class FolderNotices:
    """Calls back when something in a folder has changed.

    Attributes:
        heard: called after changes; soon, but not for each.
        complete: whether every change is told of now. It is false where the folder is a network
            mount, where links lead out of it, and where the system has no watches left.
    """

    folder: Path
    heard: Callable[[], None]
    complete: bool = False
    _last_problem: str = field(default="")

    async def run(self) -> None:
        """Listen until it is cancelled."""
        while True:
            try:
                await self._listen()
            except (OSError, RuntimeError) as error:
                self._report(str(error))
            finally:
                self.complete = False
            await asyncio.sleep(CHECK_SECONDS)

    async def _listen(self) -> None:
        """Listen as long as the folder is the one that the listening began with."""
        began = _identity(self.folder)
        notices = watchfiles.awatch(
            self.folder,
            watch_filter=None,
            step=int(STEP_SECONDS * 1000),
            debounce=int(STEP_SECONDS * 5000),
            rust_timeout=int(CHECK_SECONDS * 1000),
            yield_on_timeout=True,
            force_polling=False,
            ignore_permission_denied=True,
        )
        async with aclosing(notices):
            async for changes in notices:
                self.complete = await asyncio.to_thread(tells_all, self.folder)
                if _identity(self.folder) != began:
                    self.heard()
                    return
                if changes:
                    self.heard()

    def _report(self, problem: str) -> None:
        if problem != self._last_problem:
            self._last_problem = problem
            fields = {"folder": str(self.folder), "reason": problem}
            logger.warning(
                "the model folder is looked at by the clock alone", extra={"fields": fields}
            )


def tells_all(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the kernel tells of each change of what is read in a folder.

    Args:
        mounts: what is mounted, as Linux tells it; elsewhere nothing is known.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    return _file_system(folder, lines) in _LOCAL and not leads_elsewhere(folder)


def _file_system(folder: Path, mounts: list[str]) -> str:
    """The kind of file system that a folder is in, after ``proc(5)``."""
    path = os.path.join(os.path.realpath(folder), "")
    found = (0, "")
    for line in mounts:
        mount, _, source = line.partition(" - ")
        point = mount.split()[4].encode().decode("unicode_escape")
        if path.startswith(os.path.join(point, "")):
            # Of two mounts over each other, the later one is seen.
            found = max(found, (len(point), source.split()[0]), key=lambda each: each[0])
    return found[1]


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
