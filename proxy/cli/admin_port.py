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
    arguments: argparse.Namespace,
    path: str,
    query: Sequence[tuple[str, str]],
    done: str,
    worker: int | None = None,
) -> int:
    """Ask every worker, or one; print ``done``, or what went wrong.

    Returns:
        1 where a worker could not be told, or could not tell all others.
    """
    try:
        config = configuration(arguments)
        asked = _workers(config, worker)
        answers = [(each, *_ask(config, each, path, query)) for each in asked]
    except (UsageError, OSError) as error:
        return report(error)
    failed = [
        f"worker {each}: {text}" for each, status, text in answers if status != http.client.OK
    ]
    if arguments.format == "json":
        print(json.dumps({"workers": len(answers), "failed": failed}))
    elif not failed:
        print(done)
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


def ask_somebody(
    config: Config, path: str, query: Sequence[tuple[str, str]], method: str = "GET"
) -> tuple[int, str]:
    """The answer of the first worker that gives one: its status and text.

    Raises UsageError where the configuration does not say how to reach them, OSError where none
    can be reached.
    """
    refusal: OSError | None = None
    for worker in _workers(config):
        try:
            return _ask(config, worker, path, query, method)
        except OSError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _workers(config: Config, only: int | None = None) -> Sequence[int]:
    if not config.server.admin_port or config.server.admin_token is None:
        raise UsageError("server.admin_port and server.admin_token are needed to reach the server")
    workers = range(config.server.workers)
    if only is None:
        return workers
    if only not in workers:
        raise UsageError(f"there is no worker {only}")
    return (only,)


def _ask(
    config: Config,
    worker: int,
    path: str,
    query: Sequence[tuple[str, str]],
    method: str = "POST",
) -> tuple[int, str]:
    server = config.server
    assert server.admin_token is not None
    connection = http.client.HTTPConnection(
        server.admin_host, server.admin_port + worker, timeout=SECONDS
    )
    token = server.admin_token.get_secret_value()
    try:
        connection.request(
            method, f"{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {token}"}
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()
