"""Marks of the invalidations of each cube: they are part of every key.

What was computed before an invalidation, or is being computed, has a key of before: it is never
found again, wherever it is stored. Marks are random, so that one that was lost and made anew, with
a Redis that was emptied, is none of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxy.cache.marks import new_mark

ALL = "*"
"""The mark that counts for every cube."""


@dataclass(slots=True)
class Generations:
    """The marks, of this process alone and of all that share a Redis.

    Attributes:
        unshared: cubes invalidated here that Redis has not been told of.
        refused: how many marks in Redis were not believed.
    """

    unshared: set[str] = field(default_factory=set)
    refused: int = 0
    _shared: dict[str, str] = field(default_factory=dict)
    _own: dict[str, str] = field(default_factory=dict)
    _unknown: str = field(default_factory=new_mark)

    @property
    def are_shared(self) -> bool:
        """Whether Redis' marks are known, and it knows ours."""
        return ALL in self._shared and not self.unshared

    def invalidate(self, cubes: Iterable[str]) -> None:
        """What is known of these cubes (``*``: of all) is no longer true."""
        for cube in cubes:
            self._own[cube] = new_mark()

    def adopt(self, shared: Mapping[str, str]) -> frozenset[str]:
        """Take over Redis' marks; returns the cubes whose mark is another than it was."""
        before, self._shared = self._shared, dict(shared)
        self._unknown = new_mark()
        if not before:
            return frozenset()
        return frozenset(
            cube for cube in {*shared, *before} if shared.get(cube) != before.get(cube)
        )

    def token(self, cubes: Iterable[str]) -> bytes:
        """The marks of these cubes, for keys in this process."""
        return _written(cubes, self._own) + b"/" + self.shared_token(cubes)

    def shared_token(self, cubes: Iterable[str]) -> bytes:
        """The same, for keys in Redis.

        Of a cube whose mark is not known yet they are nobody else's.
        """
        return _written(cubes, self._shared, self._unknown)


def _written(cubes: Iterable[str], marks: Mapping[str, str], absent: str = "") -> bytes:
    return ",".join(marks.get(cube, absent) for cube in (ALL, *sorted(cubes))).encode()
