"""``cubewire rollups``: pre-aggregations for operators and orchestrators.

What is asked of the stores is in ``proxy.rollups``; here are the command's actions and exit codes:
0 done, 1 failed, 2 wrongly called, 3 another process was building what was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from connectors.options import ConnectorOptionsError
from connectors.rollup_store import StoredTable
from proxy.assembly import StartupError
from proxy.cli.configuration import UsageError, report
from proxy.cli.demo import demo_configuration
from proxy.cli.rollup_output import (
    Progress,
    print_dropped,
    print_list,
    print_outcomes,
    print_plans,
    print_status,
)
from proxy.cli.rollup_suggest import suggest
from proxy.config import Config
from proxy.rollups.builder import PROBLEMS
from proxy.rollups.opening import Rollups
from proxy.rollups.partitions import Range, parse_range
from proxy.rollups.planning import RollupPlan, within
from proxy.startup import open_model_rollups
from semantic.compiler.rollups.api import RollupDefinition

TAKEN = 3
FAILURES = (StartupError, ConnectorOptionsError, OSError, *PROBLEMS)
"""What ends a command with a message."""

Action = Callable[[argparse.Namespace, Rollups], Awaitable[int]]


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action."""
    # What goes wrong is in what is printed; Python would print the log's lines beside it.
    logging.getLogger("cubewire").addHandler(logging.NullHandler())
    try:
        config = demo_configuration(arguments)
        if arguments.action == "suggest":
            return suggest(arguments, config)
        return asyncio.run(_with_rollups(arguments, config))
    except (UsageError, *FAILURES) as error:
        return report(error)


async def _with_rollups(arguments: argparse.Namespace, config: Config) -> int:
    async with open_model_rollups(config) as rollups:
        return await _ACTIONS[arguments.action](arguments, rollups)


async def _build(arguments: argparse.Namespace, rollups: Rollups) -> int:
    bounds = _range(arguments)
    builder = rollups.builder
    if arguments.parallel:
        builder.set_parallel(arguments.parallel)
    plans = [
        within(await builder.plan(each, force=arguments.force), *bounds)
        for each in _chosen(arguments, rollups)
        if each.is_built
    ]
    with Progress(plans, quiet=arguments.format == "json") as progress:
        runs = [await builder.run(plan, progress.report) for plan in plans]
    outcomes = [outcome for each in runs for outcome in each]
    print_outcomes(outcomes, as_json=arguments.format == "json")
    statuses = {outcome.status for outcome in outcomes}
    if "failed" in statuses:
        return 1
    return TAKEN if "taken" in statuses else 0


async def _plan(arguments: argparse.Namespace, rollups: Rollups) -> int:
    plans = await _plans(arguments, rollups)
    print_plans(plans, as_json=arguments.format == "json")
    return 0


async def _status(arguments: argparse.Namespace, rollups: Rollups) -> int:
    plans = await _plans(arguments, rollups)
    print_status(plans, time.time(), as_json=arguments.format == "json")
    return 0


async def _list(arguments: argparse.Namespace, rollups: Rollups) -> int:
    stored = await rollups.builder.stores.read()
    chosen = _chosen(arguments, rollups)
    print_list(chosen, stored, as_json=arguments.format == "json")
    return 0


async def _drop(arguments: argparse.Namespace, rollups: Rollups) -> int:
    if bool(arguments.names) + arguments.all + arguments.unknown != 1:
        raise UsageError("drop takes names, --all or --unknown")
    names = {each.name for each in _chosen(arguments, rollups)}
    dropped: list[StoredTable] = []
    for place in rollups.builder.stores.all():
        stored = await place.read_or_nothing()
        gone = [table for table in stored if (table.key.rollup in names) != arguments.unknown]
        await place.store.retire(gone)
        if arguments.now:
            await place.store.collect(0.0)
        dropped += gone
    print_dropped(dropped, as_json=arguments.format == "json")
    return 0


_ACTIONS: dict[str, Action] = {
    "build": _build,
    "plan": _plan,
    "status": _status,
    "list": _list,
    "drop": _drop,
}


async def _plans(arguments: argparse.Namespace, rollups: Rollups) -> list[RollupPlan]:
    bounds = _range(arguments) if "start" in arguments else (None, None)
    return [
        within(await rollups.builder.plan(each), *bounds)
        for each in _chosen(arguments, rollups)
        if each.is_built
    ]


def _chosen(arguments: argparse.Namespace, rollups: Rollups) -> list[RollupDefinition]:
    known = rollups.builder.definitions
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        raise UsageError(
            f"the model has no pre-aggregation {', '.join(unknown)}"
            f" (known: {', '.join(known) or 'none'})"
        )
    return [known[name] for name in arguments.names or known]


def _range(arguments: argparse.Namespace) -> Range:
    try:
        return parse_range(arguments.start, arguments.end)
    except ValueError as error:
        raise UsageError(f"--from and --to take a moment such as 2013-01-31: {error}") from None
