"""Databases in which two tables always add up to the same, and somebody moves what they hold."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.support.mariadb import MariaDb
from tests.support.oracle import OraclePostgres

SUM = 100
TRANSFER = ("UPDATE a SET n = n - 1", "UPDATE b SET n = n + 1")
_MAKE = (
    "CREATE TABLE a (id INTEGER, n INTEGER)",
    "CREATE TABLE b (id INTEGER, n INTEGER)",
    f"INSERT INTO a VALUES (1, {SUM})",
    "INSERT INTO b VALUES (1, 0)",
)


class Ledger:
    """Tables ``a`` and ``b`` with one row each, whose ``n`` add up to ``SUM``.

    Attributes:
        source: the section of a data source that reads them.
    """

    source: dict[str, Any]

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    @abstractmethod
    def write(self, statements: Sequence[str]) -> None:
        """Run statements in one transaction."""

    def transfer(self) -> None:
        """Move one from ``a`` to ``b``."""
        with self._one_at_a_time:
            self.write(TRANSFER)

    def remove(self) -> None:
        """Forget all of it."""

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Transfers one after the other, as quickly as they go."""
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                self.transfer()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class PostgresLedger(Ledger):
    """In a schema of its own."""

    def __init__(self, server: OraclePostgres) -> None:
        super().__init__()
        self.dsn = server.dsn
        self._schema = f"ledger_{secrets.token_hex(4)}"
        self.source = {"type": "postgres", "dsn": self.dsn, "search_path": self._schema}
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {self._schema}".encode())
        self._connection = self.connect()
        self.write(_MAKE)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that finds the tables."""
        return psycopg.connect(self.dsn, autocommit=True, options=f"-c search_path={self._schema}")

    def write(self, statements: Sequence[str]) -> None:
        with self._connection.transaction():
            for statement in statements:
                self._connection.execute(statement.encode())

    def remove(self) -> None:
        self._connection.execute(f"DROP SCHEMA {self._schema} CASCADE".encode())
        self._connection.close()


class MariaDbLedger(Ledger):
    """In a database of its own."""

    def __init__(self, server: MariaDb) -> None:
        super().__init__()
        self._database = f"ledger_{secrets.token_hex(4)}"
        self.source = {"type": "mariadb", **server.options, "database": self._database}
        server.run([f"CREATE DATABASE {self._database}"], None)
        server.run([f"GRANT SELECT ON {self._database}.* TO reader"], None)
        self._connection = server.connect(self._database)
        self.write(_MAKE)

    def write(self, statements: Sequence[str]) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            for statement in statements:
                cursor.execute(statement)
        self._connection.commit()

    def remove(self) -> None:
        self.write([f"DROP DATABASE {self._database}"])
        self._connection.close()


class SqliteLedger(Ledger):
    """In a file in WAL mode, where writers and readers do not wait for each other."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.source = {"type": "sqlite", "path": str(folder / "ledger.sqlite")}
        with contextlib.closing(sqlite3.connect(self.source["path"])) as database:
            database.execute("PRAGMA journal_mode = WAL")
        self.write(_MAKE)

    def write(self, statements: Sequence[str]) -> None:
        with contextlib.closing(sqlite3.connect(self.source["path"])) as database, database:
            database.execute("BEGIN IMMEDIATE")
            for statement in statements:
                database.execute(statement)
