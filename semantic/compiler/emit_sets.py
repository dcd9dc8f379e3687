"""Rows that hold texts of values: equal by the values, not by the texts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.emit_parts import aliased
from semantic.compiler.trees import column, identifier

Side = tuple[exp.Expr, str, Sequence[exp.Expr]]
"""A query, its alias, and the values of its columns under that alias."""

_NUMBER = "number:"


def distinct_rows(
    query: exp.Expr, alias: str, names: Sequence[str], keys: Sequence[exp.Expr] | None
) -> exp.Select:
    """A query's rows under an alias, one of those that have the same keys; None keeps them all."""
    return exp.Select(
        expressions=[column(alias, name) for name in names],
        distinct=None if keys is None else exp.Distinct(on=exp.Tuple(expressions=list(keys))),
        from_=exp.From(this=_aliased_query(query, alias, names)),
    )


def matched_rows(
    left: Side, right: Side, names: Sequence[str], *, negated: bool, distinct: bool
) -> exp.Select:
    """INTERSECT and, ``negated``, EXCEPT: the left rows that the right side has or has not.

    Without ``distinct`` equal rows are numbered, so that each meets one of the other side.
    """
    query, alias, keys = left
    other, other_alias, other_keys = right
    inner, inner_names = other, list(names)
    pairs = list(zip(keys, other_keys, strict=True))
    if not distinct:
        query = _numbered(query, alias, names, keys)
        inner = _numbered(other, other_alias, names, other_keys)
        inner_names.append(_NUMBER)
        pairs.append((column(alias, _NUMBER), column(other_alias, _NUMBER)))
    found: exp.Expr = exp.true()
    for one, two in pairs:
        same = exp.NullSafeEQ(this=one.copy(), expression=two.copy())
        found = same if isinstance(found, exp.Boolean) else exp.And(this=found, expression=same)
    matches = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=_aliased_query(inner, other_alias, inner_names)),
        where=exp.Where(this=found),
    )
    condition: exp.Expr = exp.Exists(this=matches)
    columns = list(names) if distinct else [*names, _NUMBER]
    return exp.Select(
        expressions=[column(alias, name) for name in names],
        distinct=exp.Distinct(on=exp.Tuple(expressions=list(keys))) if distinct else None,
        from_=exp.From(this=_aliased_query(query, alias, columns)),
        where=exp.Where(this=exp.Not(this=condition) if negated else condition),
    )


def _numbered(
    query: exp.Expr, alias: str, names: Sequence[str], keys: Sequence[exp.Expr]
) -> exp.Select:
    number = exp.Window(
        this=exp.Anonymous(this="row_number", expressions=[]),
        partition_by=[key.copy() for key in keys],
    )
    return exp.Select(
        expressions=[*(column(alias, name) for name in names), aliased(number, _NUMBER)],
        from_=exp.From(this=_aliased_query(query, alias, names)),
    )


def _aliased_query(query: exp.Expr, alias: str, names: Sequence[str]) -> exp.Subquery:
    inner = query.this if isinstance(query, exp.Subquery) and not query.alias else query
    return exp.Subquery(
        this=inner,
        alias=exp.TableAlias(this=identifier(alias), columns=[identifier(name) for name in names]),
    )
