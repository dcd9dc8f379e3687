"""Orders to a running server: each of its workers is asked through its admin port."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from collections.abc import Sequence
from urllib.parse import urlencode

from proxy.cli.configuration import UsageError, configuration, report
from proxy.config import Config

SECONDS = 10.0


def give_order(
    arguments: argparse.Namespace, path: str, query: Sequence[tuple[str, str]], done: str
) -> int:
    """Ask every worker; print ``done``, or what went wrong.

    Returns:
        1 where a worker could not be told, or could not tell all others.
    """
    try:
        config = configuration(arguments)
        answers = [_ask(config, worker, path, query) for worker in _workers(config)]
    except (UsageError, OSError) as error:
        return report(error)
    failed = [text for status, text in answers if status != http.client.OK]
    if arguments.format == "json":
        print(json.dumps({"workers": len(answers), "failed": failed}))
    elif not failed:
        print(done)
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


def _workers(config: Config) -> range:
    if not config.server.admin_port or config.server.admin_token is None:
        raise UsageError("server.admin_port and server.admin_token are needed to reach the server")
    return range(config.server.workers)


def _ask(
    config: Config, worker: int, path: str, query: Sequence[tuple[str, str]]
) -> tuple[int, str]:
    server = config.server
    assert server.admin_token is not None
    connection = http.client.HTTPConnection(
        server.admin_host, server.admin_port + worker, timeout=SECONDS
    )
    token = server.admin_token.get_secret_value()
    try:
        connection.request(
            "POST", f"{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"}
        )
        answer = connection.getresponse()
        return answer.status, f"worker {worker}: {answer.read().decode().strip()}"
    finally:
        connection.close()
