"""Fetches before they are written out: no column is fetched that nothing reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from semantic.compiler.plan import PlanNode, Projection, Query, Scan, Select, StageRows
from semantic.compiler.rewrite.tools import bottom_up
from semantic.compiler.staging.closure import references
from semantic.model.types import INT4

_ROW = "one"
"""The only column of rows that are only counted."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A part of the plan that a warehouse computes, and the rows that it becomes.

    Attributes:
        kind: ``groups``, ``rows`` or ``query``.
        reason: why the warehouse does not do more.
    """

    rows: StageRows
    query: Query
    data_source: str
    kind: str
    reason: str


def pruned(rest: Query, drafts: Sequence[Draft]) -> tuple[Query, list[Draft]]:
    """A plan over fetched rows, and the fetches, without the columns that it does not read."""
    wanted = references(rest)
    narrow = [_pruned(draft, wanted) for draft in drafts]
    columns = {draft.rows.table: draft.rows.columns for draft in narrow}

    def narrowed(node: PlanNode) -> PlanNode:
        if isinstance(node, StageRows):
            return replace(node, columns=columns[node.table])
        return node

    return bottom_up(rest, narrowed), narrow


def _pruned(draft: Draft, wanted: frozenset[tuple[str, str]]) -> Draft:
    query = draft.query
    if draft.kind != "rows" or not isinstance(query, Select):
        return draft
    kept = tuple(item for item in query.projections if (draft.rows.alias, item.name) in wanted)
    names = {item.name for item in kept}
    columns = tuple(item for item in draft.rows.columns if item[0] in names)
    if not kept:
        kept, columns = (Projection(_ROW, exp.Literal.number(1)),), ((_ROW, INT4),)
    query = _over_read_columns(replace(query, projections=kept))
    return replace(draft, query=query, rows=replace(draft.rows, columns=columns))


def _over_read_columns(query: Select) -> Select:
    scan = query.source
    if not isinstance(scan, Scan):
        return query
    wanted = references(query)
    columns = tuple(item for item in scan.columns if (scan.alias, item.name) in wanted)
    return replace(query, source=replace(scan, columns=columns))
