"""``cubewire cache invalidate``: asks every worker of the configured server."""

from __future__ import annotations

import argparse

from proxy.cli.admin_port import give_order


def run(arguments: argparse.Namespace) -> int:
    """Make results invalid; 1 where a worker could not be told, or could not tell all others."""
    query = [("cube", cube) for cube in arguments.cube]
    done = f"invalidated: {', '.join(arguments.cube) or 'everything'}"
    return give_order(arguments, "/cache/invalidate", query, done)
