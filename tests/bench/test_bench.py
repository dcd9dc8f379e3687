"""What the measurements are made of: the statements, the ratios, the goals, the client."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from semantic.model.loader import load_model
from tests.bench import client
from tests.bench.machine import percentile
from tests.bench.measures import compiling_lists, rollups
from tests.bench.pace import Pace, compare
from tests.bench.results import GOALS, Figure, Goal, as_json, missed
from tests.bench.statements import bi_statements
from tests.bench.targets import CUBEWIRE, MODELS, POSTGRES, Target
from tests.support.server import REPOSITORY


def target(name: str) -> Target:
    return Target(name, "127.0.0.1", 1, "user", "database", 0)


def test_statements() -> None:
    statements = bi_statements()
    assert len(statements) >= 40
    assert len({each.name for each in statements}) == len(statements)
    assert statements[0].unseen() != statements[0].unseen()
    assert not any(";" in each.sql for each in statements)


def test_lists_of_what_the_tests_answer() -> None:
    tools = compiling_lists.statements(REPOSITORY / "tests" / "e2e" / "testdata" / "queries")
    tpch = compiling_lists.statements(REPOSITORY / "tests" / "tpch" / "testdata")
    assert len(tools) + len(tpch) >= 500
    assert len({each.name for each in tools + tpch}) == len(tools) + len(tpch)
    assert not any(each.sql.endswith(";") for each in tools + tpch)


def test_model() -> None:
    report = load_model(MODELS, {})
    assert report.model is not None, report.render_text()
    names = {cube.name for cube in report.model.cubes}
    assert {"orders", "orders_big", "orders_slow", "orders_few", "orders_pg"} <= names


def test_dashboards(tmp_path: Path) -> None:
    for folder in rollups.MODELS:
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    report = load_model(tmp_path, {})
    assert report.model is not None, report.render_text()
    stored = {
        f"{cube.name}.{item.name}" for cube in report.model.cubes for item in cube.pre_aggregations
    }
    assert {rollup for rollup, _ in rollups.DASHBOARDS.values()} == stored


def test_percentile() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, 50) == 51
    assert percentile(values, 99) == 100
    assert percentile([7.0], 99) == 7


def test_ratio_is_the_median_of_the_rounds_own() -> None:
    # The machine is half as fast in the second round: that is nobody's ratio.
    rates = {POSTGRES: iter((100.0, 50.0, 90.0)), CUBEWIRE: iter((80.0, 40.0, 72.0))}
    targets = [target(POSTGRES), target(CUBEWIRE)]
    found = compare("m", "c", "/s", Pace(3), targets, lambda each: next(rates[each.name]))
    postgres, ours = found
    assert (postgres.value, postgres.ratio) == (90, None)
    assert ours.value == 72
    assert ours.ratio == pytest.approx(0.8)


def test_a_target_that_fails_is_left_out() -> None:
    calls = []

    def once(each: Target) -> float:
        calls.append(each.name)
        if each.name == CUBEWIRE:
            raise client.ReplyError("no")
        return 1.0

    figures = list(compare("m", "c", "/s", Pace(3), [target(CUBEWIRE), target(POSTGRES)], once))
    assert calls.count(CUBEWIRE) == 1
    assert figures[0].error == "no"
    assert figures[1].value == 1


def test_goals() -> None:
    assert Goal(3.0).met(Figure("m", "c", CUBEWIRE, 3.0, "ms"))
    assert not Goal(0.7, at_least=True, ratio=True).met(Figure("m", "c", CUBEWIRE, 9.0, "/s", 0.6))
    assert not Goal(3.0).met(Figure("m", "c", CUBEWIRE, None, "ms", error="failed"))
    (measure, case), goal = next(iter(GOALS.items()))
    slow = Figure(measure, case, CUBEWIRE, goal.bound * 2, "ms")
    assert missed([slow, Figure(measure, case, POSTGRES, 1e9, "ms")]) == [slow]
    report = json.loads(json.dumps(as_json([slow], {}, {})))
    assert report["figures"][0]["met"] is False


def test_replies() -> None:
    row = client.message(b"D", struct.pack("!h", 0))
    ready = client.message(b"Z", b"I")
    assert client.count_rows(row * 3 + client.message(b"C", b"SELECT 3\0") + ready) == 3
    assert client.has_row(client.message(b"T", b"\0\0") + row[:5])
    assert not client.has_row(client.message(b"T", b"\0\0") + row[:4])
    error = client.message(b"E", b"SERROR\0C42601\0Mno\0\0")
    with pytest.raises(client.ReplyError, match="42601 no"):
        client.count_rows(error)


def test_requests() -> None:
    assert client.whole("SELECT 1").count(b"SELECT 1") == 1
    kinds = []
    rest = client.whole("SELECT 1", binary=True)
    while rest:
        kinds.append(rest[:1])
        rest = rest[1 + int.from_bytes(rest[1:5], "big") :]
    assert kinds == [b"P", b"B", b"D", b"E", b"S"]
