from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.security.twins import MARKER, SOURCES, VISIBLE, Twins, rows_of, twins
from tests.support.oracle import OraclePostgres

CORPUS = Path(__file__).with_name("attacks.txt")


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    user: str
    expected: str
    sql: str


def read_corpus() -> list[Attack]:
    found: list[Attack] = []
    for line in CORPUS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        parts = line.split(" :: ", 2)
        if len(parts) == 3:
            user, expected = parts[1].split(" -> ")
            found.append(Attack(parts[0], user, expected, parts[2]))
        else:
            last = found.pop()
            found.append(Attack(last.name, last.user, last.expected, f"{last.sql}\n{line}"))
    return found


ATTACKS = read_corpus()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, oracle: OraclePostgres) -> Iterator[Twins]:
    with twins(tmp_path_factory.mktemp("twins"), oracle) as running:
        yield running


def test_names_are_unique() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: re.sub(r"\W+", "_", attack.name))
def test_attack(worlds: Twins, attack: Attack, source: str) -> None:
    seen = worlds.seen(attack.user, attack.sql.replace("{s}", source))
    expected = attack.expected.split("|")[-1 if source == "post" else 0]
    assert (seen.sqlstate or "rows") == expected, seen


def test_the_worlds_differ_and_that_would_be_seen(worlds: Twins) -> None:
    """Else none of this shows anything."""
    (people, sales), (others, others_sales) = rows_of(0), rows_of(1)
    assert set(people) & set(others) == set(VISIBLE)
    assert not set(sales) & set(others_sales)
    assert worlds.servers[0].port != worlds.servers[1].port
    with pytest.raises(AssertionError, match="can tell the worlds apart"):
        worlds.seen("tw_red", "SELECT clock_timestamp()")
    with pytest.raises(AssertionError, match="sees"):
        worlds.seen("tw_red", f"SELECT '{MARKER}' || 'x' AS told")


def test_logs_say_nothing_hidden(worlds: Twins) -> None:
    for server in worlds.servers:
        assert MARKER not in "\n".join(server.log)
