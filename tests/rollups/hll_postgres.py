"""A PostgreSQL warehouse with the extension hll, where the machine has one installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.conftest import free_port
from tests.support.oracle import OraclePostgres, start_oracle

SERVERS = Path("/usr/lib/postgresql")
REASON = "no PostgreSQL with the extension hll is installed (Debian: postgresql-15-hll)"


def binaries_with_hll() -> Path | None:
    """Where the programs of a PostgreSQL are that has the extension."""
    for folder in sorted(SERVERS.glob("*"), reverse=True):
        control = Path("/usr/share/postgresql") / folder.name / "extension" / "hll.control"
        if control.exists() and (folder / "bin" / "initdb").exists():
            return folder / "bin"
    return None


@contextmanager
def postgres_with_hll(programs: Path) -> Iterator[OraclePostgres]:
    """A fresh server whose new databases have the extension in a schema of its own."""
    server = start_oracle(free_port(), programs=programs)
    try:
        template = server.dsn.replace("/postgres", "/template1")
        with psycopg.connect(template, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA sketching")
            connection.execute("CREATE EXTENSION hll SCHEMA sketching")
        yield server
    finally:
        server.stop()
