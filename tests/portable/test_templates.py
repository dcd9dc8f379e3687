"""Every template of every portable dialect means what PostgreSQL means, on the real engine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from semantic.errors import UnsupportedError
from tests.portable.bench import Bench, columns_of, rows_of
from tests.portable.expressions import aggregates, scalars, windows
from tests.portable.laboratory import LABORATORIES, Laboratory
from tests.support.oracle import OraclePostgres

pytestmark = pytest.mark.timeout(600)  # engines in processes of their own, on a busy machine

ROWS = int(os.environ.get("PORTABLE_ROWS", "40"))
SEED = int(os.environ.get("PORTABLE_SEED", "1"))


@pytest.fixture(params=LABORATORIES, ids=lambda item: item.dialect)
async def trial(
    request: pytest.FixtureRequest, oracle: OraclePostgres, tmp_path: Path
) -> AsyncIterator[tuple[Laboratory, Bench]]:
    laboratory: Laboratory = request.param
    if laboratory.skip:
        pytest.skip(laboratory.skip)
    columns = columns_of(laboratory.types)
    rows = rows_of(columns, ROWS, SEED)
    async with laboratory.open(tmp_path, columns, rows) as connector:
        with Bench.fill(oracle.dsn, columns, rows) as postgres:
            yield laboratory, Bench(postgres, connector, dict(columns))


async def _differences(
    trial: tuple[Laboratory, Bench], texts: list[tuple[str, str]], rests: tuple[str, ...]
) -> list[str]:
    laboratory, bench = trial
    found = []
    for key, text in texts:
        states = (states for start, states in laboratory.refuses.items() if key.startswith(start))
        refuses = next(states, frozenset())
        for rest in rests:
            difference = await bench.compare(text, rest, refuses)
            if difference:
                found.append(f"{key}: {text} {rest}: {difference}")
    return found


def _none(differences: list[str]) -> None:
    assert not differences, "\n".join(differences)


async def test_rows(trial: tuple[Laboratory, Bench]) -> None:
    laboratory, bench = trial
    texts = list(scalars(bench.tables, laboratory.types))
    assert len(texts) > 100
    _none(await _differences(trial, texts, ("ORDER BY id",)))


async def test_groups(trial: tuple[Laboratory, Bench]) -> None:
    laboratory, bench = trial
    texts = list(aggregates(bench.tables, laboratory.types))
    assert len(texts) > 10
    rests = ("", "WHERE id < 0", "GROUP BY bool_1 ORDER BY bool_1")
    _none(await _differences(trial, texts, rests))


async def test_windows(trial: tuple[Laboratory, Bench]) -> None:
    laboratory, bench = trial
    texts = list(windows(bench.tables, laboratory.types))
    _none(await _differences(trial, texts, ("ORDER BY id",)))


async def test_keys(trial: tuple[Laboratory, Bench]) -> None:
    """Rows are told apart and sorted alike."""
    laboratory, bench = trial
    kinds = sorted(bench.tables.comparable.intersection(laboratory.types))
    found = []
    for kind in kinds:
        column = f"{kind}_1"
        order = "NULLS FIRST" if kind < "g" else "DESC NULLS LAST"
        found += await _differences(
            trial,
            [(kind, "count(*)"), (kind, column)],
            (f"GROUP BY {column} ORDER BY {column} {order}",),
        )
        found += await _differences(trial, [(kind, "id")], (f"ORDER BY {column} {order}, id",))
    _none(found)


async def test_what_is_not_in_the_tables_is_refused(trial: tuple[Laboratory, Bench]) -> None:
    _, bench = trial
    for text in ("md5(text_1)", "avg(int4_1)", "random()", "text_1 ~ 'a'", "text_1 LIKE text_2"):
        kind, _ = bench.expected(text, "LIMIT 0")
        with pytest.raises(UnsupportedError):
            bench.emitted(text, kind, "")
