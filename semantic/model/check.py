"""The checks that need the whole model, in one ordered tuple."""

from __future__ import annotations

from collections.abc import Callable

from semantic.model.model import Model
from semantic.model.reading import Reading

Check = Callable[[Reading, Model], None]

CHECKS: tuple[Check, ...] = ()


def check_model(reading: Reading, model: Model) -> None:
    """Note everything that is wrong with a model whose parts could be read."""
    for check in CHECKS:
        check(reading, model)
