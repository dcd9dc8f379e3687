"""What it costs to compile the statements that the tests answer: those of tools, and TPC-H."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.catalog.errors import CatalogError
from proxy.demo import ensure_demo
from semantic.errors import SemanticError
from tests.bench.engine import caller, open_engine_of
from tests.bench.machine import percentile
from tests.bench.measures.compiling import Times, compile_unseen
from tests.bench.pace import Pace, run
from tests.bench.results import Figure
from tests.bench.statements import Named
from tests.bench.targets import CUBEWIRE, USER, Field
from tests.support.queries import read_queries
from tests.support.server import REPOSITORY
from tests.tpch.data import tpch_folder

_TESTS = REPOSITORY / "tests"
_SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Medians:
    """Of the goes of one statement: seconds that passed, and seconds of the processor."""

    passed: float
    processor: float


def statements(folder: Path) -> list[Named]:
    """Those of the files below a folder that are answered."""
    return [
        Named(query.where, query.sql.rstrip(";"))
        for path in sorted(folder.rglob("*.slt"))
        for query in read_queries(path)
        if query.check and not query.script and not query.known
    ]


def measure(bench: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds of each statement's median go, as a text that was never seen before."""
    rounds = 3 if pace.quick else 15
    demo = ensure_demo(REPOSITORY / ".cubewire", lambda *_: None)
    medians = run(
        _measure(
            _configure(bench.directory, "demo", REPOSITORY / "cube_models", demo),
            statements(_TESTS / "e2e" / "testdata" / "queries"),
            rounds,
        )
    )
    medians |= run(
        _measure(
            _configure(
                bench.directory, "tpch", _TESTS / "tpch" / "models", tpch_folder() / "tpch.duckdb"
            ),
            statements(_TESTS / "tpch" / "testdata"),
            rounds,
        )
    )
    for what, values in (
        ("all", [each.passed for each in medians.values()]),
        ("processor time", [each.processor for each in medians.values()]),
    ):
        for name, value in (
            ("p50", percentile(values, 50)),
            ("p95", percentile(values, 95)),
            ("slowest", max(values)),
        ):
            yield Figure("compile-list", f"{what}, {name}", CUBEWIRE, value * 1000, "ms")
    yield Figure("compile-list", "statements", CUBEWIRE, len(medians), "")
    for name in sorted(medians, key=lambda each: -medians[each].processor)[:_SLOWEST]:
        value = medians[name].processor * 1000
        yield Figure("compile-list", f"processor time of {name}", CUBEWIRE, value, "ms")


async def _measure(config: Path, listed: list[Named], rounds: int) -> dict[str, Medians]:
    """Seconds of binding and compiling by statement."""
    medians: dict[str, Medians] = {}
    async with open_engine_of(config) as engine:
        for named in listed:
            try:
                await engine.prepare(named.sql, (), await caller(engine))
                times = Times()
                goes = [await compile_unseen(engine, named, times) for _ in range(rounds)]
            except (SemanticError, CatalogError) as error:
                raise RuntimeError(f"{named.name}: {error}") from error
            medians[named.name] = Medians(
                percentile(goes, 50), percentile(times.cold_processor, 50)
            )
    return medians


def _configure(folder: Path, name: str, models: Path, warehouse: Path) -> Path:
    path = folder / f"{name}.yml"
    configuration = {
        "database": name,
        "models": str(models),
        "state_directory": str(folder / f"{name}-state"),
        "auth": {"users": {USER: {"password": USER}}},
        "data_sources": {"default": {"type": "duckdb", "path": str(warehouse), "read_only": True}},
    }
    path.write_text(json.dumps(configuration))
    return path
