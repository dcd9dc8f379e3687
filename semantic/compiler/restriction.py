"""The rows of a cube that its own inner joins leave (R2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sqlglot import exp

from semantic.compiler.emit_parts import aliased_table
from semantic.compiler.model_sql import ModelSql, path_of
from semantic.compiler.names import Names
from semantic.compiler.trees import column, rebuild
from semantic.errors import UnsupportedError
from semantic.model.relations import Cube, Join
from semantic.security.access import Grant


class Tables(Protocol):
    """Makes the tables that cubes' rows come from."""

    @property
    def sql(self) -> ModelSql:
        """Of the model, with nothing masked."""

    def table(
        self,
        cube: Cube,
        policies: dict[str, None],
        grants: tuple[Grant, ...] | None = None,
        flags: Iterable[str] = (),
    ) -> exp.Expr:
        """See ``GovernedRows.table``."""


def restricted_table(
    tables: Tables,
    cube: Cube,
    policies: dict[str, None],
    grants: tuple[Grant, ...] | None = None,
    flags: Iterable[str] = (),
) -> exp.Expr:
    """A cube's table, without the rows that find no partner over its inner joins.

    Args:
        tables: makes the tables.
        cube: whose rows.
        policies: where the names of the policies go that rule them.
        grants: those that contribute to this use; None for all that apply.
        flags: as ``GovernedRows.table`` has them.

    Raises:
        UnsupportedError: inner joins lead back to the cube, or are over members of other cubes.
    """
    table = tables.table(cube, policies, grants, flags)
    return _with_partners(tables, cube, table, policies, Names(), ())


def _with_partners(
    tables: Tables,
    cube: Cube,
    table: exp.Expr,
    policies: dict[str, None],
    names: Names,
    above: tuple[str, ...],
) -> exp.Expr:
    inner = [join for join in cube.joins if join.type == "inner"]
    if not inner:
        return table
    alias = names.take(cube.name)
    select = exp.Select(
        expressions=[exp.Column(this=exp.Star(), table=column(alias, "x").args["table"])],
        from_=exp.From(this=aliased_table(table, alias)),
    )
    for join in inner:
        exists = partner_exists(tables, cube, join, alias, policies, names, above)
        select.where(exists, copy=False)
    return exp.Subquery(this=select)


def partner_exists(
    tables: Tables,
    cube: Cube,
    join: Join,
    alias: str,
    policies: dict[str, None],
    names: Names,
    above: tuple[str, ...] = (),
) -> exp.Expr:
    """The condition that a row of ``alias`` has a partner over a join."""
    if cube.name in above:
        raise UnsupportedError(
            f"inner joins of {cube.name} that lead back to it are not supported",
            hint="Make one of them a left join.",
        )
    target = tables.sql.model.cubes_by_name[join.target]
    partner = names.take(join.name)

    def replace(node: exp.Expr) -> exp.Expr | None:
        path = path_of(node) if isinstance(node, exp.Column) else None
        if path is None:
            return None
        if path not in {(), (join.name,)}:
            raise UnsupportedError(
                f"the inner join {join.name} of {cube.name} is over members of other cubes, which "
                "is not supported here",
                hint="Make it a left join.",
            )
        place = partner if path else alias
        return exp.Column(this=node.this, table=column(place, "x").args["table"])

    condition = rebuild(tables.sql.join_condition(cube, join), replace)
    own = tables.table(target, policies)
    table = _with_partners(tables, target, own, policies, names, (*above, cube.name))
    rows = exp.Select(
        expressions=[exp.Literal.number(1)], from_=exp.From(this=aliased_table(table, partner))
    )
    return exp.Exists(this=rows.where(condition, copy=False))
