"""The grouping sets that the elements of GROUP BY stand for."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from semantic.compiler.lower.grouping_sets import grouping_sets
from semantic.errors import UnsupportedError


def _elements(text: str) -> list[exp.Expr]:
    tree = sqlglot.parse_one(f"SELECT 1 FROM t GROUP BY {text}", read="postgres")
    return list(tree.args["group"].expressions)


def test_every_combination_of_elements_is_one_set() -> None:
    sets = grouping_sets(_elements("a, ROLLUP (b, (c, d)), GROUPING SETS ((b), ())"))
    shown = [[key.name for key in keys] for keys in sets]
    assert shown == [["a", "b", "c", "d"], ["a", "b"], ["a"]]


def test_no_elements_are_one_set() -> None:
    assert grouping_sets([]) == [()]


@pytest.mark.parametrize("form", ["CUBE (a, b, c, d, e, f, g)", "ROLLUP (%s)"])
def test_too_many_sets_are_refused(form: str) -> None:
    keys = ", ".join(f"k{number}" for number in range(70))
    with pytest.raises(UnsupportedError, match="64 grouping sets"):
        grouping_sets(_elements(form.replace("%s", keys)))
