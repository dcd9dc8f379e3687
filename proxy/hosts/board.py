"""The rows of the processes of other hosts.

Who reads says so in Redis; each process then posts its rows every second, for as long as somebody
has read within the last minute. Until then it only posts that it is there.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from proxy.cache.breaker import UnavailableError
from proxy.hosts.identity import Process
from proxy.hosts.shared import SharedRedis

Row: TypeAlias = dict[str, object]

KEPT_SECONDS = 10
"""How long what a process has posted is taken for what there is, if it posts nothing more."""
WANTED_SECONDS = 60
"""How long rows are posted after somebody has read them."""
READ_SECONDS = 1.5
"""What processes have for their first rows, when nobody has read for a while."""
AGAIN_SECONDS = 0.1
MOST_ROWS: Mapping[str, int] = {"sessions": 2000, "statements": 500, "sources": 200}
"""Of each table, and process; of statements, those that run, then the last to end."""
MOST_BYTES = 1 << 20
"""Of what a process posts, compressed."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What a process has posted; ``tables`` is None where it had not been asked for rows."""

    process: Process
    tables: dict[str, list[Row]] | None
    cut: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """As few bytes as JSON takes."""
        process = self.process
        parts = {
            "process": [process.host, process.server, process.worker, process.token],
            "tables": self.tables,
            "cut": self.cut,
        }
        return zlib.compress(json.dumps(parts).encode(), 1)

    @classmethod
    def decode(cls, message: bytes) -> Posted:
        """Raises ValueError for what nobody has encoded."""
        try:
            parts = json.loads(zlib.decompress(message))
            return cls(Process(*parts["process"]), parts["tables"], tuple(parts["cut"]))
        except (zlib.error, KeyError, TypeError) as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of other hosts, and what is missing of it."""

    posted: tuple[Posted, ...] = ()
    warnings: tuple[str, ...] = ()

    def rows(self, table: str) -> list[Row]:
        """All rows of a table."""
        return [row for each in self.posted for row in (each.tables or {}).get(table, ())]


@dataclass(slots=True, eq=False)
class Board:
    """Posts what this process has, and reads what others have posted.

    Attributes:
        rows: of a table, in this process.
    """

    redis: SharedRedis
    process: Process
    rows: Callable[[str], list[Row]]
    _key: bytes = field(init=False)
    _members: bytes = field(init=False)
    _wanted: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._key = self._place(self.process.token.encode())
        self._members = self.redis.key("processes")
        self._wanted = self.redis.key("rows-wanted")

    async def post(self) -> None:
        """Post what there is now. Raises UnavailableError."""
        (wanted,) = await self.redis.look(lambda to: to.get(self._wanted))
        tables = {name: self.rows(name) for name in MOST_ROWS} if wanted else None
        message = await asyncio.to_thread(self._sealed, tables)
        await self.redis.look(
            lambda to: to.set(self._key, message, ex=KEPT_SECONDS),
            lambda to: to.sadd(self._members, self.process.token),
            lambda to: to.expire(self._members, WANTED_SECONDS),
        )

    async def withdraw(self) -> None:
        """This process has gone. Raises UnavailableError."""
        await self.redis.ask(
            lambda to: to.delete(self._key),
            lambda to: to.srem(self._members, self.process.token),
        )

    async def read(self) -> Seen:
        """What other hosts have. Never fails: what is missing is told."""
        deadline = asyncio.get_running_loop().time() + READ_SECONDS
        try:
            while True:
                await self.redis.ask(lambda to: to.set(self._wanted, b"1", ex=WANTED_SECONDS))
                found, foreign = await self._others()
                waiting = [each for each in found if each.tables is None]
                if not waiting or asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(AGAIN_SECONDS)
        except UnavailableError:
            return Seen(warnings=("Redis does not answer: rows of other hosts are missing",))
        warnings = [
            f"worker {each.process.worker} of {each.process.host} has not answered in time: "
            "its rows are missing"
            for each in waiting
        ]
        warnings += (
            f"worker {each.process.worker} of {each.process.host} has more rows in {name}"
            for each in found
            for name in each.cut
        )
        if foreign:
            warnings.append(
                f"{foreign} processes have another cache.redis.secret: their rows are missing"
            )
        return Seen(tuple(found), tuple(warnings))

    async def processes(self) -> list[Process]:
        """The processes of other servers that are there now. Raises UnavailableError."""
        found, _ = await self._others()
        return [each.process for each in found]

    async def _others(self) -> tuple[list[Posted], int]:
        """What other servers have posted, and how much of it cannot be read."""
        (members,) = await self.redis.ask(lambda to: to.smembers(self._members))
        own = self.process.token.encode()
        places = {each: self._place(each) for each in sorted(members) if each != own}
        if not places:
            return [], 0
        values = await self.redis.ask(*(_get(place) for place in places.values()))
        found = dict(zip(places, values, strict=True))
        gone = [each for each, value in found.items() if value is None]
        if gone:
            # Ended without a word. Who is there after all names itself again within a second.
            await self.redis.ask(lambda to: to.srem(self._members, *gone))
        messages = {places[each]: value for each, value in found.items() if value is not None}
        return await asyncio.to_thread(self._opened, messages)

    def _opened(self, messages: Mapping[bytes, bytes]) -> tuple[list[Posted], int]:
        found, foreign = [], 0
        for place, sealed in messages.items():
            message = self.redis.sealer.open(sealed, place)
            if message is None:
                foreign += 1
                continue
            posted = Posted.decode(message)
            if posted.process.server != self.process.server:
                found.append(posted)
        return sorted(found, key=lambda each: (each.process.host, each.process.worker)), foreign

    def _place(self, token: bytes) -> bytes:
        return self.redis.key("rows") + b":" + token

    def _sealed(self, tables: dict[str, list[Row]] | None) -> bytes:
        """A message with as many rows as it may have."""
        most = dict(MOST_ROWS)
        while True:
            kept = tables and {name: rows[: most[name]] for name, rows in tables.items()}
            cut = [name for name, rows in (tables or {}).items() if len(rows) > most[name]]
            message = Posted(self.process, kept, tuple(cut)).encode()
            if len(message) <= MOST_BYTES:
                return self.redis.sealer.seal(message, self._key)
            most = {name: number // 2 for name, number in most.items()}


def _get(place: bytes) -> Callable[[Any], object]:
    return lambda to: to.get(place)
