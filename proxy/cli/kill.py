"""``cubewire kill``: ends a statement, a session, or all that a user runs."""

from __future__ import annotations

import argparse
import http.client
import json
import sys

from proxy.cancellation import worker_of
from proxy.cli.admin_port import ask_somebody, give_order
from proxy.cli.configuration import UsageError, configuration, report
from proxy.hosts.identity import host_name

_DONE = {
    "": "ended: statements of {}",
    "block": "blocked: {}",
    "lift": "let through again: {}",
}


def run(arguments: argparse.Namespace) -> int:
    """Carry it out; 1 where a worker could not be told, or could not tell all others."""
    try:
        worker = _worker(arguments)
        if arguments.host is not None:
            return _elsewhere(arguments)
    except (UsageError, OSError) as error:
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
        if arguments.host is not None:
            raise UsageError("--host goes with an ID: a user's statements are ended everywhere")
        return None
    worker = worker_of(arguments.id)
    if worker is None:
        raise UsageError(f"{arguments.id} is no id: a statement's is like 7-12, a session's like 7")
    if arguments.then:
        raise UsageError("--block and --lift go with --user")
    return worker


def _elsewhere(arguments: argparse.Namespace) -> int:
    """End something of the server that ``--host`` names, which may be this one."""
    config = configuration(arguments)
    if arguments.host == host_name(config):
        arguments.host = None
        return run(arguments)
    query = [("id", arguments.id), ("host", arguments.host)]
    status, text = ask_somebody(config, "/kill", query, method="POST")
    done = status == http.client.OK
    if arguments.format == "json":
        print(json.dumps({"workers": 1, "failed": [] if done else [text]}))
    elif done:
        print(f"ended: {arguments.id} at {arguments.host}")
    if not done:
        print(text, file=sys.stderr)
    return 0 if done else 1
