"""A lease on a name in a bucket: who holds it works alone, as long as it lives.

Two processes may both believe to hold one for a moment, where a clock jumps or a process sleeps
longer than a lease lasts. So nothing that has to be right may depend on it: it saves work only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors.bucket import Bucket
from connectors.errors import WarehouseError

LEASE_SECONDS = 60.0
"""How long a lease outlives its holder, where nobody can tell that it died."""


@asynccontextmanager
async def lease(bucket: Bucket, name: str, seconds: float = LEASE_SECONDS) -> AsyncIterator[bool]:
    """Hold a lease and renew it; False where somebody else has it. Raises WarehouseError 08006."""
    held = _Lease(bucket, f"locks/{name}.json", seconds)
    if not await asyncio.to_thread(held.take):
        yield False
        return
    renewing = asyncio.create_task(held.renew_until_cancelled(), name=f"lease {name}")
    try:
        yield True
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        await asyncio.to_thread(held.release)


class _Lease:
    def __init__(self, bucket: Bucket, name: str, seconds: float) -> None:
        self._bucket = bucket
        self._name = name
        self._seconds = seconds
        self._token = secrets.token_hex(8)

    def take(self) -> bool:
        """Whether it is ours now."""
        if self._bucket.create(self._name, self._content()):
            return True
        if not _is_over(self._holder()):
            return False
        self._bucket.delete(self._name)
        return self._bucket.create(self._name, self._content())

    async def renew_until_cancelled(self) -> None:
        """Write a later end again and again, unless another one holds it by now."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            with contextlib.suppress(WarehouseError):
                if await asyncio.to_thread(self._is_ours):
                    await asyncio.to_thread(self._bucket.replace, self._name, self._content())

    def release(self) -> None:
        """Let it go, unless another one holds it by now; what is left ends by itself."""
        with contextlib.suppress(WarehouseError):
            if self._is_ours():
                self._bucket.delete(self._name)

    def _is_ours(self) -> bool:
        return self._holder().get("token") == self._token

    def _holder(self) -> dict[str, object]:
        data = self._bucket.read(self._name)
        try:
            found = json.loads(data or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _content(self) -> bytes:
        holder = {
            "token": self._token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "until": time.time() + self._seconds,
        }
        return json.dumps(holder).encode()


def _is_over(holder: dict[str, object]) -> bool:
    """Whether a lease's time is up, or it is of a process of this host that is gone."""
    until, pid = holder.get("until"), holder.get("pid")
    if not isinstance(until, float) or not isinstance(pid, int) or until < time.time():
        return True
    if holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
