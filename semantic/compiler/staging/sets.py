"""Grouping sets as one grouping each, where a warehouse has no GROUPING SETS with our meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from sqlglot import exp

from semantic.compiler.emit_parts import postgres_data_type
from semantic.compiler.lower.grouping_sets import Keys, every_set
from semantic.compiler.plan import (
    Derived,
    Projection,
    Query,
    Select,
    SetOperation,
    StageRows,
    query_columns,
)
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.tools import has_grouping_sets
from semantic.compiler.trees import column, grouping_keys

MOST = 16
"""Groupings that are fetched for one statement, each of which reads the rows."""


@dataclass(frozen=True, slots=True)
class Part:
    """One grouping set.

    Attributes:
        fetch: the grouping; its columns are those keys that it groups by, and the aggregates.
        others: what stands for the other columns of the whole.
    """

    fetch: Select
    others: dict[str, exp.Expr]

    def over(self, rows: StageRows, names: tuple[str, ...]) -> Select:
        """The rows of the fetch with all columns of the whole."""
        return Select(
            tuple(Projection(n, self.others.get(n) or column(rows.alias, n)) for n in names), rows
        )


def parts(fetch: Select, types: PlanTypes) -> list[Part]:
    """The groupings that a grouping by several sets of keys is made of.

    None of them where there are too many, or where a key is the same in all rows: it is left out of
    what is fetched, where the sets that it belongs to would not show.

    Args:
        fetch: its projections are keys, aggregates and GROUPING of keys.
        types: of the plan that it is of.
    """
    sets = every_set(fetch.group or ()) if has_grouping_sets(fetch) else []
    keys = set(grouping_keys(fetch.group or ()))
    if len(sets) > MOST or not all(key.find(exp.Column) for key in keys):
        return []
    return [_part(fetch, keys, chosen, types) for chosen in sets]


def united(queries: Sequence[Query], alias: str) -> Derived:
    """The rows of all parts."""
    names = query_columns(queries[0])

    def both(left: Query, right: Query) -> Query:
        return SetOperation("union", all=True, left=left, right=right, columns=names)

    return Derived(alias, reduce(both, queries))


def _part(fetch: Select, keys: set[exp.Expr], chosen: Keys, types: PlanTypes) -> Part:
    kept: list[Projection] = []
    others: dict[str, exp.Expr] = {}
    for item in fetch.projections:
        node = item.expression
        if isinstance(node, exp.Grouping):
            bits = "".join("0" if key in chosen else "1" for key in node.expressions)
            others[item.name] = exp.Literal.number(int(bits, 2))
        elif node in keys and node not in chosen:
            kind = postgres_data_type(types.expression(node))
            others[item.name] = exp.Cast(this=exp.Null(), to=kind)
        else:
            kept.append(item)
    if not kept:
        kept.append(Projection("rows", exp.Count(this=exp.Star())))
    return Part(replace(fetch, projections=tuple(kept), group=chosen), others)
