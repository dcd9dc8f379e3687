"""Statements that see one state of the data: what they see, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.base import Connector, Reader, SnapshotReader, Snapshotter
from connectors.duckdb_connector import DuckDBConnector
from connectors.errors import WarehouseError
from connectors.registry import open_connector
from tests.connectors.support import (
    DUCKDB_FILE,
    MARIADB,
    POSTGRES,
    Warehouse,
    all_rows,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.ledgers import (
    SUM,
    Ledger,
    MariaDbLedger,
    PostgresLedger,
    SqliteLedger,
)
from tests.support.mariadb import MariaDb
from tests.support.oracle import OraclePostgres

SQLITE = "sqlite"
SERVERS = (POSTGRES, MARIADB)
KINDS = (*SERVERS, SQLITE, DUCKDB_FILE)


class DuckDbLedger(Ledger):
    """In a file that the connector itself holds open for writing."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.source = {
            "type": "duckdb", "path": str(folder / "ledger.duckdb"), "read_only": False,
            "setup": [
                f"CREATE TABLE {name} AS SELECT 1::INTEGER AS id, {n}::INTEGER AS n"
                for name, n in (("a", SUM), ("b", 0))
            ],
        }  # fmt: skip
        self.connector: DuckDBConnector | None = None

    def write(self, statements: Sequence[str]) -> None:
        assert self.connector is not None
        with self.connector._cursor() as connection:
            for statement in ("BEGIN", *statements, "COMMIT"):
                connection.execute(statement)


@dataclass
class Scene:
    """A started connector over a ledger."""

    kind: str
    ledger: Ledger
    connector: Connector

    def snapshot(self) -> contextlib.AbstractAsyncContextManager[SnapshotReader]:
        assert isinstance(self.connector, Snapshotter)
        return self.connector.snapshot(timeout=30)

    @property
    def at_rest(self) -> bool:
        return not Warehouse(self.kind, self.connector).running

    @property
    def endless(self) -> str:
        if self.kind == SQLITE:
            return (
                "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r)"
                " SELECT count(*) AS n FROM r"
            )
        return Warehouse(self.kind, self.connector).endless


@contextlib.contextmanager
def ledger_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Ledger]:
    if kind == POSTGRES:
        made: Ledger = PostgresLedger(request.getfixturevalue("oracle"))
    elif kind == MARIADB:
        made = MariaDbLedger(request.getfixturevalue("mariadb_server"))
    else:
        made = SqliteLedger(folder) if kind == SQLITE else DuckDbLedger(folder)
    try:
        yield made
    finally:
        made.remove()


@contextlib.asynccontextmanager
async def opened(kind: str, ledger: Ledger, **options: object) -> AsyncIterator[Scene]:
    given = {key: value for key, value in ledger.source.items() if key != "type"}
    connector = open_connector(ledger.source["type"], {**given, **options})
    await connector.start()
    if isinstance(ledger, DuckDbLedger):
        assert isinstance(connector, DuckDBConnector)
        ledger.connector = connector
    try:
        yield Scene(kind, ledger, connector)
    finally:
        await connector.close()


