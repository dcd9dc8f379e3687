"""What a warehouse's statements may be made of, beyond single expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fence = Literal["offset", "limit", "none"]
"""How a query keeps an optimiser from evaluating anything inside of it: by OFFSET 0, by a LIMIT
that no number of rows reaches, or not at all (then rows that a policy rules cannot be read)."""


@dataclass(frozen=True, slots=True)
class Features:
    """Forms of queries that a warehouse has with PostgreSQL's meaning. All of them by default.

    Attributes:
        full_join: FULL JOIN.
        nested_joins: a join in parentheses as the right side of another.
        lateral: a subquery in FROM that speaks of what stands before it.
        grouping_sets: GROUPING SETS, ROLLUP, CUBE and GROUPING().
        distinct_on: DISTINCT ON.
        with_ties: FETCH ... WITH TIES, or QUALIFY with rank() in its place.
        set_operations: those that there are, as ``union all`` and ``intersect``.
        nested_set_operations: a side of UNION, INTERSECT or EXCEPT may stand in parentheses.
        recursive: WITH RECURSIVE.
        materialized: AS [NOT] MATERIALIZED, which is left out where it is not known.
        values: VALUES in FROM with names of its columns.
        named_windows: the WINDOW clause.
        nulls_order: NULLS FIRST and NULLS LAST; where there is neither, NULLs are taken to sort
            before everything else, and keys of windows say what is wanted.
        computed_limits: LIMIT and OFFSET of anything but a number.
        single_row_subqueries: a scalar subquery of several rows is an error (21000).
        correlated_subqueries: a subquery in an expression may speak of the rows around it.
        booleans: conditions have a type of their own. Elsewhere an integer that a member of type
            boolean is found to be is one of them.
        unordered_ranks: row_number(), rank() and dense_rank() over windows without ORDER BY.
        names_outputs: a sort key that is an output column has to go by its name: its expression is
            not always understood.
        sort_expressions: a sort key may be no output column where it holds a window function, or
            where HAVING chooses among the groups.
        filters: FILTER behind an aggregate of the model's own SQL.
        constant_keys: GROUP BY of what is the same for all rows.
        nested_order: ORDER BY in a query within another that has no LIMIT, where it means nothing;
            it is left out where it is not known.
        empty_pages: LIMIT 0 behind an OFFSET.
        aggregated_queries: a subquery inside of an aggregate's argument or a grouping key.
        fence: see ``Fence``.
        typed_results: values of results have no types of their own, so that a statement says them
            in a comment ahead of it: ``/* int8, text */ SELECT ...``.
    """

    full_join: bool = True
    nested_joins: bool = True
    lateral: bool = True
    grouping_sets: bool = True
    distinct_on: bool = True
    with_ties: bool = True
    set_operations: frozenset[str] = frozenset(
        ("union", "union all", "intersect", "intersect all", "except", "except all")
    )
    nested_set_operations: bool = True
    recursive: bool = True
    materialized: bool = True
    values: bool = True
    named_windows: bool = True
    nulls_order: bool = True
    computed_limits: bool = True
    single_row_subqueries: bool = True
    correlated_subqueries: bool = True
    booleans: bool = True
    unordered_ranks: bool = True
    names_outputs: bool = False
    sort_expressions: bool = True
    filters: bool = True
    constant_keys: bool = True
    nested_order: bool = True
    empty_pages: bool = True
    aggregated_queries: bool = True
    fence: Fence = "offset"
    typed_results: bool = False


EVERYTHING = Features()
