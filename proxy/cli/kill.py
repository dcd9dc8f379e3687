"""``cubewire kill``: ends a statement, a session, or all that a user runs."""

from __future__ import annotations

import argparse

from proxy.cancellation import WORKER_SHIFT
from proxy.cli.admin_port import give_order
from proxy.cli.configuration import UsageError, report

_DONE = {
    "": "ended: statements of {}",
    "block": "blocked: {}",
    "lift": "let through again: {}",
}


def run(arguments: argparse.Namespace) -> int:
    """Carry it out; 1 where a worker could not be told, or could not tell all others."""
    try:
        worker = _worker(arguments)
    except UsageError as error:
        return report(error)
    if arguments.id is not None:
        return give_order(
            arguments, "/kill", [("id", arguments.id)], f"ended: {arguments.id}", worker
        )
    query = [("user", arguments.user)]
    if arguments.then:
        query.append(("then", arguments.then))
    return give_order(arguments, "/kill", query, _DONE[arguments.then].format(arguments.user))


def _worker(arguments: argparse.Namespace) -> int | None:
    """The worker that an id names; all are asked where a user is named. Raises UsageError."""
    if (arguments.id is None) == (arguments.user is None):
        raise UsageError("either an ID or --user is needed")
    if arguments.id is None:
        return None
    process_id, dash, number = arguments.id.partition("-")
    if not process_id.isdigit() or (dash and not number.isdigit()):
        raise UsageError(f"{arguments.id} is no id: a statement's is like 7-12, a session's like 7")
    if arguments.then:
        raise UsageError("--block and --lift go with --user")
    return int(process_id) >> WORKER_SHIFT
