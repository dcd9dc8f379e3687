"""Random lists of rules, in our form and in pg_hba.conf's: a real PostgreSQL must decide alike."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.auth.errors import AuthenticationFailed
from proxy.auth.methods.trust import TrustMethod
from proxy.auth.patterns import AddressPattern, NamePattern
from proxy.auth.request import LoginRequest
from proxy.auth.rules import Rule, choose
from tests.auth.support import make_users
from tests.conftest import free_port
from tests.support.oracle import OraclePostgres, start_oracle

USERS = ("ann", "anna", "bert")
DATABASES = ("postgres", "other")


@dataclass(frozen=True)
class Entry:
    database: tuple[str, ...]
    user: tuple[str, ...]
    address: str
    lets_in: bool

    def line(self) -> str:
        """As pg_hba.conf has it, where expressions are not anchored."""
        users = ",".join(f"/^{each[1:-1]}$" if each[0] == "/" else each for each in self.user)
        method = "trust" if self.lets_in else "reject"
        return f"host {','.join(self.database)} {users} {self.address} {method}\n"

    def rule(self) -> Rule:
        return Rule(
            TrustMethod(make_users()) if self.lets_in else None,
            NamePattern.of(self.database),
            NamePattern.of(self.user),
            AddressPattern.of((self.address,)),
        )


ENTRIES = st.builds(
    Entry,
    st.sampled_from([("all",), ("postgres",), ("other",), ("postgres", "other")]),
    st.sampled_from(
        [("all",), ("ann",), ("anna", "bert"), ("/ann.*/",), ("/an+a?/",), ("bert", "/.nn/")]
    ),
    st.sampled_from(["all", "127.0.0.0/8", "127.0.0.1/32", "10.0.0.0/8", "0.0.0.0/0", "::1/128"]),
    st.booleans(),
)


class Postgres:
    """One whose pg_hba.conf can be changed."""

    def __init__(self, folder: Path) -> None:
        self.hba = folder / "hba.conf"
        self.write([])
        self.server: OraclePostgres = start_oracle(free_port(), (f"hba_file={self.hba}",))
        local = f"host={self.server.directory} port={self.server.port} user=oracle"
        self.connection = psycopg.connect(f"{local} dbname=postgres", autocommit=True)
        self.local = f"{local} dbname=postgres"
        for user in USERS:
            self.connection.execute(f"CREATE ROLE {user} LOGIN")
        self.connection.execute("CREATE DATABASE other")

    def write(self, entries: list[Entry]) -> None:
        self.hba.write_text("local all oracle trust\n" + "".join(each.line() for each in entries))
        self.hba.chmod(0o644)

    def load(self, entries: list[Entry]) -> None:
        self.write(entries)
        before = self._loaded()
        self.connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self._loaded() == before:
            assert time.monotonic() < deadline, "the rules were not taken over"
            time.sleep(0.002)

    def _loaded(self) -> object:
        with psycopg.connect(self.local) as fresh:
            return fresh.execute("SELECT pg_conf_load_time()").fetchone()

    def answer(self, user: str, database: str) -> str:
        body = struct.pack("!i", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
        with socket.create_connection((self.server.host, self.server.port)) as link:
            link.sendall(struct.pack("!i", len(body) + 4) + body)
            data = link.recv(4096)
        if data[:1] == b"R":
            return "in"
        fields = {part[:1]: part[1:].decode() for part in data[5:].split(b"\0") if part}
        return f"{fields[b'C']} {fields[b'M']}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="rules-oracle-"))
    os.chmod(folder, 0o755)
    made = Postgres(folder)
    yield made
    made.connection.close()
    made.server.stop()
    shutil.rmtree(folder)


def ours(entries: list[Entry], user: str, database: str) -> str:
    try:
        choose([each.rule() for each in entries], LoginRequest(user, database, "127.0.0.1"))
    except AuthenticationFailed as failure:
        text = failure.message.replace("auth.rules rejects", "pg_hba.conf rejects")
        return f"{failure.sqlstate} {text.replace('entry of auth.rules', 'pg_hba.conf entry')}"
    return "in"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ENTRIES, max_size=5))
def test_the_same_rule_decides_and_says_the_same(postgres: Postgres, entries: list[Entry]) -> None:
    postgres.load(entries)
    for user in USERS:
        for database in DATABASES:
            assert ours(entries, user, database) == postgres.answer(user, database)
