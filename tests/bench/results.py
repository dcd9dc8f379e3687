"""What was measured, what it should be, and how that is shown."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.targets import CUBEWIRE, POSTGRES


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        measure: the name that ``--only`` takes.
        case: what was done, within the measure.
        target: which server did it.
        ratio: to PostgreSQL in the same minute, where both were measured.
        error: why there is no number.
    """

    measure: str
    case: str
    target: str
    value: float | None
    unit: str
    ratio: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of ours has to be: its value or its ratio, at least or at most a bound."""

    bound: float
    at_least: bool = False
    ratio: bool = False

    def met(self, figure: Figure) -> bool:
        got = figure.ratio if self.ratio else figure.value
        if got is None:
            return False
        compare = operator.ge if self.at_least else operator.le
        return bool(compare(got, self.bound))

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g}" + (" of PostgreSQL" if self.ratio else "")


def _ratio(bound: float) -> Goal:
    return Goal(bound, at_least=True, ratio=True)


GOALS: dict[tuple[str, str], Goal] = {
    ("compile", "cold, p50"): Goal(3.0),
    ("compile", "cold, p95"): Goal(8.0),
    ("compile", "warm, p50"): Goal(0.1),
    ("compile", "IN over 1,000 values, p50"): Goal(20.0),
    ("compile", "200 columns, p50"): Goal(15.0),
    ("compile", "1,000 cubes of 50 members, loading"): Goal(10.0),
    ("compile", "1,000 cubes, cold p50 to that of 10 cubes"): Goal(1.5),
    ("compile-list", "all, p50"): Goal(3.0),
    ("compile-list", "all, p95"): Goal(10.0),
    ("compile-list", "all, slowest"): Goal(50.0),
    ("policies", "p50 with policies to that without"): Goal(1.3),
    ("secure", "logins, 8 at a time"): Goal(500.0, at_least=True),
    ("secure", "processor time of a login"): Goal(2.0),
    ("secure", "idle, of 5,000"): Goal(40.0),
    ("stream", "DuckDB, text"): _ratio(0.7),
    ("stream", "DuckDB, binary"): _ratio(0.5),
    ("stream", "PostgreSQL, text"): _ratio(0.2),
    ("stream", "PostgreSQL, binary"): _ratio(0.2),
    ("cache", "hit, simple, 32 clients, to pgbouncer"): Goal(1.0, at_least=True),
    ("cache", "hit, extended, 32 clients, to pgbouncer"): Goal(0.7, at_least=True),
    ("cache", "hit, prepared, 32 clients, to pgbouncer"): Goal(0.7, at_least=True),
    ("cache-cost", "hit, simple, 32 clients, to pgbouncer and its server"): Goal(1.0),
    ("cache-cost", "hit, extended, 32 clients, to pgbouncer and its server"): Goal(1.0),
    ("cache-latency", "from memory, p50"): Goal(0.1),
    ("cache-latency", "from Redis, p50"): Goal(0.5),
    ("cache-stream", "from the cache, text"): _ratio(1.0),
    ("cache-stream", "from the cache, binary"): _ratio(0.7),
    ("cache-stream", "from the cache, 32 columns"): _ratio(0.8),
    ("rollups", "all, the smallest of the times"): Goal(50.0, at_least=True),
    ("crowd", "200 clients, 20 statements, cold: runs of each"): Goal(1.0),
    ("memory", "10M rows from DuckDB, text"): Goal(200.0),
    ("memory", "10M rows from DuckDB, binary"): Goal(200.0),
    ("memory", "10M rows from PostgreSQL, text"): Goal(200.0),
    ("idle", "per connection of 1000"): Goal(20.0),
    ("connect", "8 at a time"): Goal(2000.0, at_least=True),
    ("start", "warm"): Goal(3.0),
    ("neighbours", "beside 4 slow queries, p99"): Goal(15.0),
    ("neighbours", "beside 2 streams, p99"): Goal(15.0),
    ("first-byte", "DuckDB, later than its first batch"): Goal(10.0),
    ("first-byte", "PostgreSQL, later than its first batch"): Goal(10.0),
}


def goal_of(figure: Figure) -> Goal | None:
    """What the figure has to be, if anything."""
    return GOALS.get((figure.measure, figure.case)) if figure.target == CUBEWIRE else None


def missed(figures: Iterable[Figure]) -> list[Figure]:
    """Figures of ours that are not what they have to be, or are missing."""
    return [f for f in figures if (goal := goal_of(f)) is not None and not goal.met(f)]


def as_json(figures: Iterable[Figure], machine: dict[str, Any], skipped: dict[str, str]) -> Any:
    """Everything, for programs."""
    rows = []
    for figure in figures:
        row: dict[str, Any] = {k: v for k, v in asdict(figure).items() if v not in (None, "")}
        goal = goal_of(figure)
        if goal is not None:
            row |= {"goal": str(goal), "met": goal.met(figure)}
        rows.append(row)
    return {"machine": machine, "skipped": skipped, "figures": rows}


def show(figures: list[Figure], console: Console) -> None:
    """A table per measure: a line per case, a column per server."""
    for measure in dict.fromkeys(figure.measure for figure in figures):
        own = [figure for figure in figures if figure.measure == measure]
        targets = list(dict.fromkeys(f.target for f in own))
        targets.sort(key=lambda name: (name != CUBEWIRE, name != POSTGRES))
        table = Table(title=measure, title_justify="left", header_style="bold")
        table.add_column("", no_wrap=True)
        for name in targets:
            table.add_column(name, justify="right")
        table.add_column("ratio", justify="right")
        table.add_column("goal")
        for case in dict.fromkeys(figure.case for figure in own):
            by_target = {figure.target: figure for figure in own if figure.case == case}
            table.add_row(case, *_cells(by_target, targets))
        console.print(table)


def _cells(by_target: dict[str, Figure], targets: list[str]) -> list[str]:
    cells = [_cell(by_target.get(name)) for name in targets]
    ours = by_target.get(CUBEWIRE)
    cells.append("" if ours is None or ours.ratio is None else f"{ours.ratio:.2f}")
    goal = None if ours is None else goal_of(ours)
    if goal is None or ours is None:
        cells.append("")
    else:
        cells.append(f"{goal} [green]met[/]" if goal.met(ours) else f"{goal} [red]missed[/]")
    return cells


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.value is None:
        return f"[red]{figure.error[:40]}[/]"
    return f"{_number(figure.value)} {figure.unit}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
