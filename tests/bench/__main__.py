"""``python -m tests.bench``: what ``make bench`` runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.bench.client import ReplyError
from tests.bench.machine import OthersShare, description, many_files
from tests.bench.measures import (
    caching,
    compiling,
    compiling_lists,
    connections,
    governing,
    neighbours,
    rollups,
    secure,
    starting,
    streams,
    throughput,
)
from tests.bench.pace import Pace
from tests.bench.results import Figure, as_json, missed, show
from tests.bench.targets import BUENAVISTA, CUBEWIRE, PGBOUNCER, RIFFQ, Field, open_field

Measure = Callable[[Field, Pace], Iterator[Figure]]

# Those that start our server anew come last: the others share one that has warmed up.
MEASURES: dict[str, Measure] = {
    "compile": compiling.measure,
    "compile-list": compiling_lists.measure,
    "policies": governing.measure,
    "throughput": throughput.measure,
    "cache": caching.hits,
    "cache-cost": caching.costs,
    "cache-stream": caching.rates,
    "crowd": caching.crowd,
    "cache-latency": caching.latencies,
    "rollups": rollups.measure,
    "stream": streams.rates,
    "first-byte": streams.first_bytes,
    "connect": connections.rates,
    "neighbours": neighbours.measure,
    "memory": streams.memory,
    "idle": connections.idle,
    "secure": secure.measure,
    "start": starting.measure,
}
PEERS = (PGBOUNCER, BUENAVISTA, RIFFQ)
WITH_PEERS = frozenset(
    {"throughput", "cache", "cache-cost", "stream", "connect", "neighbours", "idle"}
)


def main() -> int:
    arguments = _arguments()
    chosen = arguments.only or list(MEASURES)
    pace = Pace.hurried() if arguments.quick else Pace()
    many_files()
    machine = description() | {"others": {}}
    notes = Console(stderr=True, soft_wrap=True)
    figures: list[Figure] = []
    wanted = bool(WITH_PEERS & set(chosen)) and not arguments.no_peers
    with tempfile.TemporaryDirectory(prefix="cubewire-bench-") as folder:
        notes.print("starting servers, making 1M rows ...")
        field = open_field(Path(folder), dict.fromkeys(PEERS, wanted))
        try:
            for name in chosen:
                began, others = time.monotonic(), OthersShare()
                for figure in _measured(name, field, pace):
                    figures.append(figure)
                    notes.print(_line(figure), highlight=False)
                machine["others"][name] = round(others.so_far(), 2)
                notes.print(
                    f"{name}: {time.monotonic() - began:.0f} s; "
                    f"other processes took {others.so_far():.0%} of the machine",
                    style="dim",
                )
        finally:
            field.close()
    machine["load_after"] = round(os.getloadavg()[0], 2)
    report = json.dumps(as_json(figures, machine, field.skipped), indent=1)
    if arguments.out is not None:
        arguments.out.write_text(report + "\n")
    if arguments.format == "json":
        print(report)
    else:
        _show(figures, field.skipped, machine)
    return 1 if arguments.strict and missed(figures) else 0


def _measured(name: str, field: Field, pace: Pace) -> Iterator[Figure]:
    """One measurement; where it breaks off, the others still run."""
    try:
        yield from MEASURES[name](field, pace)
    except (ReplyError, OSError, RuntimeError) as error:
        yield Figure(name, "broken off", CUBEWIRE, None, "", error=str(error))


def _show(figures: list[Figure], skipped: dict[str, str], machine: dict[str, object]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 150)
    show(figures, console)
    for name, reason in skipped.items():
        console.print(f"skipped {name}: {reason}")
    for figure in missed(figures):
        console.print(f"missed: {figure.measure}, {figure.case}", style="red")
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), style="dim")


def _line(figure: Figure) -> str:
    got = figure.error or f"{figure.value:.4g} {figure.unit}"
    ratio = "" if figure.ratio is None else f" ({figure.ratio:.2f} of PostgreSQL)"
    return f"  {figure.measure} · {figure.case} · {figure.target}: {got}{ratio}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure this server beside PostgreSQL and its peers on this machine.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(MEASURES),
        metavar="NAME",
        help=f"one measurement, repeatable: {', '.join(MEASURES)}",
    )
    parser.add_argument("--quick", action="store_true", help="shorter and less exact")
    parser.add_argument("--no-peers", action="store_true", help="PostgreSQL and this server only")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there as well")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
