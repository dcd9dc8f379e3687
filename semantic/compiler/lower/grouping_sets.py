"""GROUP BY's elements as the sets of keys that rows are grouped by."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product

from sqlglot import exp

from semantic.compiler.trees import grouping_keys
from semantic.errors import UnsupportedError

Keys = tuple[exp.Expr, ...]

MOST = 64


def grouping_sets(elements: Iterable[exp.Expr]) -> list[Keys]:
    """The different grouping sets: every combination of one set of each element.

    Raises:
        UnsupportedError: there are more than ``MOST``.
    """
    sets: dict[frozenset[exp.Expr], Keys] = {frozenset(): ()}
    for element in elements:
        combined: dict[frozenset[exp.Expr], Keys] = {}
        for before, added in product(sets.values(), _sets_of(element)):
            keys = tuple(dict.fromkeys((*before, *added)))
            combined.setdefault(frozenset(keys), keys)
            if len(combined) > MOST:
                raise UnsupportedError(
                    f"more than {MOST} grouping sets over measures that a join may repeat are "
                    "not supported",
                    hint="Use fewer keys in ROLLUP, CUBE or GROUPING SETS.",
                )
        sets = combined
    return list(sets.values())


def every_set(elements: Iterable[exp.Expr]) -> list[Keys]:
    """The grouping sets with all that are written twice; more than ``MOST`` are not all there."""
    sets: list[Keys] = [()]
    for element in elements:
        combined = product(sets, _sets_of(element))
        sets = [
            tuple(dict.fromkeys((*before, *added))) for before, added in islice(combined, MOST + 1)
        ]
    return sets


def _sets_of(node: exp.Expr) -> list[Keys]:
    if isinstance(node, exp.Rollup):
        parts = [tuple(grouping_keys([item])) for item in node.expressions]
        return [_joined(parts[:length]) for length in range(len(parts), -1, -1)]
    if isinstance(node, exp.Cube):
        parts = [tuple(grouping_keys([item])) for item in node.expressions]
        if 2 ** len(parts) > MOST:
            return [(part,) for number in range(MOST + 1) for part in [exp.Literal.number(number)]]
        chosen = product((True, False), repeat=len(parts))
        return [
            _joined([part for part, taken in zip(parts, choice, strict=True) if taken])
            for choice in chosen
        ]
    if isinstance(node, exp.GroupingSets):
        return [keys for item in node.expressions for keys in _sets_of(item)]
    return [tuple(grouping_keys([node]))]


def _joined(parts: list[Keys]) -> Keys:
    return tuple(key for part in parts for key in part)
