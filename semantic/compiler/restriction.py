"""The rows of a cube that its own inner joins leave (R2)."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.emit_parts import aliased_table
from semantic.compiler.model_sql import ModelSql, path_of
from semantic.compiler.names import Names
from semantic.compiler.trees import column, rebuild
from semantic.errors import UnsupportedError
from semantic.model.relations import Cube, Join


def restricted_table(
    sql: ModelSql, cube: Cube, names: Names, above: tuple[str, ...] = ()
) -> exp.Expr:
    """A cube's table, without the rows that find no partner over its inner joins.

    Raises:
        UnsupportedError: inner joins lead back to the cube, or are over members of other cubes.
    """
    inner = [join for join in cube.joins if join.type == "inner"]
    table = sql.table(cube)
    if not inner:
        return table
    alias = names.take(cube.name)
    select = exp.Select(
        expressions=[exp.Column(this=exp.Star(), table=column(alias, "x").args["table"])],
        from_=exp.From(this=aliased_table(table, alias)),
    )
    for join in inner:
        select.where(partner_exists(sql, cube, join, alias, names, above), copy=False)
    return exp.Subquery(this=select)


def partner_exists(
    sql: ModelSql,
    cube: Cube,
    join: Join,
    alias: str,
    names: Names,
    above: tuple[str, ...] = (),
) -> exp.Expr:
    """The condition that a row of ``alias`` has a partner over a join."""
    if cube.name in above:
        raise UnsupportedError(
            f"inner joins of {cube.name} that lead back to it are not supported",
            hint="Make one of them a left join.",
        )
    target = sql.model.cubes_by_name[join.target]
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

    condition = rebuild(sql.join_condition(cube, join), replace)
    table = restricted_table(sql, target, names, (*above, cube.name))
    rows = exp.Select(
        expressions=[exp.Literal.number(1)], from_=exp.From(this=aliased_table(table, partner))
    )
    return exp.Exists(this=rows.where(condition, copy=False))
