"""Functions in FROM, as PostgreSQL writes them and as lists that are taken apart."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.emit_parts import aliased
from semantic.compiler.plan import FunctionTable
from semantic.compiler.trees import column, identifier

_LISTS = "set:"


def function_call(table: FunctionTable, arguments: list[exp.Expr]) -> exp.Expr:
    """``f(...) [WITH ORDINALITY] AS alias (columns)``."""
    alias = exp.TableAlias(
        this=identifier(table.alias), columns=[identifier(name) for name in table.columns]
    )
    call = exp.Anonymous(this=table.function, expressions=arguments)
    return exp.Table(this=call, ordinality=table.ordinality, alias=alias)


def unnested(table: FunctionTable, lists: list[exp.Expr]) -> exp.Expr:
    """``LATERAL (SELECT unnest(list), ...) AS alias``; short lists are filled up with NULLs."""
    names = [f"l{number}" for number in range(1, len(lists) + 1)]
    inner = exp.Select(
        expressions=[aliased(item, name) for item, name in zip(lists, names, strict=True)]
    )
    items = [_call("unnest", column(_LISTS, name)) for name in names]
    if table.ordinality:
        sizes = [
            exp.Coalesce(
                this=_call("len", column(_LISTS, name)), expressions=[exp.Literal.number(0)]
            )
            for name in names
        ]
        longest = sizes[0] if len(sizes) == 1 else _call("greatest", *sizes)
        numbers = _call("generate_series", exp.Literal.number(1), longest)
        items.append(_call("unnest", numbers))
    source = exp.Subquery(this=inner, alias=exp.TableAlias(this=identifier(_LISTS)))
    select = exp.Select(
        expressions=[aliased(item, name) for item, name in zip(items, table.columns, strict=True)],
        from_=exp.From(this=source),
    )
    return exp.Lateral(
        this=exp.Subquery(this=select), alias=exp.TableAlias(this=identifier(table.alias))
    )


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))
