"""The checks that need the whole model, in one ordered tuple."""

from __future__ import annotations

from collections.abc import Callable

from semantic.model.check_cycles import check_cycles
from semantic.model.check_dimensions import check_dimensions
from semantic.model.check_measures import check_measures
from semantic.model.check_names import check_names
from semantic.model.check_references import check_references
from semantic.model.check_relations import check_relations
from semantic.model.check_rollups import check_rollups
from semantic.model.checking import Checker
from semantic.model.model import Model
from semantic.model.reading import Reading

CHECKS: tuple[Callable[[Checker], None], ...] = (
    check_names,
    check_relations,
    check_references,
    check_cycles,
    check_dimensions,
    check_measures,
    check_rollups,
)


def check_model(reading: Reading, model: Model) -> None:
    """Note everything that is wrong with a model whose parts could be read."""
    checker = Checker(reading, model)
    for check in CHECKS:
        check(checker)
