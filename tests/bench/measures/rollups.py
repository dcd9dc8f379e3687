"""TPC-H dashboards from pre-aggregations, beside the same from the source, on the same DuckDB."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import client
from tests.bench.pace import Pace, run
from tests.bench.results import Figure
from tests.bench.targets import COMMAND, CUBEWIRE, Field, Target
from tests.tpch.data import SCALE, tpch_folder

HERE = Path(__file__).parents[1]
MODELS = (HERE.parent / "tpch" / "models", HERE / "dashboards")
TIMES = 20
"""A statement is answered from the rollup so many times for once from the source."""
BUILD_SECONDS = 600
USERS = 8
TURN_SECONDS = 3.0
"""Long enough for some dashboards from the source too."""

_PRICING = """
SELECT l_returnflag, l_linestatus, MEASURE(quantity) AS sum_qty,
  MEASURE(base_price) AS sum_base_price, MEASURE(revenue) AS sum_disc_price,
  MEASURE(charge) AS sum_charge,{averages} MEASURE(count) AS count_order
FROM dashboard WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL '90 days'
GROUP BY 1, 2 ORDER BY 1, 2
"""
_AVERAGES = """
  MEASURE(average_quantity) AS avg_qty, MEASURE(average_price) AS avg_price,
  MEASURE(average_discount) AS avg_disc,"""
_SEGMENT = """
SELECT o_orderdate, MEASURE(revenue) AS revenue FROM dashboard
WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15'
GROUP BY o_orderdate ORDER BY revenue DESC, o_orderdate LIMIT 10
"""
_NATIONS = """
SELECT n_name, MEASURE(revenue) AS revenue FROM dashboard
WHERE r_name = 'ASIA' AND is_local AND o_orderdate >= DATE '1994-01-01'
  AND o_orderdate < DATE '1994-01-01' + INTERVAL '1 year'
GROUP BY n_name ORDER BY revenue DESC
"""
DASHBOARDS = {
    "Q1": ("sold.pricing", _PRICING.format(averages=_AVERAGES)),
    "Q1 without averages": ("sold.pricing", _PRICING.format(averages="")),
    "Q3, by day": ("sold.segments", _SEGMENT),
    "Q5": ("sold.nations", _NATIONS),
}
"""By name, the pre-aggregation that answers it, and the statement."""


def measure(field: Field, pace: Pace) -> Iterator[Figure]:
    """Milliseconds of each statement with rollups off and on, and how many times that is.

    The result cache is off, and the statements are known to the server in either case.
    """
    config = _configured(field, SCALE if pace.quick else 1)
    yield Figure("rollups", "building them", CUBEWIRE, _build(config), "s")
    target = field.start_with(config)
    smallest = []
    for name, (rollup, sql) in DASHBOARDS.items():
        source, stored, times = _compared(target, rollup, sql, pace.rounds)
        yield Figure("rollups", f"{name}, source", CUBEWIRE, source * 1000, "ms")
        yield Figure("rollups", f"{name}, rollup", CUBEWIRE, stored * 1000, "ms")
        yield Figure("rollups", f"{name}, times", CUBEWIRE, times, "times")
        smallest.append(times)
    yield Figure("rollups", "all, the smallest of the times", CUBEWIRE, min(smallest), "times")
    yield from _by_many(target, pace.rounds)


def _by_many(target: Target, rounds: int) -> Iterator[Figure]:
    """Dashboards of all the statements that several users at once get in a second."""
    case = f"dashboards by {USERS} users"
    pairs = [
        (run(_dashboards(target, "off")), run(_dashboards(target, "on"))) for _ in range(rounds)
    ]
    source, stored = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    yield Figure("rollups", f"{case}, source", CUBEWIRE, source, "/s")
    yield Figure("rollups", f"{case}, rollup", CUBEWIRE, stored, "/s")
    times = statistics.median(second / first for first, second in pairs)
    yield Figure("rollups", f"{case}, times", CUBEWIRE, times, "times")


async def _dashboards(target: Target, mode: str) -> float:
    """Dashboards a second; each user asks for the next statement when the last is answered."""
    tiles = [client.simple(sql) for _, sql in DASHBOARDS.values()]
    connected = [await target.connect_async() for _ in range(USERS)]
    began = time.perf_counter()

    async def use(connection: client.AsyncClient, tile: int) -> int:
        await connection.ask(client.simple("SET cubewire.cache = 'off'"))
        await connection.ask(client.simple(f"SET cubewire.rollups = '{mode}'"))
        done = 0
        while time.perf_counter() < began + TURN_SECONDS:
            await connection.ask(tiles[(tile + done) % len(tiles)])
            done += 1
        return done

    try:
        done = await asyncio.gather(*(use(each, tile) for tile, each in enumerate(connected)))
        return sum(done) / len(tiles) / (time.perf_counter() - began)
    finally:
        for each in connected:
            each.close()


def _configured(field: Field, scale: float) -> Path:
    """The configuration of a server over TPC-H that builds no rollups by itself."""
    models = field.directory / "tpch-models"
    for folder in MODELS:
        shutil.copytree(folder, models, dirs_exist_ok=True)
    database = tpch_folder(scale) / "tpch.duckdb"
    return field.configured(
        models=str(models),
        state_directory=str(field.directory / "tpch-state"),
        data_sources={"default": {"type": "duckdb", "path": str(database)}},
        rollups={"refresh": "off"},
    )


def _build(config: Path) -> float:
    """Build all that the model declares, as an operator does. Returns seconds."""
    command = [str(COMMAND), "rollups", "build", "--config", str(config)]
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the rollups were not built: {done.stdout}{done.stderr}")
    return time.perf_counter() - began


def _compared(target: Target, rollup: str, sql: str, rounds: int) -> tuple[float, float, float]:
    """Seconds from the source, from the rollup, and the median of the rounds' ratios."""
    connection = target.connect()
    request = client.simple(sql)
    sources, storeds = [], []
    try:
        _ask(connection, "SET cubewire.cache = 'off'")
        answers = {}
        for mode in ("off", "on"):
            _ask(connection, f"SET cubewire.rollups = '{mode}'")
            used = _ask(connection, f"EXPLAIN {sql}")
            if (f"Rollups: {rollup}".encode() in used) != (mode == "on"):
                raise client.ReplyError(f"with rollups {mode}, {rollup} was not where it should be")
            answers[mode] = _ask(connection, sql)
        if answers["off"] != answers["on"]:
            raise client.ReplyError(f"{rollup} gives another answer than the source")
        rows = client.count_rows(answers["off"])
        if not rows:
            raise client.ReplyError(f"{rollup}: no rows")
        for _ in range(rounds):
            _ask(connection, "SET cubewire.rollups = 'off'")
            sources.append(connection.ask(request, rows))
            _ask(connection, "SET cubewire.rollups = 'on'")
            storeds.append(statistics.median(connection.ask(request, rows) for _ in range(TIMES)))
    finally:
        connection.close()
    ratios = [source / stored for source, stored in zip(sources, storeds, strict=True)]
    return statistics.median(sources), statistics.median(storeds), statistics.median(ratios)


def _ask(connection: client.BlockingClient, sql: str) -> bytes:
    """The reply to a statement. Raises ReplyError where it is an error."""
    reply = connection.reply_to(client.simple(sql))
    client.count_rows(reply)
    return reply
