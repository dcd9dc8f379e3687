"""A PostgreSQL source of several servers: who is read from, lag, failover and return."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from connectors import postgres_hosts
from connectors.base import Snapshotter
from connectors.errors import WarehouseError
from connectors.postgres_connector import PostgresConnector, PostgresOptions
from tests.conftest import free_port
from tests.connectors.support import all_rows, fetch
from tests.support.fault_proxy import FaultProxy
from tests.support.oracle import start_oracle
from tests.support.replica import Cluster, replica_of, taken_over
from tests.support.waiting import until_async

WHERE = "SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'primary' END AS a"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its replica. The last test here leaves nothing of them."""
    server = start_oracle(free_port())
    primary = taken_over(server)
    primary.run("CREATE TABLE told AS SELECT 0 AS n")
    replica = replica_of(server, free_port())
    yield primary, replica
    replica.remove()
    primary.remove()


@pytest.fixture
async def source(
    pair: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresConnector]:
    monkeypatch.setattr(postgres_hosts, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(postgres_hosts, "ANSWER_SECONDS", 0.5)
    primary, replica = pair
    options = PostgresOptions(
        dsn=primary.dsn, replicas=(replica.dsn,), max_replica_lag=1.0, connect_seconds=2
    )
    connector = PostgresConnector(options)
    await connector.start()
    yield connector
    await connector.close()


async def read(connector: PostgresConnector, sql: str = WHERE) -> str:
    """What a statement of a client's is answered."""
    stream = await connector.reader().stream_rows(sql, (), (0,))
    data = b"".join([run async for run, _ in stream])
    return data[11:].decode()


async def until(connector: PostgresConnector, wanted: str) -> None:
    """Wait until reads come from there; none may fail meanwhile."""

    async def is_read_from() -> bool:
        return await read(connector) == wanted

    await until_async(is_read_from)


@pytest.mark.slow
async def test_reads_go_to_the_replica_and_all_else_to_the_primary(
    pair: tuple[Cluster, Cluster], source: PostgresConnector
) -> None:
    await until(source, "replica")
    assert await fetch(source, WHERE) == [[b"primary"]]
    # What is known to be written is read, whether the replica has it or not.
    primary, replica = pair
    replica.run("SELECT pg_wal_replay_pause()")
    for number in (1, 2):
        primary.run(f"UPDATE told SET n = {number}")
        source.written()
        assert await read(source, "SELECT n::text AS a FROM told") == str(number)
    replica.run("SELECT pg_wal_replay_resume()")
    await until(source, "replica")
    assert await read(source, "SELECT n::text AS a FROM told") == "2"


@pytest.mark.slow
async def test_a_snapshot_is_of_one_server(
    pair: tuple[Cluster, Cluster], source: PostgresConnector
) -> None:
    await until(source, "replica")
    primary, _ = pair
    for reader, wanted in ((source.reader(), "replica"), (source, "primary")):
        assert isinstance(reader, Snapshotter)
        async with reader.snapshot() as snapshot:
            before = await all_rows(await snapshot.execute("SELECT n FROM told"))
            primary.run("UPDATE told SET n = n + 1")
            await asyncio.sleep(0.3)
            for _ in range(3):
                found = await all_rows(await snapshot.execute(WHERE))
                assert found[0].to_pylist() == [wanted]
            assert await all_rows(await snapshot.execute("SELECT n FROM told")) == before


@pytest.mark.slow
async def test_a_replica_that_lags_is_not_read_from(
    pair: tuple[Cluster, Cluster], source: PostgresConnector
) -> None:
    primary, replica = pair
    await until(source, "replica")
    replica.run("SELECT pg_wal_replay_pause()")
    primary.run("UPDATE told SET n = n + 1")
    await until(source, "primary")
    replica.run("SELECT pg_wal_replay_resume()")
    await until(source, "replica")


@pytest.mark.slow
async def test_a_replica_that_has_gone_silent_is_given_up(
    pair: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_hosts, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(postgres_hosts, "ANSWER_SECONDS", 0.5)
    primary, replica = pair
    with FaultProxy("127.0.0.1", replica.port) as proxy:
        url = f"postgresql://oracle@127.0.0.1:{proxy.port}/postgres"
        options = PostgresOptions(dsn=primary.dsn, replicas=(url,), connect_seconds=2)
        connector = PostgresConnector(options)
        await connector.start()
        await until(connector, "replica")
        running = asyncio.create_task(read(connector, "SELECT pg_sleep(60)::text AS a"))
        await asyncio.sleep(0.3)
        proxy.stop()
        with pytest.raises(WarehouseError) as caught:
            await asyncio.wait_for(running, 40)
        assert caught.value.sqlstate == "08006"
        assert await read(connector) == "primary"
        proxy.go_on()
        await until(connector, "replica")
        await connector.close()


def test_positions_and_roles_are_read() -> None:
    row = b"D\0\0\0\x1b\0\2" + b"\0\0\0\4true" + b"\0\0\0\x09123456789"
    assert postgres_hosts.standing_of(row) == postgres_hosts.Standing(True, 123456789)


@pytest.mark.slow
async def test_failover_to_what_is_left_and_back(
    pair: tuple[Cluster, Cluster], source: PostgresConnector
) -> None:
    primary, replica = pair
    await until(source, "replica")
    running = asyncio.create_task(read(source, "SELECT pg_sleep(60)::text AS a"))
    await asyncio.sleep(0.3)
    replica.end(signal.SIGKILL)
    with pytest.raises(WarehouseError) as caught:
        await asyncio.wait_for(running, 40)
    assert caught.value.sqlstate in {"08006", "57P01", "57P02"}
    assert await read(source) == "primary"  # at once, without an error
    await asyncio.to_thread(replica.start)
    await until(source, "replica")
    # The primary dies: reads go on; what needs it does not, until the replica has its place.
    primary.end(signal.SIGKILL)
    assert await read(source) == "replica"
    await source.health()
    with pytest.raises(WarehouseError) as caught:
        await fetch(source, WHERE)
    assert caught.value.sqlstate == "08006"
    replica.run("SELECT pg_promote()")

    async def is_promoted() -> bool:
        with contextlib.suppress(WarehouseError):
            return await fetch(source, WHERE) == [[b"primary"]]
        return False

    await until_async(is_promoted)
    assert await read(source) == "primary"
