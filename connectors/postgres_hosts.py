"""The servers of one PostgreSQL source: a primary and replicas, and which of them reads what.

Each is looked at every second: whether it answers, whether it is a replica, and how far it has
come in the write-ahead log. A replica is read from while it answers, lags by no more than it may,
and has replayed what has been heard of as written. Lag is time on our own clock: since when the
primary is known to be beyond the replica. While the primary is away that clock stands still, for
nothing is written meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors.errors import WarehouseError
from connectors.links import Links
from connectors.postgres_link import PostgresLink
from connectors.postgres_statement import PostgresStatement

logger = logging.getLogger("cubewire.warehouse")

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.5
SILENCES = 3
"""Looks in a row without an answer, after which what runs at a server is given up."""


STANDING = (
    b"SELECT pg_is_in_recovery()::text, coalesce(CASE WHEN pg_is_in_recovery()"
    b" THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0', 0)::text"
)
"""Whether a server is a replica, and its position in the write-ahead log, as texts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server says of itself.

    Attributes:
        is_replica: whether it replays what another one writes.
        position: in the write-ahead log, in bytes: written there, or replayed.
    """

    is_replica: bool
    position: int


def standing_of(row: bytes) -> Standing:
    """What the DataRow message that answers ``STANDING`` says."""
    (length,) = struct.unpack_from("!i", row, 7)
    replica, position = row[11 : 11 + length], row[15 + length :]
    return Standing(replica == b"true", int(position))


@dataclass(slots=True, eq=False)
class Host:
    """One server.

    Attributes:
        number: 0 for the one that is configured as the primary.
        links: to it, and what runs on them.
        is_up: whether it answered the last look.
        standing: what it said then; None where it has never answered.
    """

    number: int
    links: Links[PostgresLink, PostgresStatement]
    is_up: bool = True
    standing: Standing | None = None
    silences: int = 0

    @property
    def is_primary(self) -> bool:
        """Whether it is the one that is written to; what is not known is as configured."""
        return self.number == 0 if self.standing is None else not self.standing.is_replica

    @property
    def position(self) -> int:
        """How far it has come, as far as is known."""
        return 0 if self.standing is None else self.standing.position


Look = Callable[[Host], Awaitable[Standing]]


class Hosts:
    """All servers of a source; a single one is just that, and not looked at."""

    def __init__(self, hosts: Sequence[Host], look: Look, max_lag: float) -> None:
        self.all = tuple(hosts)
        self._look = look
        self._max_lag = max_lag
        self._written: deque[tuple[float, int]] = deque()
        self._primary_seen = 0.0
        self._horizon = 0
        self._sought = 0
        self._found = 0
        self._turn = 0
        self._soon = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at each, and go on doing so."""
        if len(self.all) > 1:
            await self._look_at_all()
            self._watch = asyncio.create_task(self._keep_looking(), name="postgres-hosts")

    async def close(self) -> None:
        """Look no more, stop what runs and close every link."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await asyncio.gather(*(host.links.close() for host in self.all))

    def written(self) -> None:
        """Data have changed before now: who has not replayed as much is not read from."""
        if len(self.all) > 1:
            self._sought += 1
            self._soon.set()

    def suspect(self, host: Host) -> None:
        """A link to it was lost, or could not be opened: others go before until it answers."""
        if len(self.all) > 1:
            host.is_up = False
            self._soon.set()

    def order(self, *, anywhere: bool) -> list[Host]:
        """The servers for a statement, in the order in which they are to be tried.

        Args:
            anywhere: it may read a replica; else only what is, or may be, the primary.
        """
        if len(self.all) == 1:
            return list(self.all)
        primaries = [host for host in self.all if host.is_primary]
        # After a failover the former primary may come back: it is behind the one of now.
        primaries.sort(key=lambda host: (not host.is_up, -host.position))
        if not anywhere:
            return primaries or [self.all[0]]
        self._turn += 1
        count = len(self.all)
        replicas = [host for host in self.all if self._is_fresh(host)]
        replicas.sort(
            key=lambda host: (len(host.links.statements), (host.number + self._turn) % count)
        )
        return [*replicas, *primaries] or [self.all[0]]

    def copies(self) -> Mapping[str, int]:
        """How many of the servers besides the primary are fit to be read from, and how many not."""
        if len(self.all) == 1:
            return {}
        found = dict.fromkeys(("fresh", "lagging", "down"), 0)
        for host in self.all:
            if not host.is_primary:
                fit = "fresh" if self._is_fresh(host) else "lagging"
                found[fit if host.is_up else "down"] += 1
        return found

    # ------------------------------------------------------------------------- looking

    def _is_fresh(self, host: Host) -> bool:
        standing = host.standing
        if standing is None or not standing.is_replica or not host.is_up:
            return False
        if self._found < self._sought or standing.position < self._horizon:
            return False
        return self._lag(standing.position) <= self._max_lag

    def _lag(self, position: int) -> float:
        """Seconds since which the primary is known to be beyond a position."""
        beyond = next((at for at, written in self._written if written > position), None)
        return 0.0 if beyond is None else self._primary_seen - beyond

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._soon.wait()
            self._soon.clear()
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        sought = self._sought
        await asyncio.gather(*(self._look_at(host) for host in self.all))
        primary = next((host for host in self.all if host.is_up and host.is_primary), None)
        if primary is not None and primary.standing is not None:
            self._note(primary.standing.position)
        # Where there is no primary, what it had written when it was last seen is all there is.
        if self._found < sought:
            self._found = sought
            self._horizon = self._written[-1][1] if self._written else 0

    async def _look_at(self, host: Host) -> None:
        was_up = host.is_up and host.standing is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                host.standing = await self._look(host)
        except (WarehouseError, TimeoutError) as error:
            host.is_up = False
            host.silences += 1
            if host.silences == SILENCES:
                host.links.sever()
            if was_up:
                self._tell("a server of a data source does not answer", host, str(error))
        else:
            host.is_up = True
            host.silences = 0
            if not was_up:
                self._tell("a server of a data source answers", host, "")

    def _note(self, position: int) -> None:
        now = asyncio.get_running_loop().time()
        self._primary_seen = now
        if self._written and position < self._written[-1][1]:
            # Another one is the primary now, and lacks the last that the former has written.
            self._written.clear()
            self._horizon = min(self._horizon, position)
        if not self._written or position > self._written[-1][1]:
            self._written.append((now, position))
        least = min(host.position for host in self.all)
        while len(self._written) > 1 and (
            self._written[0][1] <= least or now - self._written[1][0] > self._max_lag
        ):
            self._written.popleft()

    def _tell(self, what: str, host: Host, reason: str) -> None:
        standing = host.standing
        role = "unknown" if standing is None else ("primary", "replica")[standing.is_replica]
        fields = {"host": host.number, "role": role, "reason": reason}
        logger.warning(what, extra={"fields": fields})
