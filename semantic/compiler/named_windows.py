"""Windows of the WINDOW clause where a warehouse does not know them by their names."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from semantic.compiler.plan import Select
from semantic.compiler.trees import copied, rebuild


def spelled_out(plan: Select, dialect: str) -> Select:
    """A SELECT whose sort keys say what their windows are: DuckDB reads them before the names."""
    if dialect != "duckdb" or not plan.windows:
        return plan
    windows = dict(plan.windows)

    def definition(node: exp.Expr) -> exp.Expr | None:
        alias = node.args.get("alias") if isinstance(node, exp.Window) else None
        if not isinstance(alias, exp.Identifier):
            return None
        named = windows.get(alias.name if alias.args.get("quoted") else alias.name.lower())
        if named is None:
            return None
        parts = copied(definition(named) or named).args
        own = copied(node).args
        return exp.Window(
            this=own.get("this"),
            partition_by=parts.get("partition_by"),
            order=own.get("order") or parts.get("order"),
            spec=own.get("spec") or parts.get("spec"),
            over=own.get("over"),
        )

    return replace(
        plan,
        distinct_on=tuple(rebuild(node, definition) for node in plan.distinct_on),
        order=tuple(
            replace(key, expression=rebuild(key.expression, definition)) for key in plan.order
        ),
    )
