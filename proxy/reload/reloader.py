"""When the model is loaded anew, and what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from proxy.assembly import StartupError
from proxy.reload.folder import FolderWatch
from proxy.reload.git import GitCheckout, PullError
from proxy.reload.loading import PASSING, PROBLEMS
from proxy.reload.notices import FolderNotices

logger = logging.getLogger("cubewire.reload")

Result = Literal["replaced", "unchanged", "refused"]

UNTOLD_SECONDS = 30.0
"""Between two looks at a folder whose every change is told of: nothing is sure."""
RETRY_SECONDS = 10.0
"""After which a model is tried again that was refused for a reason that may have passed."""


class Loader(Protocol):
    """Takes the model folder into service."""

    @property
    def version(self) -> str:
        """Of the model in service."""

    async def load(self) -> bool:
        """False where nothing has changed. Raises one of ``PROBLEMS``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one look at the model folder.

    Attributes:
        version: of the model that is served now.
        problems: what spoke against the folder's model, one by one.
    """

    result: Result
    version: str
    reason: str
    problems: tuple[str, ...] = ()


Report = Callable[[Outcome], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Reloader:
    """Loads the model anew when it is asked to, or its folder has changed.

    Attributes:
        report: told of each outcome.
        watch: says when the folder has changed; None where nobody looks.
        notices: says when it is time to look; without it, looks are taken by the clock.
        checkout: brought up to date before the folder is read; None where it is no checkout.
        look_seconds: between two looks at the folder, where notices do not tell of every change.
        pull_seconds: between two looks at the remote.
        problems: what is wrong with the model folder as it is now.
    """

    loader: Loader
    report: Report
    watch: FolderWatch | None = None
    notices: FolderNotices | None = None
    checkout: GitCheckout | None = None
    look_seconds: float = 1.0
    pull_seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    problems: tuple[str, ...] = ()
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str = ""
    _retry: float = float("inf")
    _pulled: float = 0.0

    def ask(self, reason: str) -> None:
        """Load the model soon, changed or not. Several requests at once are one."""
        self._reason = reason
        self._woken.set()

    def look_soon(self) -> None:
        """Something may have changed in the folder."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        self._pulled = self.clock()
        while True:
            reason = await self._wait()
            due = self.checkout is not None and self.clock() >= self._pulled + self.pull_seconds
            if self.checkout is not None and (reason or due):
                self._pulled = self.clock()
                await self._pull(self.checkout)
            if (
                not reason
                and self.watch is not None
                and await asyncio.to_thread(self.watch.changed)
            ):
                reason = "model folder"
            if not reason and self.clock() >= self._retry:
                reason = "another try"
            if reason:
                await self._load(reason)

    async def _wait(self) -> str:
        """Why the model is to be loaded; empty where it is time to look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._idle_seconds()):
                await self._woken.wait()
        self._woken.clear()
        reason, self._reason = self._reason, ""
        return reason

    def _idle_seconds(self) -> float:
        """How long there is nothing to do, if nothing is heard."""
        told = self.notices is not None and self.notices.complete
        idle = max(self.look_seconds, UNTOLD_SECONDS) if told else self.look_seconds
        if self.watch is not None and self.watch.rests_in is not None:
            idle = min(idle, self.watch.rests_in)
        now = self.clock()
        if self.checkout is not None:
            idle = min(idle, self._pulled + self.pull_seconds - now)
        return max(0.0, min(idle, self._retry - now))

    async def _pull(self, checkout: GitCheckout) -> None:
        try:
            await checkout.pull()
        except (PullError, OSError) as error:
            fields = {"folder": str(checkout.folder), "reason": str(error)}
            logger.warning("the model could not be pulled", extra={"fields": fields})

    async def _load(self, reason: str) -> None:
        if self.watch is not None:
            await asyncio.to_thread(self.watch.loading)
        self._retry = float("inf")
        result: Result = "refused"
        try:
            result = "replaced" if await self.loader.load() else "unchanged"
            self.problems = ()
        except PROBLEMS as error:
            self.problems = error.problems if isinstance(error, StartupError) else (str(error),)
            if isinstance(error, PASSING):
                self._retry = self.clock() + RETRY_SECONDS
        except Exception as error:
            # Whatever it is, the model that is served is whole, and stays.
            logger.exception("a model could not be taken into service")
            self.problems = (f"internal error: {type(error).__name__}",)
        await self.report(Outcome(result, self.loader.version, reason, self.problems))
