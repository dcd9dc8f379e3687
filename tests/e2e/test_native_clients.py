"""What clients do that are not on the machines of the tests: their messages, sent by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from proxy.wire import frontend
from tests.e2e.targets import Target
from tests.support.raw_client import RawClient


@pytest.fixture
def client(ours: Target) -> Iterator[RawClient]:
    connected = RawClient.connect(ours.host, ours.port)
    connected.startup(ours.user, ours.database, ours.password)
    yield connected
    connected.close()


@pytest.mark.parametrize("options", ["", " (FORMAT csv, HEADER)"])
def test_a_small_copy_is_one_packet(client: RawClient, options: str) -> None:
    """pgtcl 2.7 takes it for the end of the data that there is nothing to read."""
    slow = "SELECT origin, MAX(flight_id % g) FROM flights, generate_series(1, 9) g GROUP BY 1"
    text = f"COPY ({slow}) TO STDOUT{options}"
    client.send(frontend.Query(text))
    data = client.socket.recv(65536)
    assert data.startswith(b"H")
    assert data.endswith(b"COPY 3\0" + b"Z\0\0\0\5I")


FOREIGN = {
    # What postgres_fdw 15 has sent for a scan, a join, two groupings and a look-up by a value.
    "SELECT carrier, origin FROM public.flights": 1_000_000,
    "SELECT r1.flight_id, r2.name FROM (public.flights r1 INNER JOIN public.airlines r2"
    " ON (((r1.carrier = r2.carrier))))": 1_000_000,
    "SELECT r2.name, count(DISTINCT r1.planes_used) FROM (public.flights r1 INNER JOIN"
    " public.airlines r2 ON (((r1.carrier = r2.carrier)))) GROUP BY 1 ORDER BY r2.name ASC": 1_000,
    "SELECT sum(count), avg(average_arrival_delay) FROM public.flights": 1,
    "SELECT flight_id, origin FROM public.flights WHERE (((SELECT null::bigint)::bigint)"
    " = flight_id)": 100,
}


@pytest.mark.parametrize(("text", "rows"), FOREIGN.items())
def test_a_foreign_server_is_told_costs(ours: Target, text: str, rows: int) -> None:
    """``use_remote_estimate``: get_remote_estimate in postgres_fdw.c reads the first line's end."""
    with psycopg.connect(ours.dsn, application_name="postgres_fdw") as connection:
        connection.execute("SET search_path = pg_catalog")
        (first, *_) = [row[0] for row in connection.execute(f"EXPLAIN {text}".encode())]
        last = first[first.rindex("(") :]
        found = re.fullmatch(r"\(cost=([\d.]+)\.\.([\d.]+) rows=(\d+) width=(\d+)\)", last)
        assert found is not None
        assert int(found[3]) == rows
        assert 0 < float(found[1]) < float(found[2])
        assert 0 < int(found[4]) < 200
        (first, *_) = connection.execute(f"EXPLAIN (COSTS OFF) {text}".encode()).fetchall()
        assert "cost=" not in first[0]
        connection.execute("SET application_name = psql")
        (first, *_) = connection.execute(f"EXPLAIN {text}".encode()).fetchall()
        assert "cost=" not in first[0]
