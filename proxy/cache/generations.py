"""How often the results of each cube have been invalidated: numbers that are part of every key.

What was computed before an invalidation, or is being computed, has a key of before: it is never
found again, wherever it is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ALL = "*"
"""The number that counts for every cube."""


@dataclass(slots=True)
class Generations:
    """The numbers, of this process alone and of all that share a Redis.

    Attributes:
        shared: as last heard from Redis.
        unshared: cubes invalidated here that Redis has not been told of.
    """

    shared: dict[str, int] = field(default_factory=dict)
    unshared: set[str] = field(default_factory=set)
    _own: dict[str, int] = field(default_factory=dict)

    def invalidate(self, cubes: Iterable[str]) -> None:
        """What is known of these cubes (``*``: of all) is no longer true."""
        for cube in cubes:
            self._own[cube] = self._own.get(cube, 0) + 1

    def adopt(self, shared: Mapping[str, int]) -> frozenset[str]:
        """Take over Redis' numbers; returns the cubes whose number is another."""
        changed = frozenset(
            cube
            for cube in {*shared, *self.shared}
            if shared.get(cube, 0) != self.shared.get(cube, 0)
        )
        self.shared = dict(shared)
        return changed

    def token(self, cubes: Iterable[str]) -> bytes:
        """The numbers of these cubes, for keys in this process."""
        return _written(cubes, self._own) + b"/" + self.shared_token(cubes)

    def shared_token(self, cubes: Iterable[str]) -> bytes:
        """The same, for keys in Redis."""
        return _written(cubes, self.shared)


def _written(cubes: Iterable[str], numbers: Mapping[str, int]) -> bytes:
    return ",".join(str(numbers.get(cube, 0)) for cube in (ALL, *sorted(cubes))).encode()
