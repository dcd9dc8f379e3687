"""Nothing reaches a warehouse unread: every way around a cube is answered rightly or refused.

``doors.txt`` holds statements with the SQLSTATE that both warehouses' servers give, or ``ok``. None
of them may end in an internal error, or in a complaint of the warehouse about our own SQL.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.harness import Laboratory

DOORS = Path(__file__).with_name("doors.txt")


def doors() -> list[tuple[str, str]]:
    lines = [line for line in DOORS.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.partition(" ")[::2] for line in lines]
    return [(sql.replace("\\n", "\n"), state) for state, sql in pairs]


@pytest.mark.parametrize(("sql", "state"), doors())
def test_doors(lab: Laboratory, sql: str, state: str) -> None:
    for name, client in lab.ours.items():
        answer = client.ask(sql)
        assert (answer.sqlstate or "ok") == state, f"{name}: {answer}"


def test_the_list_is_about_refusals() -> None:
    states = [state for _, state in doors()]
    assert "XX000" not in states
    assert states.count("ok") < len(states) / 3
