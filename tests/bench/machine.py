"""What processes take of the machine."""

from __future__ import annotations

import os
import platform
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.03
SETTLED_BYTES = 100_000


def tree(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def memory(pid: int) -> int:
    """Proportional set size of a process tree in bytes: what is shared counts once."""
    total = 0
    for process in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def processor_seconds(pid: int) -> float:
    """Processor time that a process and all below it have taken so far."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def settled_memory(pid: int, patience: float = 15.0) -> int:
    """Memory once it no longer changes: allocators give back what a burst took after a while."""
    deadline = time.monotonic() + patience
    before = memory(pid)
    while time.monotonic() < deadline:
        time.sleep(1.5)
        now = memory(pid)
        if abs(now - before) < SETTLED_BYTES:
            return now
        before = now
    return before


class PeakMemory:
    """Watches a process tree from a thread; ``peak`` is in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.peak = max(self.peak, memory(self._pid))
            self._stop.wait(SAMPLE_SECONDS)


def many_files() -> None:
    """Lift the limit of open files as far as it goes: every connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class OthersShare:
    """How much of the machine was taken by processes that are none of ours, 0 to 1."""

    def __init__(self) -> None:
        self._began = self._now()

    def so_far(self) -> float:
        """Since this object was made."""
        spent = [now - then for now, then in zip(self._now(), self._began, strict=True)]
        busy, whole, own = spent
        return max(0.0, busy - own) / whole if whole else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds of all processors busy, busy or idle, and busy with this process's tree."""
        times = psutil.cpu_times()
        whole = sum(times[:8])
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = ended.ru_utime + ended.ru_stime
        for process in tree(os.getpid()):
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                own += used.user + used.system
        return whole - times.idle - times.iowait, whole, own


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def description() -> dict[str, Any]:
    """The machine that the figures are of."""
    model = ""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": psutil.virtual_memory().total // 1_000_000,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll a condition. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not start within {seconds:.0f} s")
        time.sleep(0.02)
