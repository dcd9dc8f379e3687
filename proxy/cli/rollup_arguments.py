"""The arguments of ``cubewire rollups`` and ``cubewire refresh``."""

from __future__ import annotations

import argparse
from pathlib import Path

from proxy.cli.shared_arguments import Commands, add_command, add_configuration, add_format


def add_rollups(commands: Commands) -> None:
    """``cubewire rollups ACTION``."""
    rollups = add_command(
        commands,
        "rollups",
        "build, show, drop and suggest pre-aggregations",
        "cubewire rollups build --demo",
    )
    actions = rollups.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_build(actions)
    for name, purpose in (
        ("list", "print the model's pre-aggregations and what is built of them"),
        ("status", "print every part: its range, rows, age, and whether it is due"),
    ):
        _add_named(actions, name, purpose, f"cubewire rollups {name} --format json")
    plan = _add_named(
        actions, "plan", "print what a build would do now", "cubewire rollups plan flights.by_day"
    )
    _add_range(plan)
    drop = _add_named(
        actions,
        "drop",
        "drop what is built; queries go to the source until it is built again",
        "cubewire rollups drop flights.by_day",
    )
    drop.add_argument("--all", action="store_true", help="of every pre-aggregation")
    drop.add_argument(
        "--unknown", action="store_true", help="what is stored but not in the model any more"
    )
    drop.add_argument(
        "--now", action="store_true", help="do not leave the tables for statements that run"
    )
    _add_suggest(actions)


def add_refresh(commands: Commands) -> None:
    """``cubewire refresh``."""
    refresh = add_command(
        commands,
        "refresh",
        "keep pre-aggregations fresh, apart from the server; exits on SIGTERM",
        "cubewire refresh --once --format json",
    )
    refresh.add_argument("--once", action="store_true", help="build what is due now, then exit")
    add_configuration(refresh)
    add_format(refresh)


def _add_build(actions: Commands) -> None:
    build = _add_named(
        actions,
        "build",
        "build what is missing or due; exits 0 built, 1 failed, 3 another process builds it",
        "cubewire rollups build flights.by_day --from 2013-01-01 --to 2013-02-01 --force",
    )
    _add_range(build)
    build.add_argument("--force", action="store_true", help="build whatever the age of the data")
    build.add_argument("--parallel", type=int, metavar="N", help="parts built at once")


def _add_suggest(actions: Commands) -> None:
    suggest = add_command(
        actions,
        "suggest",
        "propose the pre-aggregations that would have answered logged statements",
        "cubewire rollups suggest --from query.log --write",
    )
    suggest.add_argument(
        "--from",
        dest="log",
        type=Path,
        required=True,
        metavar="FILE",
        help="statement log (log.format: json, log.sql: true); - reads standard input",
    )
    suggest.add_argument("--most", type=int, default=5, metavar="N", help="at most N (default: 5)")
    suggest.add_argument("--write", action="store_true", help="write them into the model's files")
    add_configuration(suggest)
    add_format(suggest)


def _add_named(actions: Commands, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
    parser = add_command(actions, name, purpose, example)
    parser.add_argument("names", nargs="*", metavar="NAME", help="cube.name (default: all)")
    add_configuration(parser)
    add_format(parser)
    return parser


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MOMENT",
        help="only partitions with moments from this one on (ISO 8601; UTC without a zone)",
    )
    parser.add_argument("--to", dest="end", metavar="MOMENT", help="and before this one")
