"""A server that loads its model anew: what starts it, and who is told."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from proxy.audit.trail import AuditTrail
from proxy.config import Config
from proxy.observability.metrics import Metrics
from proxy.reload.folder import FolderWatch
from proxy.reload.git import GitCheckout
from proxy.reload.loading import ModelReload
from proxy.reload.notices import FolderNotices
from proxy.reload.reloader import Outcome, Reloader
from proxy.rollups.opening import Rollups
from proxy.server import Parts, Server

logger = logging.getLogger("cubewire.reload")

PULLING_WORKER = 0
"""Of several workers over one checkout; the others see what has come."""


def open_watch(config: Config) -> FolderWatch | None:
    """What looks at the model folder, from before it is loaded; None where nobody is to."""
    if not config.reload.watch and not config.reload.git.remote:
        return None
    return FolderWatch(config.models, config.reload.debounce)


class Refreshing:
    """Keeps the pre-aggregations of the model in service fresh, where this process is to."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._wanted = config.rollups.refresh != "off"
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    def begin(self, rollups: Rollups) -> None:
        """Refresh these from now on."""
        if not self._wanted or not rollups.builder.stores.all():
            return
        refresher = rollups.refresher(lambda outcome: self._metrics.rollup_build(outcome.status))
        self._task = asyncio.create_task(refresher.run(), name="refresher")
        self._task.add_done_callback(_report_end)

    async def end(self) -> None:
        """Refresh no more; what is being built is given up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("pre-aggregations are refreshed no more", exc_info=task.exception())


@asynccontextmanager
async def reloading(
    parts: Parts, server: Server, loader: ModelReload, watch: FolderWatch | None
) -> AsyncIterator[None]:
    """Load the model anew meanwhile: on SIGHUP, on request, and where its folder changes."""
    config = parts.config
    refreshing = Refreshing(config, parts.metrics)

    async def report(outcome: Outcome) -> None:
        tell(outcome, parts.metrics, parts.trail)
        if outcome.result == "replaced":
            await server.model_replaced()
            loader.profiles.retire()
            await refreshing.end()
            refreshing.begin(loader.engine.rollups)

    settings = config.reload
    checkout = None
    if settings.git.remote and parts.process.worker == PULLING_WORKER:
        checkout = GitCheckout(config.models, settings.git.remote, settings.git.branch)
    reloader = Reloader(
        loader,
        report,
        watch,
        checkout=checkout,
        look_seconds=settings.interval,
        pull_seconds=settings.git.interval,
    )
    server.reloader = reloader
    refreshing.begin(loader.engine.rollups)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, partial(reloader.ask, "SIGHUP"))
    tasks = [asyncio.create_task(reloader.run(), name="model reload")]
    if watch is not None:
        reloader.notices = FolderNotices(config.models, reloader.look_soon)
        tasks.append(asyncio.create_task(reloader.notices.run(), name="folder notices"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await refreshing.end()


def tell(outcome: Outcome, metrics: Metrics, trail: AuditTrail) -> None:
    """Put what became of a model into the log, the metrics and the audit trail."""
    metrics.model_reload(outcome.result)
    fields = {"reason": outcome.reason, "version": outcome.version}
    for problem in outcome.problems:
        logger.error("the model was refused", extra={"fields": {**fields, "problem": problem}})
    if outcome.result != "refused":
        logger.info("the model was %s", outcome.result, extra={"fields": fields})
    if outcome.result != "unchanged":
        trail.administration(
            "model reload",
            login=outcome.reason,
            target=outcome.version,
            outcome="done" if outcome.result == "replaced" else "failed",
        )
