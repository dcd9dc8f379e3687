"""``cubewire top``: the statements that run now, on a terminal or as JSON."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Sequence
from typing import TypeAlias

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from proxy.cli.admin_port import ask_somebody
from proxy.cli.configuration import UsageError, configuration, report
from proxy.config import Config

Row: TypeAlias = dict[str, object]

ENDED = ("done", "failed")
_ROWS = 100
"""Statements that are shown at most."""
_WIDE = 200


def run(arguments: argparse.Namespace) -> int:
    """Show them once, or again and again until Ctrl-C; 1 where some are missing."""
    try:
        config = configuration(arguments)
        if arguments.once or arguments.format == "json":
            return _once(config, as_json=arguments.format == "json")
        _watch(config, arguments.interval)
    except (UsageError, OSError) as error:
        return report(error)
    return 0


def running(config: Config) -> tuple[list[Row], list[str]]:
    """The statements that run, the longest first, and what is missing.

    Raises UsageError where the server refuses to tell, OSError where it cannot be reached.
    """
    status, text = ask_somebody(config, "/rows", [("table", "statements")])
    if status != http.client.OK:
        raise UsageError(text)
    told = json.loads(text)
    rows = [row for row in told["rows"] if row["state"] not in ENDED]
    return sorted(rows, key=lambda row: -float(row["milliseconds"])), list(told["warnings"])


def _once(config: Config, *, as_json: bool) -> int:
    rows, failed = running(config)
    if as_json:
        print(json.dumps(rows))
    else:
        console = Console()
        Console(width=None if console.is_terminal else _WIDE).print(_table(rows))
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


def _watch(config: Config, interval: float) -> None:
    running(config)  # what is configured wrongly is told before the screen is taken
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(_screen(*running(config)), refresh=True)
            time.sleep(interval)


def _screen(rows: Sequence[Row], failed: Sequence[str]) -> RenderableType:
    waiting = sum(row["state"] == "waiting" for row in rows)
    head = (
        f"{len(rows)} statements, {waiting} of them waiting; "
        "end one: cubewire kill ID [--host HOST]"
    )
    return Group(head, *map(escape, failed), "", _table(rows))


def _table(rows: Sequence[Row]) -> Table:
    """The longest; of several servers, a kill needs the name."""
    several = len({row["host"] for row in rows}) > 1
    table = Table(*(["host"] if several else []), "id", "user", box=None)
    for name in ("application", "state", "source"):
        table.add_column(name)
    table.add_column("seconds", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("sql", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:_ROWS]:
        user = row["login"] if row["acts_for"] is None else f"{row['login']} for {row['acts_for']}"
        seconds = float(str(row["milliseconds"])) / 1000
        texts = [row["statement_id"], user, row["application"], row["state"], row["data_source"]]
        if several:
            texts.insert(0, row["host"])
        shown = [escape(_plain(text or "")) for text in texts]
        sql = escape(" ".join(_plain(row["sql"]).split()))
        table.add_row(*shown, f"{seconds:.1f}", f"{row['rows']:,}", sql)
    return table


def _plain(text: object) -> str:
    """A text that moves no cursor, whatever a client has sent."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
