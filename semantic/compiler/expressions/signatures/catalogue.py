"""All signatures by function name."""

from __future__ import annotations

from collections.abc import Mapping

from semantic.compiler.expressions.signatures.aggregates import AGGREGATES, ORDERED_SETS, WINDOWS
from semantic.compiler.expressions.signatures.arrays import ARRAYS
from semantic.compiler.expressions.signatures.dates import DATES
from semantic.compiler.expressions.signatures.json import JSON, JSON_AGGREGATES
from semantic.compiler.expressions.signatures.numbers import NUMBERS
from semantic.compiler.expressions.signatures.registry import Signature, index
from semantic.compiler.expressions.signatures.strings import STRINGS

FUNCTIONS: Mapping[str, tuple[Signature, ...]] = index(
    [
        *STRINGS,
        *NUMBERS,
        *DATES,
        *ARRAYS,
        *JSON,
        *JSON_AGGREGATES,
        *AGGREGATES,
        *ORDERED_SETS,
        *WINDOWS,
    ]
)
# Functions of the model, which are gone before a statement is emitted.
MARKERS = frozenset(("measure", "agg", "aggregate"))
