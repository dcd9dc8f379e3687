"""Wrong passwords cost time: per user and address, so that nobody else waits for an attacker."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_TABLE_LIMIT = 10_000
"""Pairs remembered. Beyond it the oldest is forgotten: memory must not grow with an attack."""
_PREFIX_OF_IPV6 = 64
"""One subscriber commonly owns a whole /64, so its addresses count as one."""


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class FailureThrottle:
    """Counts failures of a user from an address and says how long to wait.

    The first failure is answered at once (a typing error); the n-th waits ``base * 2**(n-2)``
    seconds, at most ``longest``. After ``limit`` failures further attempts are refused without
    being looked at until ``window`` seconds have passed since the last one.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        base: float,
        longest: float,
        limit: int,
        window: float,
    ) -> None:
        self._clock = clock
        self._base = base
        self._longest = longest
        self._limit = limit
        self._window = window
        self._table: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def refused_for(self, user: str, address: str) -> float:
        """Seconds for which this pair is locked out, 0.0 where it may try."""
        known = self._current(_key(user, address))
        if known is None or known.count < self._limit:
            return 0.0
        return max(0.0, known.last + self._window - self._clock())

    def failed(self, user: str, address: str) -> float:
        """Count a failure; return the seconds to wait before answering it."""
        key = _key(user, address)
        known = self._current(key)
        if known is None:
            known = self._table[key] = _Failures(0, 0.0)
            if len(self._table) > _TABLE_LIMIT:
                self._table.popitem(last=False)
        known.count += 1
        known.last = self._clock()
        self._table.move_to_end(key)
        if known.count == 1:
            return 0.0
        # The exponent is bounded so that a long attack cannot overflow a float.
        return min(self._longest, math.ldexp(self._base, min(known.count - 2, 30)))

    def succeeded(self, user: str, address: str) -> None:
        """Forget the pair's failures."""
        self._table.pop(_key(user, address), None)

    def _current(self, key: tuple[str, str]) -> _Failures | None:
        known = self._table.get(key)
        if known is not None and self._clock() - known.last >= self._window:
            del self._table[key]
            return None
        return known


def network(address: str) -> str:
    """The addresses that count as one with this."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), _PREFIX_OF_IPV6), strict=False))
    return str(parsed)


def _key(user: str, address: str) -> tuple[str, str]:
    return user, network(address)
