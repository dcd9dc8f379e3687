"""The rollups that a statement may be answered from: what the model declares and what is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from semantic.compiler.rollups.api import (
    RollupCandidates,
    RollupDefinition,
    StoredPart,
    StoredRollup,
    UnusedRollup,
)
from semantic.compiler.rollups.blueprint import Blueprint, Key, Part
from semantic.compiler.rollups.coverage import Span
from semantic.compiler.rollups.freshness import Freshness
from semantic.compiler.rollups.kept_rows import KeptRows
from semantic.compiler.rollups.stored_rows import StoredRows
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
        freshness: whom its data is fresh enough for.
    """

    name: str
    blueprint: Blueprint
    parts: tuple[StoredPart, ...]
    union_with_source: bool
    complete: bool
    freshness: Freshness

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
        rows: rows of cubes that are kept as tables.
        silent: cubes that declare nothing about the age of their data.
    """

    available: tuple[Available, ...] = ()
    unavailable: tuple[tuple[str, UnusedRollup], ...] = ()
    rows: tuple[StoredRows, ...] = ()
    silent: frozenset[str] = frozenset()


NO_ROLLUPS = Rollups()
# Of a table that is not ours: more than of what is built for the purpose.
_UNKNOWN_ROWS = 10_000_000


def nothing_built(model: Model) -> Rollups:
    """Where nothing can be read, as it is for a model without rollups or without a store."""
    missing = [
        (cube.name, _not_built(f"{cube.name}.{item.name}"))
        for cube in model.cubes
        for item in cube.pre_aggregations
        if item.type in {"rollup", "original_sql"} and not item.table
    ]
    return Rollups((), tuple(missing)) if missing else NO_ROLLUPS


def _not_built(name: str) -> UnusedRollup:
    return UnusedRollup(name, "it is not built", f"cubewire rollups build {name}")


def choose_from(
    definitions: Mapping[str, RollupDefinition],
    blueprints: Mapping[str, Blueprint],
    kept: Mapping[str, KeptRows],
    candidates: RollupCandidates,
    silent: frozenset[str],
) -> Rollups:
    """Sort a model's pre-aggregations into those that can be read for a statement and the others.

    Args:
        definitions: all of them.
        blueprints: those of type rollup.
        kept: those of type original_sql.
        candidates: what is built, and how old it may be.
        silent: see ``Rollups``.
    """
    stored = {item.definition: item for item in candidates.stored}
    available: dict[str, Available] = {}
    unavailable: list[tuple[str, UnusedRollup]] = []
    rows: list[StoredRows] = []
    for name, definition in definitions.items():
        if definition.kind not in {"rollup", "original_sql"}:
            continue
        if definition.table and not candidates.others:
            reason = "the session wants data of a known age, or none"
            unavailable.append((definition.cube, UnusedRollup(name, reason)))
            continue
        found = _given(definition) if definition.table else stored.get(name)
        problem = _problem(definition, found, candidates.built_since)
        if problem is not None or found is None:
            unavailable.append((definition.cube, problem or _not_built(name)))
            continue
        freshness = Freshness(definition.cube, found.serves)
        if definition.kind == "original_sql":
            rows.append(StoredRows(kept[name], found.parts, found.complete, freshness))
            continue
        union = definition.union_with_source
        blueprint = blueprints[name]
        available[name] = Available(name, blueprint, found.parts, union, found.complete, freshness)
    lambdas = [item for item in definitions.values() if item.kind == "rollup_lambda"]
    made = [lambda_of(item, available) for item in lambdas]
    readable = (*available.values(), *(item for item in made if item is not None))
    return Rollups(readable, tuple(unavailable), tuple(rows), silent)


def _given(definition: RollupDefinition) -> StoredRollup:
    """A table that exists already: nobody knows how old it is, nor how large."""
    part = StoredPart(definition.table or "", None, None, _UNKNOWN_ROWS, math.inf)
    return StoredRollup(definition.name, definition.version, definition.data_source, (part,))


def lambda_of(definition: RollupDefinition, available: Mapping[str, Available]) -> Available | None:
    """Rollups one behind the other: of a time that several hold, the first is read.

    The others have to store what the first does.
    """
    found = [available[name] for name in definition.parts if name in available]
    if not found or found[0].name != definition.parts[0]:
        return None
    first, parts = found[0], list(found[0].parts)
    freshness = Freshness(definition.cube, first.freshness.serves)
    for other in found[1:]:
        if not _holds_all(other.blueprint, first.blueprint):
            continue
        parts += [part for part in other.parts if not any(_overlap(part, own) for own in parts)]
        freshness = freshness.with_parts_of(other.freshness)
    union = definition.union_with_source
    return replace(
        first,
        name=definition.name,
        parts=tuple(parts),
        union_with_source=union,
        freshness=freshness,
    )


def _holds_all(other: Blueprint, first: Blueprint) -> bool:
    """Whether a rollup stores all that the first does, under the same names."""
    same_rows = other.frame.has_rows_of(first.frame) and first.frame.has_rows_of(other.frame)
    return same_rows and (
        {_content(key) for key in first.keys} <= {_content(key) for key in other.keys}
        and {_content(part) for part in first.parts} <= {_content(part) for part in other.parts}
    )


def _content(item: Key | Part) -> tuple[object, ...]:
    if isinstance(item, Key):
        return item.column.name, item.value, item.grain
    return item.column.name, item.aggregate


def _overlap(one: StoredPart, other: StoredPart) -> bool:
    return not Span(one.start, one.end).meet(Span(other.start, other.end)).is_empty


def _problem(
    definition: RollupDefinition, stored: StoredRollup | None, built_since: float | None
) -> UnusedRollup | None:
    name = definition.name
    if definition.problem:
        return UnusedRollup(name, definition.problem)
    if stored is None or not stored.parts:
        return _not_built(name)
    if stored.version != definition.version:
        change = f"cubewire rollups build {name}"
        return UnusedRollup(name, "what is built is of another version of the model", change)
    if stored.data_source != definition.site:
        return UnusedRollup(name, f"it is kept in another data source, {stored.data_source}")
    if built_since is not None and definition.table is not None:
        return UnusedRollup(name, "it is not known how old its data is")
    oldest = min(part.built_at for part in stored.parts)
    if built_since is not None and oldest < built_since:
        return UnusedRollup(
            name, "its data is older than the statement wants", "refresh it, or accept older data"
        )
    return None
