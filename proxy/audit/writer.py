"""Hands events to a sink from a thread of its own: bounded, in order, and tried until it works."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from proxy.audit.chain import Chain, Item
from proxy.audit.head import Head, HeadFile
from proxy.audit.sinks import Sink
from proxy.observability.lines import timestamp

logger = logging.getLogger("cubewire.audit")

BATCH_LINES = 1_000
GATHER_SECONDS = 0.02
"""Events that come within this time are written together."""
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 5.0


class AuditWriter:
    """The queue, the chain and the thread.

    Attributes:
        failure: why the sink takes nothing, None while it does.
        written: lines that the sink has taken.
        missed: events that found the queue full.
    """

    def __init__(
        self,
        sink: Sink,
        chain: Chain,
        *,
        capacity: int,
        source: str,
        head: HeadFile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start the thread.

        Args:
            sink: closed by ``close``.
            chain: where the trail has come to.
            capacity: events that may wait.
            source: what every line says of the process that wrote it: the chain's name.
            head: told how far the chain has come.
            clock: unix seconds.
        """
        self._sink = sink
        self._chain = chain
        self._head = head
        self._capacity = capacity
        self._source = source
        self._clock = clock
        self._waiting: deque[Mapping[str, Item]] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._told_missed = 0
        self.failure: str | None = None
        self.written = 0
        self.missed = 0
        self._thread = threading.Thread(target=self._run, name="cubewire-audit", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether an event would find no place."""
        return len(self._waiting) >= self._capacity

    def append(self, fields: Mapping[str, Item]) -> None:
        """Queue an event; its time is now. Returns at once."""
        if self.full:
            self.missed += 1
            return
        self._waiting.append({"time": timestamp(self._clock()), "source": self._source, **fields})
        if not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """Write what waits, for some seconds at most, and let go of the sink."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._sink.close()
        if self._waiting:
            fields = {"events": len(self._waiting)}
            logger.error("events of the audit trail are lost", extra={"fields": fields})

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            closing = self._closing.wait(GATHER_SECONDS)
            self._wanted.clear()
            while self._waiting or self._told_missed != self.missed:
                if not self._write_batch():
                    return
            if closing:
                return

    def _write_batch(self) -> bool:
        """Seal and write, again and again until it works. False where the end came before."""
        chain = replace(self._chain)
        count = min(len(self._waiting), BATCH_LINES)
        lines = [chain.seal(self._waiting[index]) for index in range(count)]
        missed = self.missed
        if missed != self._told_missed:
            lines.append(chain.seal(self._gap(missed - self._told_missed)))
        size = len(lines)
        while not self._attempt(lines, chain):
            if self._closing.wait(RETRY_SECONDS):
                return False
        for _ in range(count):
            self._waiting.popleft()
        self._chain = chain
        self._told_missed = missed
        self.written += size
        return True

    def _attempt(self, lines: list[str], chain: Chain) -> bool:
        """One try. Lines that the sink has taken are taken off the list."""
        try:
            if lines:
                self._sink.write(lines)
                lines.clear()
            if self._head is not None:
                self._head.write(Head(chain.sequence, chain.previous))
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self.failure:
                logger.error(  # noqa: TRY400 - the sink is at fault, not this code
                    "the audit trail cannot be written", extra={"fields": {"reason": reason}}
                )
            self.failure = reason
            return False
        if self.failure is not None:
            logger.warning("the audit trail is written again")
        self.failure = None
        return True

    def _gap(self, count: int) -> Mapping[str, Item]:
        now = timestamp(self._clock())
        return {
            "time": now,
            "source": self._source,
            "event": "audit",
            "action": "events missed",
            "count": count,
        }
