"""Work in a thread that its caller does not leave before it has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def finished_in_thread(
    work: Callable[..., T], *arguments: object, executor: Executor | None = None
) -> T:
    """What ``work`` returns in a thread (of the loop's pool, where no executor is given).

    A caller that is cancelled learns so when the thread has ended: whoever is cancelled closes
    files and frees buffers, and must not while a thread is still writing to them.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, work, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen: the cancellation is what is reported
        raise
