"""What it costs to understand a statement: compiler alone, analysis, and all of ``prepare``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.catalog.errors import CatalogError
from proxy.engine import Engine
from proxy.queries import Caller, type_of
from semantic.compiler.api import Analysis, ResultColumn
from semantic.errors import SemanticError
from tests.bench.engine import caller, open_bench_engine, open_engine_of
from tests.bench.large import CUBES, large_statements, write_configuration
from tests.bench.machine import percentile
from tests.bench.pace import Pace, run
from tests.bench.results import Figure
from tests.bench.statements import Named, bi_statements
from tests.bench.targets import CUBEWIRE, Field

# Statements as tools make them of a long list of marks, and of every column there is.
SHAPES = (
    Named(
        "IN over 1,000 values",
        "SELECT status, COUNT(*) AS n FROM orders WHERE id IN "
        f"({', '.join(str(number * 7) for number in range(1000))}) GROUP BY 1",
    ),
    Named(
        "200 columns",
        "SELECT "
        + ", ".join(
            f"{column} AS c{number}"
            for number, column in enumerate(
                ("status", "country", "qty + 1", "created_at", "rating", "amount", "id", "paid")
                * 25
            )
        )
        + " FROM orders",
    ),
)
FEW_CUBES = 10


@dataclass(slots=True)
class Times:
    """Seconds of every go, by stage."""

    cold: list[float] = field(default_factory=list)
    cold_processor: list[float] = field(default_factory=list)
    analysis: list[float] = field(default_factory=list)
    prepare: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    refused: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[float]] = field(default_factory=dict)


def measure(bench: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds over all statements, each as a text that was never seen before."""
    times = run(_measure(bench, 5 if pace.quick else 30))
    for name, reason in times.refused.items():
        yield Figure("compile", f"refused: {name}", CUBEWIRE, None, "", error=reason)
    if not times.cold:
        return
    for name, seconds in (
        ("cold", times.cold),
        ("cold, processor time", times.cold_processor),
        ("analysis by the catalog", times.analysis),
        ("whole prepare, cold", times.prepare),
        ("warm", times.warm),
    ):
        for percent in (50, 95, 99):
            value = percentile(seconds, percent) * 1000
            yield Figure("compile", f"{name}, p{percent}", CUBEWIRE, value, "ms")
    taken = len(bi_statements()) - len(times.refused)
    yield Figure("compile", "statements compiled", CUBEWIRE, taken, "")
    value, name = times.slowest
    yield Figure("compile", f"slowest median: {name}", CUBEWIRE, value * 1000, "ms")
    for name, seconds in times.shapes.items():
        yield Figure("compile", f"{name}, p50", CUBEWIRE, percentile(seconds, 50) * 1000, "ms")
    yield from _large_models(bench, 20 if pace.quick else 100)


def _large_models(bench: Field, rounds: int) -> Iterator[Figure]:
    """What the size of a model costs, when it is loaded and when a statement is compiled."""
    medians: dict[int, float] = {}
    for cubes in (FEW_CUBES, CUBES):
        config = write_configuration(bench.directory / f"large{cubes}", cubes)
        loading, medians[cubes] = run(_large_model(config, rounds))
        case = f"{cubes:,} cubes of 50 members, loading"
        yield Figure("compile", case, CUBEWIRE, loading, "s")
    for cubes, value in medians.items():
        yield Figure("compile", f"{cubes:,} cubes, cold p50", CUBEWIRE, value * 1000, "ms")
    case = f"{CUBES:,} cubes, cold p50 to that of {FEW_CUBES} cubes"
    yield Figure("compile", case, CUBEWIRE, medians[CUBES] / medians[FEW_CUBES], "")


async def _large_model(config: Path, rounds: int) -> tuple[float, float]:
    """Seconds until an engine serves the model, and the median of compiling."""
    times = Times()
    began = time.perf_counter()
    async with open_engine_of(config) as engine:
        loading = time.perf_counter() - began
        seconds = [
            await compile_unseen(engine, named, times)
            for _ in range(rounds)
            for named in large_statements(FEW_CUBES)
        ]
    return loading, percentile(seconds, 50)


async def _measure(bench: Field, rounds: int) -> Times:
    times = Times()
    async with open_bench_engine(bench) as engine:
        for named in bi_statements():
            try:
                await engine.prepare(named.sql, (), await caller(engine))
            except (SemanticError, CatalogError) as error:
                times.refused[named.name] = f"{error.sqlstate} {error.message}"
        taken = [named for named in bi_statements() if named.name not in times.refused]
        for named in taken:
            cold = []
            for _ in range(rounds):
                cold.append(await compile_unseen(engine, named, times))
                await _prepare(engine, named, times)
            times.cold += cold
            times.slowest = max(times.slowest, (percentile(cold, 50), named.name))
        for named in SHAPES:
            times.shapes[named.name] = [
                await compile_unseen(engine, named, Times()) for _ in range(rounds)
            ]
    return times


async def compile_unseen(
    engine: Engine, named: Named, times: Times, whose: Caller | None = None
) -> float:
    """Bind, analyse and compile one unseen text.

    Returns:
        Seconds of binding and compiling; the analysis is in ``times`` apart.
    """
    who, sql = whose or await caller(engine), named.unseen()
    compiler = who.scope.generation.compiler
    began, began_work = time.perf_counter(), time.thread_time()
    bound = compiler.bind(sql, who.semantic)
    seconds, work = time.perf_counter() - began, time.thread_time() - began_work
    assert bound is not None
    began = time.perf_counter()
    answer = await who.scope.catalog.analyse(bound.analysis_sql, (), who.overlay, who.user)
    times.analysis.append(time.perf_counter() - began)
    analysis = Analysis(
        tuple(type_of(oid) for oid in answer.parameter_oids),
        tuple(ResultColumn(name, type_of(oid, mod)) for name, oid, mod in answer.columns),
    )
    began, began_work = time.perf_counter(), time.thread_time()
    compiler.compile(bound, analysis, who.semantic)
    times.cold_processor.append(work + time.thread_time() - began_work)
    return seconds + time.perf_counter() - began


async def _prepare(engine: Engine, named: Named, times: Times) -> None:
    """The whole of it through the engine, and again from its cache."""
    who, sql = await caller(engine), named.unseen()
    began = time.perf_counter()
    await engine.prepare(sql, (), who)
    times.prepare.append(time.perf_counter() - began)
    began = time.perf_counter()
    await engine.prepare(sql, (), who)
    times.warm.append(time.perf_counter() - began)