@pytest.fixture(params=KINDS)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A connector with one connection, where it has a pool of them."""
    with ledger_of(request.param, request, tmp_path) as ledger:
        one = {"pool_size": 1} if request.param in SERVERS else {}
        async with opened(request.param, ledger, **one) as found:
            yield found


async def value(reader: Reader | SnapshotReader, table: str) -> int:
    rows = await all_rows(await reader.execute(f"SELECT n FROM {table}"))
    (found,) = rows[0].to_pylist()
    return int(found)


async def the_sum(scene: Scene, reader: Reader | SnapshotReader) -> int:
    """Of both tables, one read before a transfer and one after it."""
    before = await value(reader, "a")
    await asyncio.to_thread(scene.ledger.transfer)
    return before + await value(reader, "b")


async def assert_clean(scene: Scene) -> None:
    """Whatever was used is used by others, outside of any transaction."""
    for _ in range(50):
        if scene.at_rest:
            break
        await asyncio.sleep(0.1)
    assert scene.at_rest
    async with asyncio.timeout(10):
        assert await the_sum(scene, scene.connector) == SUM + 1
        async with scene.snapshot() as snapshot:
            assert await the_sum(scene, snapshot) == SUM


async def test_statements_see_one_state(scene: Scene) -> None:
    assert scene.connector.capabilities.snapshots
    for _ in range(3):
        assert await the_sum(scene, scene.connector) == SUM + 1
        async with scene.snapshot() as snapshot:
            assert await the_sum(scene, snapshot) == SUM
            assert await the_sum(scene, snapshot) == SUM
    await assert_clean(scene)


async def test_snapshots_and_statements_wait_for_one_connection(scene: Scene) -> None:
    async def one() -> int:
        async with scene.snapshot() as snapshot:
            return await the_sum(scene, snapshot)

    async with asyncio.timeout(20):
        plain = [value(scene.connector, "a") for _ in range(5)]
        sums = await asyncio.gather(*(one() for _ in range(5)), *plain)
    assert sums[:5] == [SUM] * 5


async def read_twice(
    scene: Scene,
    second: str,
    between: Callable[[], object] | None = None,
    timeout: float | None = None,
) -> list[object]:
    """The first column of a statement that comes second in a snapshot."""
    async with scene.snapshot() as snapshot:
        await value(snapshot, "a")
        if between is not None:
            await asyncio.to_thread(between)
        return (await all_rows(await snapshot.execute(second, timeout=timeout)))[0].to_pylist()


async def test_an_error_leaves_a_clean_connection(scene: Scene) -> None:
    with pytest.raises(WarehouseError) as caught:
        await read_twice(scene, "SELECT n FROM nothing")
    assert caught.value.sqlstate in ("42P01", "42601")
    await assert_clean(scene)


async def test_cancelling_the_second_statement(scene: Scene) -> None:
    task = asyncio.create_task(read_twice(scene, scene.endless))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_clean(scene)


async def test_timeout_of_the_second_statement(scene: Scene) -> None:
    with pytest.raises(WarehouseError) as caught:
        await read_twice(scene, scene.endless, timeout=0.2)
    assert caught.value.sqlstate == "57014"
    await assert_clean(scene)


async def test_statements_come_one_after_the_other(scene: Scene) -> None:
    many = " CROSS JOIN ".join(f"a AS a{number}" for number in range(6))
    await asyncio.to_thread(scene.ledger.write, ["INSERT INTO a SELECT 0, 0 FROM a"] * 3)
    # What is left of a snapshot cannot be looked at any more: some say so at its end.
    with contextlib.suppress(WarehouseError):
        async with scene.snapshot() as snapshot:
            stream = await snapshot.execute(f"SELECT a0.n FROM {many}")
            with pytest.raises(WarehouseError) as caught:
                await value(snapshot, "b")
            assert caught.value.sqlstate == "55006"
            await stream.close()
            with pytest.raises(WarehouseError) as caught:
                await value(snapshot, "b")
            assert caught.value.sqlstate == "08006"
    await asyncio.to_thread(scene.ledger.write, ["DELETE FROM a WHERE id = 0"])
    await assert_clean(scene)


async def test_waiting_for_a_snapshot_ends(scene: Scene) -> None:
    async with scene.snapshot():
        waiting = asyncio.create_task(the_sum(scene, scene.connector))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        if scene.kind in SERVERS:
            assert isinstance(scene.connector, Snapshotter)
            with pytest.raises(WarehouseError) as caught:
                await scene.connector.snapshot(timeout=0.1).__aenter__()
            assert caught.value.sqlstate == "57014"
    await assert_clean(scene)


async def test_closing_the_connector_ends_it(scene: Scene) -> None:
    with contextlib.suppress(WarehouseError):
        async with scene.snapshot() as snapshot:
            await value(snapshot, "a")
            await scene.connector.close()
            with pytest.raises(WarehouseError) as caught:
                await value(snapshot, "b")
            assert caught.value.sqlstate in ("57P01", "08006")


# ------------------------------------------------------------------------- servers


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_connection_that_is_lost_between_is_not_replaced(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.getfixturevalue("oracle" if kind == POSTGRES else "mariadb_server")
    with ledger_of(kind, request, tmp_path) as ledger, FaultProxy("127.0.0.1", server.port) as way:
        if kind == POSTGRES:
            ledger.source["dsn"] = ledger.source["dsn"].replace(f":{server.port}/", f":{way.port}/")
        else:
            ledger.source["port"] = way.port
        async with opened(kind, ledger, pool_size=1) as scene:
            with pytest.raises(WarehouseError) as caught:
                await read_twice(scene, "SELECT n FROM b", way.reset)
            assert caught.value.sqlstate == "08006"
            await assert_clean(scene)


EXCHANGED = {
    "emptied": ("TRUNCATE TABLE b", "INSERT INTO b VALUES (1, 7)"),
    "exchanged": (
        "CREATE TABLE c AS SELECT 1 AS id, 7 AS n",
        "ALTER TABLE b RENAME TO d",
        "ALTER TABLE c RENAME TO b",
    ),
    "new": ("DROP TABLE b", "CREATE TABLE b AS SELECT 1 AS id, 7 AS n"),
}


@pytest.mark.parametrize("how", EXCHANGED)
@pytest.mark.parametrize("kind", SERVERS)
async def test_tables_that_are_exchanged_meanwhile_are_refused(
    kind: str, how: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with ledger_of(kind, request, tmp_path) as ledger:
        async with opened(kind, ledger, pool_size=1) as scene:
            with pytest.raises(WarehouseError) as caught:
                await read_twice(scene, "SELECT n FROM b", lambda: ledger.write(EXCHANGED[how]))
            assert caught.value.sqlstate == "40001"
            assert await read_twice(scene, "SELECT n FROM b") == [7]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE parts ATTACH PARTITION filled FOR VALUES IN (2)",
        "ALTER TABLE parts DETACH PARTITION first",
        "CREATE TABLE third PARTITION OF parts FOR VALUES IN (3)",
        "REFRESH MATERIALIZED VIEW kept",
        "ALTER TABLE filled RENAME TO other; ALTER TABLE swapped RENAME TO filled",
    ],
)
async def test_what_postgres_does_not_keep_by_snapshot(
    change: str, oracle: OraclePostgres, tmp_path: Path
) -> None:
    ledger = PostgresLedger(oracle)
    ledger.write(
        (
            "CREATE TABLE parts (n INTEGER) PARTITION BY LIST (n)",
            "CREATE TABLE first PARTITION OF parts FOR VALUES IN (1)",
            "CREATE TABLE filled AS SELECT 2 AS n",
            "CREATE TABLE swapped AS SELECT 3 AS n",
            "INSERT INTO parts VALUES (1)",
            "CREATE MATERIALIZED VIEW kept AS SELECT n FROM b",
        )
    )
    both = "SELECT parts.n FROM parts, kept, filled"
    async with opened(POSTGRES, ledger, pool_size=1) as scene:
        assert await read_twice(scene, both, lambda: ledger.write(["ANALYZE parts"])) == [1]
        with pytest.raises(WarehouseError) as caught:
            await read_twice(scene, both, lambda: ledger.write(change.split("; ")))
        assert caught.value.sqlstate == "40001"
    ledger.remove()


async def test_no_snapshot_where_there_is_none(mariadb_server: MariaDb) -> None:
    for kind in ("starrocks", "doris"):
        connector = open_connector(kind, mariadb_server.options)
        assert not connector.capabilities.snapshots
