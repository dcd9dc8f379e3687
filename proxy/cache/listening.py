"""Invalidates what warehouses say has changed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence

from proxy.cache.generations import ALL
from proxy.cache.invalidation import Invalidation

logger = logging.getLogger("cubewire.cache")


async def follow(
    payloads: AsyncIterator[str | None],
    cubes_now: Callable[[], Sequence[str]],
    invalidation: Invalidation,
) -> None:
    """Invalidate for each payload: a cube's name, or nothing for all cubes of the source.

    Args:
        payloads: of the channel; None where some may have been missed.
        cubes_now: of the data source, as the model has them.
    """
    async for payload in payloads:
        cubes = cubes_now()
        if payload and payload != ALL and payload not in cubes:
            fields = {"payload": payload[:100]}
            logger.warning("a notification names no cube of the source", extra={"fields": fields})
        else:
            named = payload if payload and payload != ALL else None
            await invalidation.invalidate(cubes if named is None else (named,))
