"""Bringing a checkout of the model up to date."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0
"""What one look at the remote may take."""


class PullError(Exception):
    """The remote could not be reached, or its branch is no continuation of what is checked out."""


@dataclass(frozen=True, slots=True)
class GitCheckout:
    """The folder of a model that is checked out from a repository.

    Nothing is merged: where the remote branch does not continue what is checked out, it is refused.
    """

    folder: Path
    remote: str
    branch: str

    async def pull(self) -> None:
        """Fetch the branch and go forward to it. Raises PullError."""
        await self._git("fetch", "--quiet", "--", self.remote, self.branch)
        await self._git("merge", "--quiet", "--ff-only", "FETCH_HEAD")

    async def _git(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "git",
            "-c",
            "core.hooksPath=/dev/null",
            *arguments,
            cwd=self.folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            raise PullError(f"git {arguments[0]} took longer than {SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            reason = said.decode(errors="replace").strip()
            raise PullError(f"git {arguments[0]} failed: {reason}")
