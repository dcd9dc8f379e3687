"""Functions of the warehouses that the configuration adds to those a query may call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semantic.model.values import EMPTY, FrozenMap


@dataclass(frozen=True, slots=True)
class ConfiguredFunction:
    """A scalar function that some data sources have.

    Attributes:
        name: as clients call it, in lower case.
        arguments: names of PostgreSQL types.
        result: likewise.
        strict: it is NULL where an argument is.
        volatile: it may give another value each time.
        leakproof: neither its errors nor its time tell of its arguments. Said to PostgreSQL's
            catalog; a policy's rows are fenced off from it all the same.
        names: what it is called there, by data source: parts of a qualified name.
    """

    name: str
    arguments: tuple[str, ...]
    result: str
    strict: bool = False
    volatile: bool = False
    leakproof: bool = False
    names: FrozenMap = field(default=EMPTY)

    def name_at(self, data_source: str) -> tuple[str, ...] | None:
        """What a data source calls it; None where it has none."""
        found = self.names.get(data_source)
        return tuple(map(str, found)) if isinstance(found, tuple) else None


def names_by_source(names: Mapping[str, str]) -> FrozenMap:
    """``schema.function`` by data source as ``ConfiguredFunction.names``."""
    return FrozenMap(tuple((source, tuple(name.split("."))) for source, name in names.items()))
