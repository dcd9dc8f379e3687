"""Cursor positions, against PostgreSQL's own cursor by random sequences of FETCH."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import SessionError
from proxy.rows.encoded import EncodedRows, rows_from_messages
from proxy.session.cursor import Cursor, KeptRows
from proxy.session.reader import RowReader
from proxy.wire.backend import DataRow
from tests.support.oracle import OraclePostgres


def encoded(numbers: range) -> EncodedRows:
    return rows_from_messages(b"".join(DataRow((str(n).encode(),)).encode() for n in numbers))


def numbers_of(rows: EncodedRows) -> list[int]:
    found: list[int] = []
    for index in range(rows.rows):
        message = bytes(rows.slice(index, index + 1).data)
        value = DataRow.decode(message[5:]).values[0]
        assert value is not None
        found.append(int(value))
    return found


class Counting:
    """Numbers from 1 to a total, in uneven chunks."""

    def __init__(self, total: int) -> None:
        self._next = 1
        self._total = total

    async def next_rows(self) -> EncodedRows | None:
        if self._next > self._total:
            return None
        stop = min(self._next + 3, self._total + 1)
        rows = encoded(range(self._next, stop))
        self._next = stop
        return rows

    async def close(self) -> None:
        return


def make_cursor(total: int, scroll: bool | None, keep_bytes: int = 1 << 20) -> Cursor:
    async def opener(formats: tuple[int, ...]) -> RowReader:
        return RowReader(Counting(total))

    return Cursor("c", opener, scroll, False, False, KeptRows(keep_bytes))


async def fetch(cursor: Cursor, direction: str, count: int | None) -> list[int]:
    await cursor.open((0,), 1)
    found: list[int] = []
    async for rows in cursor.fetch(direction, count):  # type: ignore[arg-type]
        found.extend(numbers_of(rows))
    return found


directions = st.tuples(
    st.sampled_from(("forward", "backward", "absolute", "relative")),
    st.one_of(st.none(), st.integers(-6, 14)),
).filter(lambda step: step[1] is not None or step[0] in ("forward", "backward"))


@settings(max_examples=200, deadline=None)
@given(total=st.integers(0, 9), steps=st.lists(directions, max_size=8))
def test_positions_are_those_of_postgresql(
    oracle: OraclePostgres, total: int, steps: list[tuple[str, int | None]]
):
    async def ours() -> list[list[int]]:
        cursor = make_cursor(total, scroll=True)
        return [await fetch(cursor, *step) for step in steps]

    got = asyncio.run(ours())
    with psycopg.connect(oracle.dsn) as connection:
        connection.execute(f"DECLARE c SCROLL CURSOR FOR SELECT * FROM generate_series(1, {total})")
        for (direction, count), rows in zip(steps, got, strict=True):
            amount = "ALL" if count is None else str(count)
            expected = connection.execute(f"FETCH {direction} {amount} FROM c").fetchall()
            assert rows == [row[0] for row in expected], (direction, count)


async def test_without_scroll_only_forward():
    cursor = make_cursor(5, scroll=False)
    assert await fetch(cursor, "forward", 2) == [1, 2]
    with pytest.raises(SessionError) as raised:
        await fetch(cursor, "backward", 1)
    assert raised.value.sqlstate == "55000"
    assert await fetch(cursor, "forward", None) == [3, 4, 5]


async def test_an_undeclared_cursor_stops_keeping_at_the_limit():
    cursor = make_cursor(100, scroll=None, keep_bytes=60)
    assert await fetch(cursor, "forward", 100) == list(range(1, 101))
    with pytest.raises(SessionError) as raised:
        await fetch(cursor, "backward", 1)
    assert raised.value.sqlstate == "55000"


async def test_a_scroll_cursor_beyond_the_limit_names_it():
    cursor = make_cursor(100, scroll=True, keep_bytes=60)
    with pytest.raises(SessionError) as raised:
        await fetch(cursor, "forward", 100)
    assert raised.value.sqlstate == "53200"
    assert "max_cursor_bytes" in (raised.value.hint or "")


async def test_formats_are_those_of_the_first_fetch():
    cursor = make_cursor(5, scroll=None)
    await cursor.open((0,), 1)
    with pytest.raises(SessionError) as raised:
        await cursor.open((1,), 1)
    assert raised.value.sqlstate == "0A000"
