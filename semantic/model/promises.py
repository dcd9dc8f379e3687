"""What a cube's declarations let whoever asks it expect of the age of its data."""

from __future__ import annotations

from dataclasses import dataclass

from semantic.model.relations import Cube
from semantic.model.values import RefreshKey


@dataclass(frozen=True, slots=True)
class Promise:
    """One declaration.

    Attributes:
        key: what it says; None of a pre-aggregation that leaves it to the default.
        is_stored: a pre-aggregation's, which answers until it has missed a whole refresh; the
            cube's own says up to which age anything that was read of it is served.
    """

    key: RefreshKey | None
    is_stored: bool


def promises_of(cube: Cube) -> tuple[Promise, ...]:
    """What a cube declares: its own refresh key, and those of what is built of it."""
    own = () if cube.refresh_key is None else (Promise(cube.refresh_key, is_stored=False),)
    built = (
        Promise(item.refresh_key, is_stored=True)
        for item in cube.pre_aggregations
        if item.type in {"rollup", "original_sql"} and not item.table
    )
    return tuple(dict.fromkeys((*own, *built)))
