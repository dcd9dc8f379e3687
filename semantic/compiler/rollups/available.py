"""The rollups that a statement may be answered from: what the model declares and what is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from semantic.compiler.rollups.api import (
    RollupCandidates,
    RollupDefinition,
    StoredPart,
    StoredRollup,
    UnusedRollup,
)
from semantic.compiler.rollups.blueprint import Blueprint
from semantic.model.model import Model


@dataclass(frozen=True, slots=True)
class Available:
    """A rollup that can be read.

    Attributes:
        name: of the pre-aggregation, which a lambda gives to the rollups it is made of.
        blueprint: what its tables hold.
        parts: the tables.
        union_with_source: what is not built may be read from the source.
        complete: there is nothing that is not built.
    """

    name: str
    blueprint: Blueprint
    parts: tuple[StoredPart, ...]
    union_with_source: bool
    complete: bool = False

    @property
    def rows(self) -> int:
        """How many are stored."""
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True, slots=True)
class Rollups:
    """What match_rollup chooses from.

    Attributes:
        available: those that can be read.
        unavailable: those that cannot, by the cube that they belong to, and why.
    """

    available: tuple[Available, ...] = ()
    unavailable: tuple[tuple[str, UnusedRollup], ...] = ()


NO_ROLLUPS = Rollups()


def nothing_built(model: Model) -> Rollups:
    """Where nothing can be read, as it is for a model without rollups or without a store."""
    missing = [
        (cube.name, _not_built(f"{cube.name}.{item.name}"))
        for cube in model.cubes
        for item in cube.pre_aggregations
        if item.type == "rollup"
    ]
    return Rollups((), tuple(missing)) if missing else NO_ROLLUPS


def _not_built(name: str) -> UnusedRollup:
    return UnusedRollup(name, "it is not built", f"cubewire rollups build {name}")


def choose_from(
    definitions: Mapping[str, RollupDefinition],
    blueprints: Mapping[str, Blueprint],
    candidates: RollupCandidates,
) -> Rollups:
    """Sort a model's rollups into those that can be read for a statement and the others."""
    stored = {item.definition: item for item in candidates.stored}
    available: list[Available] = []
    unavailable: list[tuple[str, UnusedRollup]] = []
    for name, definition in definitions.items():
        if definition.kind != "rollup":
            continue
        blueprint = blueprints[name]
        problem = _problem(definition, stored.get(name), candidates.built_since)
        if problem is not None:
            unavailable.append((definition.cube, problem))
            continue
        available.append(
            Available(
                name,
                blueprint,
                stored[name].parts,
                definition.union_with_source,
                stored[name].complete,
            )
        )
    return Rollups(tuple(available), tuple(unavailable))


def _problem(
    definition: RollupDefinition, stored: StoredRollup | None, built_since: float | None
) -> UnusedRollup | None:
    name = definition.name
    if stored is None or not stored.parts:
        return _not_built(name)
    if stored.version != definition.version:
        change = f"cubewire rollups build {name}"
        return UnusedRollup(name, "what is built is of another version of the model", change)
    if stored.data_source != definition.data_source:
        return UnusedRollup(name, f"it is kept in another data source, {stored.data_source}")
    oldest = min(part.built_at for part in stored.parts)
    if built_since is not None and oldest < built_since:
        return UnusedRollup(
            name, "its data is older than the statement wants", "refresh it, or accept older data"
        )
    return None
