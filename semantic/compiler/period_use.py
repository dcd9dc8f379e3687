"""Finds the calls of date_trunc whose field is a custom granularity of the model (T2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.constants import constant_text
from semantic.compiler.expressions.fields import find_field
from semantic.compiler.granularities import find_granularity
from semantic.compiler.positions import position_of
from semantic.compiler.scope import VisibleColumn
from semantic.errors import SemanticError
from semantic.model.members import Dimension, Granularity


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """``date_trunc(granularity, moment)``.

    Attributes:
        moment: what is truncated.
        column: the column in it whose dimension has the granularity.
    """

    moment: exp.Expr
    column: VisibleColumn
    dimension: Dimension
    granularity: Granularity


def find_period(node: exp.Expr, columns: Mapping[int, VisibleColumn]) -> PeriodUse | None:
    """The custom granularity that a call asks for; None for any other node.

    Args:
        node: of the client's text.
        columns: what its column nodes mean.

    Raises:
        SemanticError: 22023, there is no such field; 42702, it means different periods for
            different columns.
    """
    if not (isinstance(node, exp.Anonymous) and node.name.lower() == "date_trunc"):
        return None
    name = constant_text(node.expressions[0]) if node.expressions else None
    if name is None or len(node.expressions) != 2:
        return None
    found = [
        (visible, dimension, granularity)
        for item in node.expressions[1].find_all(exp.Column)
        if (visible := columns.get(id(item))) is not None
        and (dimension := visible.source.time_dimension(visible)) is not None
        and (granularity := find_granularity(dimension, name)) is not None
    ]
    if found:
        visible, dimension, granularity = found[0]
        if any(other != granularity for _, _, other in found):
            raise SemanticError(
                "42702", f'granularity "{name}" is ambiguous', position=position_of(node)
            )
        return PeriodUse(node.expressions[1], visible, dimension, granularity)
    if find_field(name) is None:
        raise _unknown(name, node, columns)
    return None


def _unknown(name: str, node: exp.Anonymous, columns: Mapping[int, VisibleColumn]) -> SemanticError:
    dimensions = [
        visible.source.time_dimension(visible)
        for item in node.expressions[1].find_all(exp.Column)
        if (visible := columns.get(id(item))) is not None
    ]
    known = [item.name for each in dimensions if each is not None for item in each.granularities]
    return SemanticError(
        "22023",
        f'unit "{name}" not recognized',
        hint=f"Granularities here: {', '.join(dict.fromkeys(known))}." if known else None,
        position=position_of(node),
    )
