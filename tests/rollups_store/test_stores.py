"""What every store does: build, replace, retire, collect, lock, lead."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import BatchStream, Parameter
from connectors.bucket_rollups import BucketRollups
from connectors.errors import WarehouseError
from connectors.rollup_store import BuildColumn, BuildTakenError, StoredTable, TableBuild
from tests.rollups_store.support import FEBRUARY, JANUARY, MARCH, POSTGRES, Place, build


async def make(place: Place, wanted: TableBuild, seen: StoredTable | None = None) -> StoredTable:
    return await place.store.build(wanted, place.connector, seen)


async def test_an_empty_store_has_nothing(place: Place) -> None:
    assert await place.store.read() == ()
    assert await place.store.collect(0) == 0


async def test_a_built_table_is_there_with_its_rows(place: Place) -> None:
    before = time.time()
    made = await make(place, build(refresh_key="[1]"))
    assert await place.store.read() == (made,)
    assert made.rows == 31
    assert made.bytes > 0
    assert before <= made.built_at <= made.checked_at <= time.time()
    assert made.refresh_key == "[1]"
    rows = await place.rows(f"SELECT day, n, s FROM {made.table} ORDER BY day")
    assert rows[0] == (JANUARY, 1, "x")
    assert len(rows) == 31


@pytest.mark.parametrize("kind", ["float8", "float4"])
async def test_rows_with_nan_are_found(place: Place, kind: str) -> None:
    """The range that a file's statistics give is without them."""
    made = []
    for start, end, other in ((JANUARY, FEBRUARY, 1.5), (FEBRUARY, MARCH, -2)):
        wanted = build(start, end)
        value = f"CASE WHEN day < $1 + INTERVAL '3 days' THEN 'NaN' ELSE '{other}' END"
        sql = f"SELECT n, CAST({value} AS {kind}) AS w FROM ({wanted.sql}) AS built"
        columns = (BuildColumn("n", "int8"), BuildColumn("w", kind))
        made.append(await make(place, replace(wanted, sql=sql, columns=columns, indexes=())))
    tables = " UNION ALL ".join(f"SELECT * FROM {each.table}" for each in made)
    for condition, count in (
        ("w = 'NaN'", 6),
        ("w > 0", 34),
        ("w = 1.5", 28),
        ("w < 1", 25),
        ("w IS DISTINCT FROM 1.5", 31),
    ):
        found = await place.rows(f"SELECT COUNT(*) AS n FROM ({tables}) AS t WHERE {condition}")
        assert found == [(count,)], condition


async def test_a_table_without_bounds(place: Place) -> None:
    made = await make(place, build(None, None))
    assert await place.store.read() == (made,)
    assert made.key.bounds == (None, None)


async def test_a_rebuilt_table_takes_the_place_of_the_old_one(place: Place) -> None:
    old = await make(place, build())
    other = await make(place, build(FEBRUARY, MARCH))
    new = await make(place, build(factor=2), old)
    assert set(await place.store.read()) == {new, other}
    # Statements that have seen the old one can still read it.
    assert await place.count(old) == 31
    assert await place.rows(f"SELECT DISTINCT n FROM {new.table}") == [(2,)]
    assert await place.store.collect(60) == 0
    assert await place.store.collect(0) == 1
    with pytest.raises(WarehouseError):
        await place.count(old)
    assert await place.count(new) == 31


async def test_a_table_takes_the_place_of_all_that_it_overlaps(place: Place) -> None:
    one, two = await make(place, build()), await make(place, build(FEBRUARY, MARCH))
    open_end = await make(place, build(FEBRUARY, None))
    assert set(await place.store.read()) == {one, open_end}
    whole = await make(place, build(None, None))
    assert await place.store.read() == (whole,)
    other = await make(place, build(FEBRUARY, MARCH, version="v2"))
    assert set(await place.store.read()) == {whole, other}
    assert await place.count(two) == 28


async def test_versions_do_not_meet(place: Place) -> None:
    one = await make(place, build())
    two = await make(place, build(version="v2"))
    assert set(await place.store.read()) == {one, two}


async def test_what_somebody_else_has_built_meanwhile_is_not_built_again(place: Place) -> None:
    old = await make(place, build())
    new = await make(place, build(factor=2), old)
    assert await make(place, build(factor=3), old) == new
    assert await make(place, build(factor=3), None) == new


