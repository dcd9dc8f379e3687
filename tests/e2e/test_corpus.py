"""Statements captured from real clients: our server answers them as PostgreSQL does.

Each client's statements go to both servers in the order and the protocol form in which they were
captured. Compared are the names and types of the columns, the SQLSTATE or command, the state of the
transaction, and the rows of what reads the shop's tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.replay import Answer, Captured, Replay, captured, clients, setup
from tests.e2e.shop import drop_plain_shop, make_plain_shop
from tests.e2e.targets import Pair, Target
from tests.support.oracle import OraclePostgres

DIFFERENT: list[tuple[str, str, str]] = []
"""Part of a statement, the SQLSTATE that our server gives it, and why."""

COMPARED_ROWS = ("data", "cursor", "copy")


@pytest.fixture(scope="module")
def shops(shop: Target, oracle: OraclePostgres) -> Iterator[Pair]:
    yield Pair(shop, make_plain_shop(oracle))
    drop_plain_shop(oracle)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in clients()])
def test_replay(path: Path, shops: Pair) -> None:
    ours, postgres = Replay(shops.ours), Replay(shops.postgres)
    problems: list[str] = []
    for statement in captured(path):
        for text in setup(statement.sql, postgres.status):
            ours.simple(text)
            postgres.simple(text)
        mine, theirs = ours.run(statement), postgres.run(statement)
        problem = difference(statement, mine, theirs)
        if ours.status != postgres.status and not problem and not expected(statement):
            problem = f"transaction is {ours.status}, not {postgres.status}"
        if problem:
            problems.append(f"{path.stem}:{statement.line} {statement.sql[:300]}\n  {problem}")
        if ours.status != postgres.status:
            for session in (ours, postgres):
                session.simple("ROLLBACK")
    ours.close()
    postgres.close()
    assert not problems, "\n".join(problems)


def difference(statement: Captured, mine: list[Answer], theirs: list[Answer]) -> str:
    """What is wrong about our answer; nothing if it is as it should be."""
    sqlstate = expected(statement)
    if sqlstate:
        return "" if mine[-1].end == sqlstate else f"expected {sqlstate}: {mine[-1].shape}"
    if [answer.shape for answer in mine] != [answer.shape for answer in theirs]:
        return f"{[answer.shape for answer in mine]}\n  {[answer.shape for answer in theirs]}"
    if statement.kind not in COMPARED_ROWS:
        return ""
    for left, right in zip(mine, theirs, strict=True):
        if any_rows(statement.sql):
            if len(left.rows) != len(right.rows):
                return f"{len(left.rows)} rows, not {len(right.rows)}"
        elif sorted(left.rows, key=repr) != sorted(right.rows, key=repr):
            return f"{left.rows[:3]}\n  {right.rows[:3]}"
    return ""


def expected(statement: Captured) -> str | None:
    """The SQLSTATE of a statement that is answered otherwise than by PostgreSQL, on purpose."""
    found = (sqlstate for part, sqlstate, _ in DIFFERENT if part in statement.sql)
    return next(found, None)


def any_rows(sql: str) -> bool:
    """Whether PostgreSQL itself may answer with any of several rows."""
    return bool(re.search(r"\blimit\b", sql, re.I)) and not re.search(r"\border\s+by\b", sql, re.I)


def test_nothing_is_left_out() -> None:
    statements = [statement for path in clients() for statement in captured(path)]
    assert len(statements) == 746
    for part, _, _ in DIFFERENT:
        assert any(part in statement.sql for statement in statements), part
