"""Memory that the C library keeps after it was freed.

glibc has a heap for each few threads. What a burst leaves in them is not given back while anything
lies behind it, so that a server whose threads come and go would grow for hours with nothing in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

HEAPS = 2
"""Python code runs in one thread at a time, and DuckDB and Arrow have allocators of their own."""
RETURN_SECONDS = 30.0
"""How often what is free goes back to the system; it takes some milliseconds of a thread."""
CLOSE_SECONDS = 2.0

_M_ARENA_MAX = -8
"""The number of this setting in glibc's ``malloc.h``."""
_CHOSEN = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
"""Variables by which an administrator has said how many heaps there are to be."""


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is the one that does so."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


def limit_heaps() -> None:
    """Let all threads share few heaps. To be called before there are many threads."""
    library = _glibc()
    if library is not None and not any(name in os.environ for name in _CHOSEN):
        library.mallopt(_M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Give the system what is free in all heaps. Other threads go on, but for allocating."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@asynccontextmanager
async def memory_given_back() -> AsyncIterator[None]:
    """Do so meanwhile, again and again."""
    task = asyncio.create_task(_keep_giving_back(), name="free memory")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=CLOSE_SECONDS)


async def _keep_giving_back() -> None:
    while True:
        await asyncio.sleep(RETURN_SECONDS)
        await asyncio.to_thread(give_back)