async def test_retired_tables_are_read_no_more(place: Place) -> None:
    made = await make(place, build())
    await place.store.retire([made])
    assert await place.store.read() == ()
    assert await place.count(made) == 31


async def test_a_confirmed_table_keeps_the_time_it_was_built(place: Place) -> None:
    made = await make(place, build())
    await place.store.confirm([made], made.built_at + 5)
    (found,) = await place.store.read()
    assert found.checked_at == made.built_at + 5
    assert found.built_at == made.built_at


async def test_a_failing_build_leaves_what_was_there(place: Place) -> None:
    old = await make(place, build())
    wrong = build()
    broken = TableBuild(
        wrong.key,
        wrong.sql.replace("CAST('x' AS TEXT)", "CAST(1 / (DATE_PART('day', day) - 20) AS TEXT)"),
        wrong.parameters,
        wrong.columns,
    )
    if place.kind != POSTGRES:
        broken = TableBuild(
            broken.key, wrong.sql.replace("'x'", "error('no')"), wrong.parameters, wrong.columns
        )
    with pytest.raises(WarehouseError):
        await make(place, broken, old)
    assert await place.store.read() == (old,)
    assert await place.count(old) == 31


async def test_other_columns_than_defined_are_refused(place: Place) -> None:
    wanted = build()
    renamed = TableBuild(
        wanted.key, wanted.sql.replace("AS n", "AS m"), wanted.parameters, wanted.columns
    )
    with pytest.raises(WarehouseError, match="other columns") as caught:
        await make(place, renamed)
    assert caught.value.sqlstate == "XX000"
    assert await place.store.read() == ()


class _Waiting:
    """A connector whose statements start when they are told to."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def execute(self, sql: str, parameters: tuple[Parameter, ...] = ()) -> BatchStream:
        self.asked.set()
        await self.go.wait()
        return await self._place.connector.execute(sql, parameters)


async def test_of_two_builders_one_wins(parquet: Place) -> None:
    waiting = _Waiting(parquet)
    first = asyncio.create_task(parquet.store.build(build(), waiting, None))  # type: ignore[arg-type]
    await waiting.asked.wait()
    with pytest.raises(BuildTakenError):
        await make(parquet, build(factor=2))
    other = await make(parquet, build(FEBRUARY, MARCH))
    waiting.go.set()
    made = await first
    assert set(await parquet.store.read()) == {made, other}
    assert await parquet.rows(f"SELECT DISTINCT n FROM {made.table}") == [(1,)]


async def test_racing_builders_leave_one_table(place: Place) -> None:
    outcomes = await asyncio.gather(
        *(make(place, build(factor=factor)) for factor in range(1, 5)), return_exceptions=True
    )
    made = [each for each in outcomes if isinstance(each, StoredTable)]
    assert made
    assert all(isinstance(each, StoredTable | BuildTakenError) for each in outcomes)
    assert await place.store.read() == (made[0],)
    assert set(made) == {made[0]}


async def test_a_cancelled_build_leaves_nothing(parquet: Place) -> None:
    waiting = _Waiting(parquet)
    task = asyncio.create_task(parquet.store.build(build(), waiting, None))  # type: ignore[arg-type]
    await waiting.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await parquet.store.read() == ()
    made = await make(parquet, build())
    assert await parquet.store.read() == (made,)


async def test_one_leads_at_a_time(place: Place) -> None:
    async with place.store.lead() as first, place.store.lead() as second:
        assert (first, second) == (True, False)
    # The server of the one that led may still be ending its session.
    async with asyncio.timeout(20):
        while True:
            async with place.store.lead() as again:
                if again:
                    break
            await asyncio.sleep(0.02)


async def test_a_table_dropped_by_hand_is_not_named(place: Place) -> None:
    made = await make(place, build())
    if place.kind != POSTGRES:
        file = Path(made.table.strip('"'))
        file.unlink()
        if isinstance(place.store, BucketRollups):
            # What is gone from this host alone is fetched again.
            assert await place.store.read() == (made,)
            assert await place.count(made) == 31
            place.bucket.delete(f"data/{file.name}")
            file.unlink()
    else:
        stored = place.store
        async with stored._connection() as connection:  # type: ignore[attr-defined]
            await connection.execute(f"DROP TABLE {made.table}")
    assert await place.store.read() == ()
    again = await make(place, build())
    assert await place.store.read() == (again,)
