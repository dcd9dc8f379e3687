"""Every expression means in DuckDB what it means in PostgreSQL: the same type, the same text."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest

from connectors.errors import WarehouseError
from semantic.errors import SemanticError
from tests.expressions.bench import Bench, comparable, lines
from tests.support.oracle import OraclePostgres


@pytest.fixture(scope="module")
def bench(oracle: OraclePostgres) -> Iterator[Bench]:
    made = Bench.start(oracle.dsn)
    yield made
    made.close()


def check(bench: Bench, line: str, rest: str) -> None:
    """Behind ``~`` a number's last zeros may differ, or a double's last bits."""
    loose = line.startswith("~ ")
    text = line.removeprefix("~ ")
    kind, expected = bench.expected(text, rest)
    actual = [comparable(value, kind) for value in bench.actual(text, rest, kind)]
    if loose and kind == "numeric":
        assert [same_number(value) for value in actual] == [same_number(v) for v in expected]
    elif loose:
        assert [value is None for value in actual] == [value is None for value in expected]
        pairs = zip(actual, expected, strict=True)
        ours = [float(str(one)) for one, two in pairs if two is not None]
        assert ours == pytest.approx([float(v) for v in expected if v is not None], rel=1e-12)
    else:
        assert actual == expected


def same_number(text: object) -> Decimal | None:
    return None if text is None else Decimal(str(text))


SCALARS = [
    line
    for name in (
        "operators",
        "casts",
        "conditions",
        "strings",
        "numbers",
        "dates",
        "formats",
        "arrays",
        "patterns",
        "json",
        "windows",
        "tools",
    )
    for line in lines(f"{name}.txt")
]


@pytest.mark.parametrize("text", SCALARS)
def test_each_row(bench: Bench, text: str) -> None:
    check(bench, text, "FROM t ORDER BY id")


AGGREGATES = [*lines("aggregates.txt"), *lines("tools_aggregates.txt")]


@pytest.mark.parametrize("text", AGGREGATES)
def test_groups(bench: Bench, text: str) -> None:
    check(bench, text, "FROM t")
    check(bench, text, "FROM t GROUP BY g ORDER BY g")
    check(bench, text, "FROM t WHERE id = 4")
    check(bench, text, "FROM t WHERE false")


@pytest.mark.parametrize("line", [*SCALARS, *AGGREGATES])
def test_postgres_as_the_warehouse(bench: Bench, line: str) -> None:
    text = line.removeprefix("~ ")
    rest = "FROM t" if line in AGGREGATES else "FROM t ORDER BY id"
    kind, expected = bench.expected(text, rest)
    assert bench.expected(bench.in_postgres(text, kind), rest) == (kind, expected)


@pytest.mark.parametrize("line", lines("errors.txt"))
def test_errors(bench: Bench, line: str) -> None:
    text, _, state = line.rpartition(" -- ")
    with pytest.raises(psycopg.Error) as theirs:
        bench.expected(text, "FROM t")
    assert theirs.value.sqlstate == state
    with pytest.raises((WarehouseError, SemanticError)) as ours:
        bench.failing(text)
    assert ours.value.sqlstate == state


@pytest.mark.parametrize("text", lines("refused.txt"))
def test_refused(bench: Bench, text: str) -> None:
    kind, _ = bench.expected(text, "FROM t WHERE false")
    with pytest.raises(SemanticError) as ours:
        bench.emitted(text, kind)
    assert ours.value.sqlstate in ("0A000", "42501")


@pytest.mark.parametrize("text", lines("refused_rows.txt"))
def test_refused_when_it_is_met(bench: Bench, text: str) -> None:
    with pytest.raises((WarehouseError, SemanticError)) as ours:
        bench.failing(text)
    assert ours.value.sqlstate in ("0A000", "22007")
