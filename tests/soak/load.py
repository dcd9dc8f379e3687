"""What clients do all day: each a thread that does one kind of thing again and again."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import psycopg

from tests.support.waiting import cancelling

WARMING_THREADS, WARMING_ROUNDS = 4, 300
INTROSPECTION = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c "
    "JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace "
    "AND a.attnum > 0 ORDER BY 1, a.attnum",
    "SELECT table_name, column_name, data_type FROM information_schema.columns "
    "WHERE table_schema = 'public'",
    "SELECT current_database(), version(), current_setting('server_version_num')",
)
ERRORS = {
    "SELECT nothing FROM orders": "42703",
    "SELECT FROM WHERE": "42601",
    "SELECT 1 / 0": "22012",
    "DELETE FROM orders": "25006",
    "SELECT count(*) FROM absent": "42P01",
}


@dataclass
class Clients:
    """All of them.

    Attributes:
        filler: bytes that each of the 20,000 rows of a large result has besides some 30.
        done: how often each kind did what it does.
        wrong: what went otherwise than it should.
    """

    dsn: str
    filler: int = 0
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Clients work until the end of the block."""
        kinds: dict[str, Callable[[random.Random], None]] = {
            "introspection": self.introspect,
            "cached": self.ask_again,
            "uncached": self.ask_anew,
            "stream": self.stream,
            "cancel": self.cancel,
            "error": self.err,
            "disconnect": self.disconnect,
            "temporary": self.make_table,
        }
        threads = [
            threading.Thread(target=self._repeat, args=(name, work, seed))
            for seed, (name, work) in enumerate(kinds.items())
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)

    def warm(self) -> None:
        """Ask 60,000 small statements.

        DuckDB keeps a note of each block that it has freed, until there are some 40,000: 10 MB.
        """
        with ThreadPoolExecutor(WARMING_THREADS) as threads:
            tasks = [
                threads.submit(self.ask_again, random.Random(seed))
                for seed in range(WARMING_THREADS * WARMING_ROUNDS)
            ]
        for task in tasks:
            task.result()

    def _repeat(self, name: str, work: Callable[[random.Random], None], seed: int) -> None:
        chosen = random.Random(seed)
        while not self._stop.is_set():
            try:
                work(chosen)
            except Exception as error:  # noqa: BLE001 - told at the end
                self.wrong.append(f"{name}: {type(error).__name__} {error}")
                time.sleep(0.1)
            with self._lock:
                self.done[name] += 1

    @property
    def large(self) -> str:
        """The statement with the largest result."""
        columns = f"id, city_id, status, repeat('x', {self.filler}) AS filler"
        return f"SELECT {columns} FROM orders WHERE id < 20000"

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=20)

    def introspect(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            for _ in range(10):
                assert connection.execute(chosen.choice(INTROSPECTION)).fetchall()

    def ask_again(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            for _ in range(50):
                bound = chosen.randrange(1, 10) * 1000
                sql = f"SELECT status, MEASURE(count) FROM orders WHERE id < {bound} GROUP BY 1"
                rows = connection.execute(sql).fetchall()
                assert sum(cast("int", count) for _, count in rows) == bound, rows

    def ask_anew(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            for _ in range(10):
                bound = chosen.randrange(1, 200_000)
                sql = "SELECT MEASURE(count) FROM orders WHERE id < %s AND id <> %s"
                row = connection.execute(sql, (bound, -chosen.randrange(1 << 30))).fetchone()
                assert row == (bound,)

    def stream(self, chosen: random.Random) -> None:
        with self._connect() as connection, connection.cursor() as cursor:
            rows = sum(1 for _ in cursor.stream(self.large.encode()))
            assert rows == 20_000
            with connection.transaction(), connection.cursor("named") as named:
                named.execute(self.large.encode())
                assert len(named.fetchmany(chosen.randrange(1, 500))) > 0

    def cancel(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            try:
                with cancelling(connection, 0.05 + chosen.random() * 0.2):
                    connection.execute("SELECT pg_sleep(30)")
                raise AssertionError("a nap of 30 s ended")
            except psycopg.errors.QueryCanceled:
                pass
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def err(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            for sql, wanted in ERRORS.items():
                told = sqlstate_of(connection, sql, prepare=chosen.random() < 0.5)
                assert told == wanted, f"{sql}: {told}"
        time.sleep(0.02)

    def disconnect(self, chosen: random.Random) -> None:
        """Go away: before the login, and in the middle of a result."""
        connection = self._connect()
        where = connection.info
        if chosen.random() < 0.5:
            with socket.create_connection((where.host, where.port), 10) as raw:
                raw.sendall(chosen.randbytes(chosen.randrange(1, 30)))
        connection.pgconn.send_query(self.large.encode())
        time.sleep(chosen.random() * 0.05)
        connection.pgconn.finish()

    def make_table(self, chosen: random.Random) -> None:
        with self._connect() as connection:
            connection.execute("CREATE TEMPORARY TABLE own AS SELECT 1 AS id")
            limit = chosen.randrange(1, 100)
            connection.execute(
                f"CREATE TEMPORARY TABLE few AS SELECT id FROM orders WHERE id < {limit}"
            )
            joined = connection.execute("SELECT count(*) FROM few").fetchone()
            assert joined == (limit,)
        time.sleep(0.05)


def sqlstate_of(connection: psycopg.Connection, sql: str, *, prepare: bool) -> str | None:
    """What a statement fails with; None where it does not."""
    try:
        connection.execute(sql, prepare=prepare)
    except psycopg.Error as error:
        return error.sqlstate
    return None
