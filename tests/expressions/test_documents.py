"""Documents that cannot be read where a statement is compiled."""

from __future__ import annotations

import pytest

from semantic.compiler.expressions.duckdb.jsonb_literals import jsonb_text
from semantic.errors import SemanticError


@pytest.mark.parametrize("depth", [500, 100_000])
def test_deep_ones_are_refused(depth: int) -> None:
    with pytest.raises(SemanticError) as caught:
        jsonb_text("[" * depth + "]" * depth)
    assert caught.value.sqlstate == "54001"
