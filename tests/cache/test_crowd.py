"""Many clients at once over a cold cache, and a warehouse that tells of changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg

from tests.bench.client import AsyncClient, simple
from tests.cache.support import configuration, connect, running, value
from tests.reliability.support import until
from tests.support.oracle import OraclePostgres

CLIENTS = 200
QUERIES = 20


async def test_each_statement_of_a_dashboard_runs_once(
    oracle: OraclePostgres, tmp_path: Path
) -> None:
    """Every run gives another number: equal answers are one run's."""
    config = configuration(tmp_path, oracle, "crowd")
    config["auth"] = {"method": "trust", "users": {"demo": {"password": "demo"}}}
    requests = [simple(f"SELECT id, asked AS n{n} FROM slow") for n in range(QUERIES)]
    with running(tmp_path, config) as server:
        connecting = (
            AsyncClient.connect(server.host, server.port, "demo", "cubewire")
            for _ in range(CLIENTS)
        )
        clients = await asyncio.gather(*connecting)

        async def replay(client: AsyncClient, first: int) -> dict[int, bytes]:
            numbers = [(first + n) % QUERIES for n in range(QUERIES)]
            return {n: bytes(await client.ask(requests[n], 3)) for n in numbers}

        answers = await asyncio.gather(
            *(replay(client, number) for number, client in enumerate(clients))
        )
        for client in clients:
            client.close()
    for number in range(QUERIES):
        assert len({answer[number] for answer in answers}) == 1, number


def test_notifications_invalidate(oracle: OraclePostgres, tmp_path: Path) -> None:
    config = configuration(tmp_path, oracle, "heard", listen={"default": "heard_cubes"})
    counted, slow = "SELECT asked FROM counted", "SELECT max(asked) FROM slow"
    with (
        running(tmp_path, config) as server,
        connect(server) as client,
        psycopg.connect(oracle.dsn, autocommit=True) as warehouse,
    ):
        first, other = value(client, counted), value(client, slow)
        assert value(client, counted) == first
        # The first one may come before the server listens.
        until(lambda: notified(warehouse, "counted") and value(client, counted) > first)
        assert value(client, slow) == other
        until(lambda: notified(warehouse, "") and value(client, slow) > other)


def notified(warehouse: psycopg.Connection[tuple[object, ...]], payload: str) -> bool:
    warehouse.execute("SELECT pg_notify('heard_cubes', %s)", [payload])
    return True
