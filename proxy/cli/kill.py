"""``cubewire kill``: ends what a user runs, in every worker of the configured server."""

from __future__ import annotations

import argparse

from proxy.cli.admin_port import give_order

_DONE = {
    "": "ended: statements of {}",
    "block": "blocked: {}",
    "lift": "let through again: {}",
}


def run(arguments: argparse.Namespace) -> int:
    """Carry it out; 1 where a worker could not be told, or could not tell all others."""
    query = [("user", arguments.user)]
    if arguments.then:
        query.append(("then", arguments.then))
    return give_order(arguments, "/kill", query, _DONE[arguments.then].format(arguments.user))
