"""Which cubes what is stored is fresh enough for.

A rollup's refresh key is declared for its own cube; other cubes may be over the same rows and say
something else about the age of their data.
"""

from __future__ import annotations

from dataclasses import dataclass

from semantic.compiler.rollups.api import UnusedRollup


@dataclass(frozen=True, slots=True)
class Freshness:
    """The cubes that something may answer.

    Attributes:
        cube: that declares it.
        serves: see ``StoredRollup``.
    """

    cube: str
    serves: frozenset[str] | None = frozenset()

    def suits(self, cube: str) -> bool:
        """Whether the data is as fresh as who asks a cube may expect."""
        return cube == self.cube or self.serves is None or cube in self.serves

    def with_parts_of(self, other: Freshness) -> Freshness:
        """That of both together, declared by the first."""
        if self.serves is None or other.serves is None:
            return Freshness(self.cube, other.serves if self.serves is None else self.serves)
        return Freshness(self.cube, self.serves & other.serves)


def not_fresh(name: str, cube: str, silent: frozenset[str]) -> UnusedRollup:
    """Why what is stored for one cube does not answer another one.

    Args:
        name: of the pre-aggregation.
        cube: that is asked.
        silent: cubes that declare nothing about the age of their data.
    """
    if cube in silent:
        return UnusedRollup(
            name,
            f"{cube} declares no refresh_key, so its own rows are read",
            f"declare one of {cube}, or SET cubewire.max_staleness",
        )
    return UnusedRollup(
        name,
        f"its data may be older than {cube} declares",
        f"refresh it as {cube} is, or SET cubewire.max_staleness",
    )
