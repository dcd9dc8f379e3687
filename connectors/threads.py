"""Work in threads: one that its caller does not leave, and one that is left to itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, cast

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


def begun_in_own_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """What ``work`` returns in a new thread that ends with it.

    Nobody waits for the thread, the end of the process neither.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        # Whoever waited may have been told to stop meanwhile.
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # a loop that is closed waits for nothing
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
