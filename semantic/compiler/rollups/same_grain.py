"""Whether every group of a SELECT is a single group of a rollup."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.rollups.blueprint import Blueprint
from semantic.compiler.rollups.grain import GRAINS, is_made_of
from semantic.compiler.rollups.moments import is_utc, read_time_function
from semantic.compiler.trees import conjuncts, is_column_of


def is_same_grain(
    blueprint: Blueprint,
    alias: str,
    group: tuple[exp.Expr, ...] | None,
    where: exp.Expr | None,
    zone: str,
) -> bool:
    """Whether each key is grouped by, or is the same in all groups (``d = 'x'``).

    Args:
        blueprint: of the rollup.
        alias: under which its columns are spoken of.
        group: the keys of the SELECT.
        where: its condition.
        zone: the session's time zone.
    """
    if group is None or any(isinstance(k, exp.GroupingSets | exp.Rollup | exp.Cube) for k in group):
        return False
    fixed = {_pinned(item, alias) for item in conjuncts(where)}
    for key in group:
        fixed.add(_grouped(key, blueprint, alias, zone))
    if any(key.column.name not in fixed for key in blueprint.keys):
        return False
    return _is_whole_in_partitions(blueprint)


def _pinned(condition: exp.Expr, alias: str) -> str | None:
    if not isinstance(condition, exp.EQ):
        return None
    for one, other in (
        (condition.this, condition.expression),
        (condition.expression, condition.this),
    ):
        if is_column_of(one, alias) and isinstance(other, exp.Literal | exp.Parameter):
            return str(one.name)
    return None


def _grouped(key: exp.Expr, blueprint: Blueprint, alias: str, zone: str) -> str | None:
    if is_column_of(key, alias):
        return str(key.name)
    function = read_time_function(key)
    if function is None or not is_column_of(function.argument, alias):
        return None
    name = function.argument.name
    stored = next((item for item in blueprint.keys if item.column.name == name), None)
    if stored is None or stored.grain != function.needed or isinstance(key, exp.Extract):
        return None
    return name if function.zone is None and is_utc(zone) else None


def _is_whole_in_partitions(blueprint: Blueprint) -> bool:
    """Whether no stored period is split among partitions."""
    time, unit = blueprint.time, blueprint.definition.partition
    if unit is None or time is None or time.grain is None:
        return True
    return is_made_of(GRAINS[unit], time.grain)
