"""``cubewire top``: the statements that run now, on a terminal or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import TypeAlias

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from proxy.cli.admin_port import ask_reports
from proxy.cli.configuration import UsageError, configuration, report
from proxy.config import Config

Row: TypeAlias = dict[str, object]

ENDED = ("done", "failed")
_ROWS = 100
"""Statements that are shown at most."""
_WIDE = 200


def run(arguments: argparse.Namespace) -> int:
    """Show them once, or again and again until Ctrl-C; 1 where a worker did not answer."""
    try:
        config = configuration(arguments)
        if arguments.once or arguments.format == "json":
            return _once(config, as_json=arguments.format == "json")
        _watch(config, arguments.interval)
    except (UsageError, OSError) as error:
        return report(error)
    return 0


def running(config: Config) -> tuple[list[Row], list[str]]:
    """The statements that run, the longest first, and what went wrong."""
    found, failed = ask_reports(config, "/rows", [("table", "statements")])
    rows = [row for row in found if isinstance(row, dict) and row.get("state") not in ENDED]
    return sorted(rows, key=lambda row: -float(str(row["milliseconds"]))), failed


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
    head = f"{len(rows)} statements, {waiting} of them waiting; end one: cubewire kill ID"
    return Group(head, *map(escape, failed), "", _table(rows))


def _table(rows: Sequence[Row]) -> Table:
    table = Table("id", "user", "application", "state", "source", box=None)
    table.add_column("seconds", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("sql", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:_ROWS]:
        user = row["login"] if row["acts_for"] is None else f"{row['login']} for {row['acts_for']}"
        seconds = float(str(row["milliseconds"])) / 1000
        texts = [row["statement_id"], user, row["application"], row["state"], row["data_source"]]
        shown = [escape(_plain(text or "")) for text in texts]
        sql = escape(" ".join(_plain(row["sql"]).split()))
        table.add_row(*shown, f"{seconds:.1f}", f"{row['rows']:,}", sql)
    return table


def _plain(text: object) -> str:
    """A text that moves no cursor, whatever a client has sent."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
