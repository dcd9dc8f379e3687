"""What ``cubewire rollups`` prints: tables and a progress bar for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from connectors.rollup_store import PartKey, StoredTable
from proxy.rollups.builder import PartOutcome
from proxy.rollups.planning import PartPlan, RollupPlan
from proxy.rollups.schedule import next_look
from semantic.compiler.rollups.api import RollupDefinition

_WIDE = 240


class Progress:
    """How far a build has come: a bar on a terminal, a line per part elsewhere.

    Args:
        plans: what is going to be built.
        quiet: print nothing but the end.
    """

    def __init__(self, plans: Sequence[RollupPlan], *, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._bars: Bars | None = None
        if self._console.is_terminal and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bars = Bars(*columns, TimeElapsedColumn(), console=self._console)
            self._tasks = {
                plan.definition.name: self._bars.add_task(
                    plan.definition.name, total=len(plan.parts)
                )
                for plan in plans
            }

    def __enter__(self) -> Progress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, outcome: PartOutcome) -> None:
        """A part is done."""
        if self._bars is not None:
            self._bars.advance(self._tasks[outcome.key.rollup])
        elif not self._quiet and outcome.status != "kept":
            rows = "" if outcome.stored is None else f", {outcome.stored.rows:,} rows"
            self._console.print(
                f"{outcome.key.rollup} {part_text(outcome.key)}: {outcome.status}{rows}",
                soft_wrap=True,
            )


def print_outcomes(outcomes: Sequence[PartOutcome], *, as_json: bool) -> None:
    """What became of each part of a build."""
    if as_json:
        _print_json([_outcome(each) for each in outcomes])
        return
    counts = {
        status: sum(each.status == status for each in outcomes)
        for status in ("built", "confirmed", "kept", "taken", "failed")
    }
    print(", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing")
    for each in outcomes:
        if each.error is not None:
            print(f"{each.key.rollup} {part_text(each.key)}: {each.error}")


def print_list(
    definitions: Iterable[RollupDefinition], stored: Sequence[StoredTable], *, as_json: bool
) -> None:
    """Each pre-aggregation, and what is built of its present version."""
    found = [_listed(definition, stored) for definition in definitions]
    if as_json:
        _print_json(found)
        return
    table = Table("name", "kind", "partition", "refresh", "parts", "rows", "bytes", box=None)
    for each in found:
        table.add_row(*(str(each[name] or "") for name in table_columns(table)))
    _print(table)


def table_columns(table: Table) -> list[str]:
    """The headings of a table, which are the keys of what it shows."""
    return [str(column.header) for column in table.columns]


def print_status(plans: Iterable[RollupPlan], now: float, *, as_json: bool) -> None:
    """Each part: what it covers, how old it is, what it needs."""
    found = [_status(plan, part) for plan in plans for part in plan.parts]
    if as_json:
        _print_json(found)
        return
    table = Table("rollup", "part", "rows", "age", "state", "due", box=None)
    for plan in plans:
        for part in plan.parts:
            age = "" if part.stored is None else _span(now - part.stored.checked_at)
            due = _due(plan.definition, part)
            table.add_row(
                plan.definition.name,
                part_text(part.key),
                "" if part.stored is None else f"{part.stored.rows:,}",
                age,
                part.verdict.value,
                "" if due is None else _moment(due),
            )
    _print(table)


def print_plans(plans: Iterable[RollupPlan], *, as_json: bool) -> None:
    """What a build would do."""
    if as_json:
        _print_json([_plan(plan) for plan in plans])
        return
    for plan in plans:
        needed = [part for part in plan.parts if part.verdict.builds or part.verdict.value == "ask"]
        print(f"{plan.definition.name}: {len(needed)} of {len(plan.parts)} parts")
        for part in needed:
            print(f"  {part_text(part.key)}: {part.verdict.value}")
        for name, tables in (("outside its range", plan.outside), ("old", plan.superseded)):
            if tables:
                print(f"  {len(tables)} tables that are {name} would be retired")


def print_dropped(tables: Sequence[StoredTable], *, as_json: bool) -> None:
    """Which tables are no longer used."""
    if as_json:
        _print_json([{**_key(table.key), "table": table.table} for table in tables])
    else:
        print(f"{len(tables)} tables dropped")


def part_text(key: PartKey) -> str:
    """A part for people."""
    if key.bounds == (None, None):
        return "whole"
    return " to ".join(
        "..." if bound is None else f"{bound:%Y-%m-%d %H:%M}" for bound in key.bounds
    )


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        # Whoever reads it has no width.
        console = Console(width=_WIDE)
    console.print(table)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _key(key: PartKey) -> dict[str, Any]:
    start, end = (None if bound is None else bound.isoformat() for bound in key.bounds)
    return {"rollup": key.rollup, "version": key.version, "start": start, "end": end}


def _outcome(outcome: PartOutcome) -> dict[str, Any]:
    found = {**_key(outcome.key), "status": outcome.status, "error": outcome.error}
    return found if outcome.stored is None else {**found, **_stored(outcome.stored)}


def _stored(stored: StoredTable) -> dict[str, Any]:
    return {
        "table": stored.table,
        "rows": stored.rows,
        "bytes": stored.bytes,
        "built_at": _moment(stored.built_at),
        "checked_at": _moment(stored.checked_at),
        "seconds": round(stored.seconds, 3),
        "refresh_key": stored.refresh_key,
    }


def _listed(definition: RollupDefinition, stored: Sequence[StoredTable]) -> dict[str, Any]:
    own = [
        table
        for table in stored
        if (table.key.rollup, table.key.version) == (definition.name, definition.version)
    ]
    key = definition.refresh_key
    refresh = "default" if key is None else "never" if key.immutable else key.every or "sql"
    return {
        "name": definition.name,
        "kind": definition.kind,
        "version": definition.version,
        "partition": definition.partition,
        "refresh": refresh,
        "columns": [column.name for column in definition.columns],
        "problem": definition.problem,
        "unstored": [{"member": name, "reason": why} for name, why in definition.unstored],
        "parts": len(own),
        "rows": sum(table.rows for table in own),
        "bytes": sum(table.bytes for table in own),
    }


def _status(plan: RollupPlan, part: PartPlan) -> dict[str, Any]:
    due = _due(plan.definition, part)
    found = {
        **_key(part.key),
        "state": part.verdict.value,
        "due": None if due is None else _moment(due),
    }
    return found if part.stored is None else {**found, **_stored(part.stored)}


def _plan(plan: RollupPlan) -> dict[str, Any]:
    return {
        "rollup": plan.definition.name,
        "version": plan.definition.version,
        "parts": [_status(plan, part) for part in plan.parts],
        "retire": [table.table for table in (*plan.outside, *plan.superseded)],
    }


def _due(definition: RollupDefinition, part: PartPlan) -> float | None:
    if part.stored is None or part.verdict.value == "closed":
        return None
    return next_look(definition.refresh_key, part.stored.checked_at)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _span(seconds: float) -> str:
    """An age for people."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
