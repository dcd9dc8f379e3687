"""Several statements of one snapshot: one slot, limits of each, and nothing begun again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from connectors.errors import WarehouseError
from connectors.postgres_connector import PostgresConnector, PostgresOptions
from proxy.config.limits import SourceLimits
from proxy.warehouse.warehouse import Asking, Warehouse
from tests.connectors.support import all_rows
from tests.support.fault_proxy import FaultProxy
from tests.support.ledgers import SUM, PostgresLedger
from tests.support.oracle import OraclePostgres


class Observer:
    """Counts second tries and refusals."""

    def __init__(self) -> None:
        self.retries = 0
        self.refused: list[str] = []

    def warehouse_wait(self, data_source: str, seconds: float) -> None:
        """Of no interest."""

    def warehouse_refused(self, data_source: str, reason: str) -> None:
        self.refused.append(reason)

    def warehouse_retry(self, data_source: str) -> None:
        self.retries += 1


@pytest.fixture
def ledger(oracle: OraclePostgres) -> Iterator[PostgresLedger]:
    made = PostgresLedger(oracle)
    yield made
    made.remove()


@asynccontextmanager
async def warehouse(
    ledger: PostgresLedger, observer: Observer | None = None, **limits: Any
) -> AsyncIterator[Warehouse]:
    """With one slot and one connection."""
    options = {key: value for key, value in ledger.source.items() if key != "type"}
    connector = PostgresConnector(PostgresOptions(pool_size=1, queue_seconds=3, **options))
    await connector.start()
    configured = SourceLimits(health_seconds=0, **limits)
    made = Warehouse("post", connector, configured, 1, observer or Observer())
    yield made
    assert made.in_use == 0
    await made.close()
    await connector.close()


def asking(sql: str, timeout: float | None = None) -> Asking:
    return Asking(sql, (), "ann", frozenset(), timeout=timeout)


BOTH = (asking("SELECT n FROM a"), asking("SELECT n FROM b"))


async def run(
    source: Warehouse, askings: Sequence[Asking], after_each: Callable[[], None] = lambda: None
) -> None:
    async with source.snapshot(askings) as starts:
        for start in starts:
            await all_rows(await start())
            after_each()


async def the_sum(source: Warehouse, ledger: PostgresLedger) -> int:
    found = 0
    async with source.snapshot(BOTH) as starts:
        for start in starts:
            rows = await all_rows(await start())
            found += rows[0][0].as_py()
            await asyncio.to_thread(ledger.transfer)
    return found


async def test_one_slot_and_one_connection_are_enough(ledger: PostgresLedger) -> None:
    async with warehouse(ledger) as source, asyncio.timeout(20):
        plain = [source.execute(BOTH[0]) for _ in range(3)]
        work = [the_sum(source, ledger) for _ in range(5)]
        *sums, one, two, three = await asyncio.gather(*work, *(_closed(each) for each in plain))
        assert sums == [SUM] * 5
        assert one == two == three == 1


async def _closed(opening: Any) -> int:
    return (await all_rows(await opening)).num_rows


async def test_estimates_need_no_second_connection(ledger: PostgresLedger) -> None:
    observer = Observer()
    async with warehouse(ledger, observer, max_cost=1000) as source:
        assert await the_sum(source, ledger) == SUM
        dear = asking("SELECT count(*) FROM generate_series(1, 1000000)")
        with pytest.raises(WarehouseError) as caught:
            await run(source, (BOTH[0], dear))
        assert caught.value.sqlstate == "53400"
        assert observer.refused == ["cost"]


async def test_rows_are_counted_by_statement(ledger: PostgresLedger) -> None:
    async with warehouse(ledger, max_rows=3) as source:
        three = asking("SELECT generate_series(1, 3)")
        four = asking("SELECT generate_series(1, 4)")
        with pytest.raises(WarehouseError) as caught:
            await run(source, (three, three, four))
        assert caught.value.sqlstate == "53400"
        assert await the_sum(source, ledger) == SUM


@pytest.mark.parametrize(("timeout", "hinted"), [(None, True), (0.6, False)])
async def test_the_deadline_is_of_all_together(
    timeout: float | None, hinted: bool, ledger: PostgresLedger
) -> None:
    limits = {} if timeout else {"deadline": 0.6}
    async with warehouse(ledger, **limits) as source:
        naps = [asking("SELECT pg_sleep(0.4)::text AS n", timeout)] * 2
        with pytest.raises(WarehouseError) as caught:
            await run(source, naps)
        assert caught.value.sqlstate == "57014"
        assert (caught.value.hint is not None) is hinted
        assert await the_sum(source, ledger) == SUM


async def test_cancelling_the_second_statement_frees_all(ledger: PostgresLedger) -> None:
    began = asyncio.Event()
    async with warehouse(ledger) as source:
        nap = asking("SELECT pg_sleep(600)::text AS n")
        task = asyncio.create_task(run(source, (BOTH[0], nap), began.set))
        await began.wait()
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert source.in_use == 0
        assert await the_sum(source, ledger) == SUM


async def test_a_lost_connection_is_no_second_try(ledger: PostgresLedger) -> None:
    observer = Observer()
    port = int(ledger.dsn.rsplit(":", 1)[1].split("/")[0])
    with FaultProxy("127.0.0.1", port) as proxy:
        ledger.source["dsn"] = ledger.dsn.replace(f":{port}/", f":{proxy.port}/")
        async with warehouse(ledger, observer) as source:
            with pytest.raises(WarehouseError) as caught:
                await run(source, BOTH, proxy.reset)
            assert caught.value.sqlstate == "08006"
            assert observer.retries == 0
            assert await the_sum(source, ledger) == SUM
