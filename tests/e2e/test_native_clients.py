"""What clients do that are not on the machines of the tests: their messages, sent by hand."""

from __future__ import annotations

from collections.abc import Iterator

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
