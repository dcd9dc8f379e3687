"""What the C library keeps of memory that was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proxy.memory import HEAPS

SCRIPT = """
import ctypes, sys, threading
from proxy.memory import give_back, limit_heaps

limit_heaps()
c = ctypes.CDLL(None)
c.malloc.restype, c.free.argtypes, size = ctypes.c_void_p, [ctypes.c_void_p], 100_000
together = threading.Barrier(8)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def work():
    blocks = [c.malloc(size) for _ in range(100)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    together.wait()
    for block in blocks[:-1]:  # the last one keeps the others from being given back
        c.free(block)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
before = resident()
give_back()
print(before - resident())
c.malloc_stats()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_few_heaps_whose_free_memory_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) > 40_000_000
    heaps = sum(line.startswith("Arena ") for line in done.stderr.splitlines())
    assert 0 < heaps <= HEAPS
