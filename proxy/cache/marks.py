"""Marks of invalidations as Redis holds them, and which of those found there are believed.

With a secret that all processes share, a mark bears a keyed checksum over its place, and its time:
one that others put there, or an older one put back, would bring back results of before an
invalidation. Where a mark is missing or not believed nobody knows what it stood for, so that a new
one, which is one more invalidation, takes its place.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from proxy.cache.keys import checksum

_RANDOM_BYTES = 8
_SEPARATOR = b"."


def new_mark() -> str:
    """A mark that never was."""
    return secrets.token_hex(_RANDOM_BYTES)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in Redis.

    Attributes:
        marks: by cube; those that are not believed are of this process alone.
        missing: cubes that have none.
        refused: cubes whose mark is not believed.
    """

    marks: Mapping[str, str]
    missing: Collection[str]
    refused: Collection[str]


@dataclass(frozen=True, slots=True)
class _Known:
    """A mark that was believed; ``at``: microseconds since 1970."""

    at: int
    mark: bytes


_NONE = _Known(0, b"")


@dataclass(slots=True, eq=False)
class Marks:
    """Makes marks, and judges those of others.

    Attributes:
        name: of the hash in Redis.
        secret: of the checksums; None where the processes have none together: any mark is believed.
        clock: Unix seconds. It only has to put a mark after those that this process knows.
    """

    name: bytes
    secret: bytes | None
    clock: Callable[[], float] = time.time
    _newest: dict[str, _Known] = field(default_factory=dict)

    def new(self, cube: str) -> bytes:
        """A mark of a cube as Redis is to hold it."""
        if self.secret is None:
            return new_mark().encode()
        at = max(int(self.clock() * 1_000_000), self._newest.get(cube, _NONE).at + 1)
        body = b"%x" % at + _SEPARATOR + new_mark().encode()
        return body + _SEPARATOR + self._checksum(self.secret, cube, body)

    def known(self, cube: str) -> bytes:
        """The newest mark of a cube that was believed; empty where there was none."""
        return self._newest.get(cube, _NONE).mark

    def judge(self, found: Mapping[bytes, bytes], cubes: Iterable[str]) -> Judged:
        """Take over what Redis holds of these cubes; what else is there may be anything."""
        marks: dict[str, str] = {}
        missing: set[str] = set()
        refused: set[str] = set()
        for cube in cubes:
            mark = found.get(cube.encode())
            if mark is None:
                missing.add(cube)
            elif self._is_good(cube, mark):
                marks[cube] = mark.decode(errors="replace")
                continue
            else:
                refused.add(cube)
            marks[cube] = new_mark()
        return Judged(marks, missing, refused)

    def _is_good(self, cube: str, mark: bytes) -> bool:
        if self.secret is None:
            return True
        newest = self._newest.get(cube, _NONE)
        if mark == newest.mark:
            return True
        body, _, proof = mark.rpartition(_SEPARATOR)
        if not hmac.compare_digest(proof, self._checksum(self.secret, cube, body)):
            return False
        at = int(body.partition(_SEPARATOR)[0], 16)
        if at <= newest.at:
            return False
        self._newest[cube] = _Known(at, mark)
        return True

    def _checksum(self, secret: bytes, cube: str, body: bytes) -> bytes:
        return checksum(secret, (self.name, cube.encode(), body)).hex().encode()
