"""Worker threads for warehouses whose driver blocks, in two lanes.

A call starts in the quick lane. One that is still running after a moment moves to the slow lane and
gives its place in the quick lane to the next one, so that slow statements never stand in front of
quick ones while there is room in either lane. Its thread also becomes nicer (Linux keeps a nice
value per thread): quick calls and the event loop then get the processor first. A thread can become
nicer but not, without privileges, less nice, so it ends with its call and a fresh one takes its
place.

Nothing here knows a warehouse. All methods but the threads' own loop belong to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from traceback import clear_frames
from typing import Generic, TypeVar

from connectors.queueing import queue_observer

T = TypeVar("T")

SLOW_AFTER_SECONDS = 0.1
CLOSE_SECONDS = 2.0
"""What the end waits for calls that run; a driver may wait for something that does not answer."""


class WorkersBusyError(Exception):
    """No thread became free within the time a call may wait."""


class WorkersClosedError(Exception):
    """The workers were closed before the call started."""


class WithdrawnError(Exception):
    """The call was taken back before it started."""


def be_nice(increment: int) -> None:
    """Lower the priority of the calling thread, where the platform has priorities of threads."""
    renice(threading.get_native_id(), increment)


def renice(thread_id: int, increment: int) -> None:
    """Lower the priority of one thread of this process; a thread that has ended is ignored."""
    if increment and hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread_id, increment)


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many threads may run at once, and how nice they are.

    Attributes:
        quick: calls that started a moment ago.
        slow: calls that have been running for longer.
        wait_seconds: how long a call may wait for a place before WorkersBusyError.
        slow_nice: nice value (0 to 19) of a thread in the slow lane.
    """

    quick: int = 8
    slow: int = 16
    wait_seconds: float = 30.0
    slow_nice: int = 10


class Call(Generic[T]):
    """One function to run in a thread. ``future`` has its result."""

    __slots__ = (
        "_function",
        "_timer",
        "abandoned",
        "future",
        "slow",
        "started",
        "submitted",
        "told",
        "worker",
    )

    def __init__(self, function: Callable[[], T], future: asyncio.Future[T]) -> None:
        self._function = function
        self._timer: asyncio.TimerHandle | None = None
        self.future = future
        self.worker: _Worker | None = None
        self.abandoned = False
        self.started = False
        self.slow = False
        self.submitted = perf_counter()
        self.told = queue_observer()

    def run(self) -> Callable[[], None]:
        """Run in the worker thread; what comes back settles the future in the event loop."""
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the future
            return lambda error=error: self._fail(error)  # type: ignore[misc]
        return lambda: self._succeed(result)

    def arm(self, timer: asyncio.TimerHandle) -> None:
        """Keep the one timer of this call: first of its wait, then of its lane."""
        self.disarm()
        self._timer = timer

    def disarm(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _succeed(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        # Of the functions it went through, `run` names this call, and so its future and the error:
        # a cycle, which would keep the rows and the connection of the others as well.
        clear_frames(error.__traceback__)
        if not self.future.done():
            self.future.set_exception(error)


class _Worker(threading.Thread):
    """A thread with an inbox of its own, so that the event loop decides who works."""

    def __init__(
        self, name: str, finished: Callable[[Call[object], Callable[[], None]], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.inbox: queue.SimpleQueue[Call[object] | None] = queue.SimpleQueue()
        self._finished = finished

    def run(self) -> None:
        while (call := self.inbox.get()) is not None:
            settle = call.run()
            self._finished(call, settle)
            # A result must not live on in an idle thread.
            del call, settle


class Workers:
    """The threads of one connector."""

    def __init__(self, name: str, lanes: Lanes) -> None:
        self._name = name
        self._lanes = lanes
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Worker] = []
        self._waiting: deque[Call[object]] = deque()
        self._running: set[Call[object]] = set()
        self._quick = 0
        self._slow = 0
        self._number = 0
        self._closed = False

    @property
    def running(self) -> int:
        """Calls that have a thread now."""
        return self._quick + self._slow

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return sum(not call.abandoned for call in self._waiting)

    def submit(self, function: Callable[[], T], *, urgent: bool = False) -> Call[T]:
        """Run ``function`` in a thread as soon as a lane has room; at once where it is urgent.

        Urgent is what frees resources or tells whether the warehouse lives: it must not stand
        behind the statements it is about.
        """
        call = Call(function, self._loop.create_future())
        if self._closed and not urgent:
            call.future.set_exception(WorkersClosedError())
            return call
        if urgent:
            self._start(call)
            return call
        self._waiting.append(call)
        self._dispatch()
        if not call.started:
            call.arm(self._loop.call_later(self._lanes.wait_seconds, self._give_up, call))
        return call

    def withdraw(self, call: Call[T]) -> bool:
        """Take back a call that has not started. False where it has."""
        if call.started:
            return False
        call.disarm()
        call.abandoned = True
        call.future.set_exception(WithdrawnError())
        call.future.exception()  # seen: the awaiting task may be gone
        return True

    async def close(self) -> None:
        """Refuse what waits, wait for what runs, though not for long, and end the threads."""
        self._closed = True
        while self._waiting:
            call = self._waiting.popleft()
            call.disarm()
            if not call.future.done():
                call.future.set_exception(WorkersClosedError())
        if self._running:
            await asyncio.wait([call.future for call in self._running], timeout=CLOSE_SECONDS)
        while self._idle:
            self._idle.pop().inbox.put(None)

    def _give_up(self, call: Call[object]) -> None:
        if not call.started and not call.abandoned:
            call.abandoned = True
            call.future.set_exception(WorkersBusyError())

    def _dispatch(self) -> None:
        while self._waiting and self._quick < self._lanes.quick:
            call = self._waiting.popleft()
            if call.abandoned:
                continue
            self._start(call)

    def _start(self, call: Call[object]) -> None:
        self._quick += 1
        worker = self._idle.pop() if self._idle else self._new_worker()
        call.started = True
        if call.told is not None:
            call.told(call.submitted, perf_counter())
        call.worker = worker
        self._running.add(call)
        call.arm(self._loop.call_later(SLOW_AFTER_SECONDS, self._demote, call))
        worker.inbox.put(call)

    def _new_worker(self) -> _Worker:
        self._number += 1
        worker = _Worker(f"{self._name}-{self._number}", self._report)
        worker.start()
        return worker

    def _demote(self, call: Call[object]) -> None:
        if self._slow >= self._lanes.slow:
            # The slow lane is full: the call keeps its place and asks again.
            call.arm(self._loop.call_later(SLOW_AFTER_SECONDS, self._demote, call))
            return
        call.slow = True
        self._quick -= 1
        self._slow += 1
        if call.worker is not None and call.worker.native_id is not None:
            renice(call.worker.native_id, self._lanes.slow_nice)
        self._dispatch()

    def _report(self, call: Call[object], settle: Callable[[], None]) -> None:
        """Called in the worker thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, call, settle)

    def _finish(self, call: Call[object], settle: Callable[[], None]) -> None:
        call.disarm()
        self._running.discard(call)
        worker, call.worker = call.worker, None
        if call.slow:
            self._slow -= 1
        else:
            self._quick -= 1
        if worker is not None:
            if call.slow or self._closed:
                worker.inbox.put(None)
            else:
                self._idle.append(worker)
        settle()
        self._dispatch()
