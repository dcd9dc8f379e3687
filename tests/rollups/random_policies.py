"""Random access policies of the sales: rules for rows, and masks for dimensions and measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from semantic.model.members import Dimension, Mask, Measure
from semantic.model.model import Model
from semantic.model.policy import AccessPolicy, MemberFilter, MemberRule, RowRule
from semantic.model.template import Reference, parse_template

M = TypeVar("M", Dimension, Measure)
GROUP = "random"
"""Whom the policies are for."""

_MASKS: dict[str, tuple[Mask, ...]] = {
    "kind": (
        Mask(value="?"),
        Mask(parse_template("CASE WHEN {kind} = 'a' THEN 'A' ELSE '?' END")),
        Mask(parse_template("CASE WHEN {units} > 3 THEN {kind} END")),
    ),
    "units": (Mask(value=7), Mask(parse_template("CASE WHEN {units} > 3 THEN 9 ELSE {units} END"))),
    "shop_id": (Mask(value=-1), Mask(parse_template("{units}"))),
    "city": (Mask(value="Nowhere"), Mask(parse_template("COALESCE({kind}, {city})"))),
    "is_large": (Mask(value=False), Mask(parse_template("{kind} = 'a'"))),
    "sold_at": (Mask(parse_template("date_trunc('month', {sold_at})")),),
    "day": (Mask(value="2024-01-01"),),
    "amount": (Mask(value=0), Mask(parse_template("1.50"))),
    "total_units": (Mask(value=12),),
}
_MASKED = (*_MASKS, "cheap", "count", "average_units", "seen_at")


def _filter(member: str, operator: str, *values: str | int) -> MemberFilter:
    return MemberFilter(Reference((member,)), operator, values)  # type: ignore[arg-type]


_ROWS = (
    _filter("kind", "equals", "a", "B"),
    _filter("units", "gt", 2),
    _filter("shop_id", "set"),
    _filter("city", "set"),
    _filter("is_large", "equals", "true"),
)


@dataclass(frozen=True)
class Rights:
    """Policies that all apply, and what stands for the members that they mask."""

    policies: tuple[AccessPolicy, ...]
    masks: tuple[tuple[str, Mask], ...]

    def of(self, model: Model) -> Model:
        """A model whose sales have these policies and no others."""
        masks = dict(self.masks)

        def masked(members: tuple[M, ...]) -> tuple[M, ...]:
            return tuple(
                replace(item, mask=masks[item.name]) if item.name in masks else item
                for item in members
            )

        cubes = tuple(
            replace(
                cube,
                access_policies=self.policies,
                dimensions=masked(cube.dimensions),
                measures=masked(cube.measures),
            )
            if cube.name == "sales"
            else cube
            for cube in model.cubes
        )
        return replace(model, cubes=cubes)


def rights(random: Random) -> Rights:
    """One policy or two; where one masks and the other does not, rows differ."""
    policies = []
    for _ in range(random.choice([1, 1, 2])):
        hidden = random.sample(_MASKED, random.randint(0, 4))
        row = random.choice([None, None, *_ROWS])
        policies.append(
            AccessPolicy(
                groups=(GROUP,),
                member_masking=MemberRule(includes=tuple(hidden)) if hidden else None,
                row_level=None if row is None else RowRule((row,)),
            )
        )
    masks = tuple(
        (name, random.choice(known)) for name, known in _MASKS.items() if random.random() < 0.7
    )
    return Rights(tuple(policies), masks)
