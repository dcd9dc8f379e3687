"""Clients that check every answer, and remember how their connections ended."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from tests.scale.world import USERS, World, question

SHUTDOWN = "57P01"


@dataclass(frozen=True)
class Ended:
    """A connection that ended though nobody here closed it.

    Attributes:
        host: that it was connected to; None where it was not known yet.
        began: monotonic seconds, of what it was doing; likewise ``at``, when it ended.
        sqlstate: None where nothing was said.
    """

    host: str | None
    began: float
    at: float
    sqlstate: str | None
    text: str


@dataclass
class Load:
    world: World
    bounds: list[int]
    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def client(self, seed: int) -> None:
        chosen = random.Random(seed)
        user = chosen.choice(sorted(USERS))
        while not self.stop.is_set():
            host, began = None, time.monotonic()
            try:
                with self.world.connect(user) as connection:
                    host = self.world.host_of(connection).name
                    for _ in range(chosen.randrange(50, 400)):
                        if self.stop.is_set():
                            return
                        began = time.monotonic()
                        self.ask(connection, user, chosen.choice(self.bounds))
                        time.sleep(chosen.random() * 0.01)
            except psycopg.OperationalError as error:
                now = time.monotonic()
                self.ended.append(Ended(host, began, now, error.sqlstate, str(error).strip()))
                time.sleep(0.05)
            except psycopg.Error as error:
                self.failed.append(f"{host}: {error.sqlstate} {error}")

    def ask(self, connection: psycopg.Connection, user: str, bound: int) -> None:
        rows = connection.execute(question(bound)).fetchall()
        self.answers += 1
        if rows != self.world.expected(user, bound):
            self.wrong.append(f"{user} {bound}: {rows}")


@contextmanager
def load(world: World, clients: int, bounds: list[int]) -> Iterator[Load]:
    """Clients through the balancer, until the end of the block."""
    found = Load(world, bounds)
    for user in USERS:
        for bound in bounds:
            world.expected(user, bound)
    threads = [threading.Thread(target=found.client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        for thread in threads:
            thread.join(60)
