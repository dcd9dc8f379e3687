"""Raw probes: PostgreSQL's reactions as recorded, and ours compared with them (reliability test 1).

``reactions.txt`` holds what PostgreSQL 16 does; ``pytest tests/probes --rewrite`` records it anew.
The protocol core alone runs them in memory, our server over a socket.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import free_port
from tests.support.addresses import Address, named_address, server_address
from tests.support.mini_server import MemoryWire, MiniServer
from tests.support.oracle import OraclePostgres, start_oracle
from tests.support.probe_list import AFTER_LOGIN, BEFORE_LOGIN
from tests.support.probes import Probe, Reaction, run_probe
from tests.support.raw_client import RawClient
from tests.support.server import RunningServer

RECORDED = Path(__file__).with_name("reactions.txt")
PROBES = (*BEFORE_LOGIN, *AFTER_LOGIN)

NEEDS_SQL = frozenset(
    {
        "bind with too many values",
        "bind with too few values",
        "bind with result formats for others",
        "bind with a format nobody knows",
        "SASL mechanism nobody knows",
        "SASL length beyond the end",
        "SASL that is no SCRAM",
        "empty SASL answer",
        "query skipped after a failure",
        "flood of failures",
        "malformed while skipping",
        "type nobody knows while skipping",
        "giant while skipping",
        "parse that promises types",
        "function call without body",
    }
)
"""Probes that ask for more than the server in memory knows."""


def recorded() -> Mapping[str, Reaction]:
    reactions = {}
    for line in RECORDED.read_text().splitlines():
        name, _, text = line.partition(": ")
        state, *codes = text.split()
        reactions[name] = Reaction(state, tuple(codes))
    return reactions


def _id(probe: Probe) -> str:
    return probe.name.replace(" ", "_")


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A PostgreSQL that asks for passwords, with the login of our demo."""
    folder = tmp_path_factory.mktemp("probes")
    # The server runs as another user: it must get through every folder of the run's own.
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    hba = folder / "hba.conf"
    hba.write_text("host all oracle all trust\nhost all all all scram-sha-256\n")
    hba.chmod(0o644)
    postgres: OraclePostgres = start_oracle(free_port(), (f"hba_file={hba}",))
    try:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute("CREATE ROLE demo LOGIN PASSWORD 'demo'")
            connection.execute("CREATE DATABASE cubewire OWNER demo")
        yield Address("postgres", postgres.host, postgres.port, "demo", "cubewire", "demo")
    finally:
        postgres.stop()


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Address:
    """Our own server: the one that CUBEWIRE_TEST_ADDRESS names, or one started for the tests."""
    return named_address() or server_address(request.getfixturevalue("cubewire_server"))


def test_postgres_reacts_as_recorded(login: Address, request: pytest.FixtureRequest) -> None:
    lines = [f"{probe.name}: {run_probe(probe, login, login.connect)}" for probe in PROBES]
    if request.config.getoption("--rewrite", default=False) or os.environ.get("REWRITE"):
        RECORDED.write_text("\n".join(lines) + "\n")
    assert lines == RECORDED.read_text().splitlines()


def test_there_are_enough() -> None:
    assert len(BEFORE_LOGIN) >= 17
    assert len(AFTER_LOGIN) >= 32
    assert len({probe.name for probe in PROBES}) == len(PROBES)


@pytest.mark.parametrize(
    "probe", [probe for probe in PROBES if probe.name not in NEEDS_SQL], ids=_id
)
def test_protocol_core(probe: Probe) -> None:
    server = MiniServer(password=None if probe.logged_in else "demo")
    address = Address("memory", "", 0, "demo", "cubewire", "demo")
    reaction = run_probe(probe, address, lambda: RawClient(MemoryWire(server)))
    _compare(probe, reaction)


@pytest.mark.parametrize("probe", PROBES, ids=_id)
def test_proxy(probe: Probe, proxy: Address) -> None:
    _compare(probe, run_probe(probe, proxy, proxy.connect))


def _compare(probe: Probe, ours: Reaction) -> None:
    theirs = recorded()[probe.name]
    agrees = theirs.state == ours.state if probe.difference else theirs.agrees_with(ours)
    assert agrees, f"{probe.name}: PostgreSQL {theirs}, we {ours}"


GIANTS = ("length of two gibibytes", "one byte over the limit", "query of two gibibytes")


@pytest.mark.skipif(named_address() is not None, reason="needs the process of the server")
def test_giant_lengths_cost_no_memory(cubewire_server: RunningServer) -> None:
    """Reliability test 7: resident memory grows by 5 MB at most."""
    address = server_address(cubewire_server)
    process = psutil.Process(cubewire_server.pid)
    probes = [probe for probe in PROBES if probe.name in GIANTS]
    for probe in probes:
        run_probe(probe, address, address.connect)
    before = process.memory_info().rss
    for probe in probes * 30:
        assert run_probe(probe, address, address.connect).state == "closed"
    assert process.memory_info().rss - before < 5_000_000
