"""``cubewire refresh``: what keeps pre-aggregations fresh, as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress

from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.cli.rollup_output import print_outcomes
from proxy.cli.rollups import FAILURES, TAKEN
from proxy.config import Config
from proxy.observability.log import open_log
from proxy.startup import open_model_rollups


def run(arguments: argparse.Namespace) -> int:
    """Refresh once, or until SIGTERM."""
    try:
        config = demo_configuration(arguments)
        log = open_log(config.log)
        try:
            return asyncio.run(_refresh(arguments, config))
        finally:
            log.close()
    except (UsageError, *FAILURES) as error:
        return report(error)


async def _refresh(arguments: argparse.Namespace, config: Config) -> int:
    async with open_model_rollups(config) as rollups:
        refresher = rollups.refresher()
        if arguments.once:
            outcomes = await refresher.run_once()
            print_outcomes(outcomes, as_json=arguments.format == "json")
            statuses = {each.status for each in outcomes}
            return 1 if "failed" in statuses else TAKEN if "taken" in statuses else 0
        task = asyncio.create_task(refresher.run(), name="refresher")
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task
        return 0
