"""Masked members: which of them are, and what stands for their values.

A member that some of a caller's policies mask and others do not is masked row by row. The governed
rows of its cube have a column for that, ``unmasked:<member>``, which trees ask for like any other
column of the row: so they need not know which policies contribute to a use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.expressions import has_apart_conditions
from semantic.compiler.trees import column, identifier
from semantic.model.members import Mask, Measure, Segment
from semantic.model.model import Model
from semantic.model.relations import View
from semantic.model.types import NUMERIC, PostgresType
from semantic.security.access import Access
from semantic.security.typed import NotAValueError, bound_type, typed

Name = tuple[str, str]
"""A member: the name of its cube or view, and its own."""

_FLAG = "unmasked:"


def flag_name(member: str) -> str:
    """The column of a cube's governed rows that says whether a member's value may be seen."""
    return f"{_FLAG}{member}"


def flagged_member(name: str) -> str | None:
    """The member of such a column; None of any other column."""
    return name.removeprefix(_FLAG) if name.startswith(_FLAG) else None


@dataclass(frozen=True, slots=True)
class Masks:
    """The members that are masked for a caller, whatever the values of policies.

    Attributes:
        always: members that every policy masks which applies.
        partly: members that some of them mask.
    """

    always: frozenset[Name] = frozenset()
    partly: frozenset[Name] = frozenset()

    @classmethod
    def of(cls, access: Access, model: Model) -> Masks:
        """The masks of a decision: those of cubes' members, and of what views make of their own.

        A view's columns are masked where they are read, since its policies rule the view's rows.
        """
        found = list(_masked(access, model))
        return cls(
            frozenset(name for name, everywhere in found if everywhere),
            frozenset(name for name, everywhere in found if not everywhere),
        )

    def __contains__(self, name: Name) -> bool:
        return name in self.always or name in self.partly

    def __bool__(self) -> bool:
        return bool(self.always or self.partly)


def _masked(access: Access, model: Model) -> Iterator[tuple[Name, bool]]:
    for relation in access.relations.values():
        masked = {name for grant in relation.grants for name in grant.masked}
        view = model.views_by_name.get(relation.relation)
        if view is not None:
            for name in _made_of(view, masked):
                yield (view.name, name), True
            continue
        for member in masked:
            everywhere = all(member in grant.masked for grant in relation.grants)
            yield (relation.relation, member), everywhere


def _made_of(view: View, masked: set[str]) -> Iterator[str]:
    """The view's own members whose definitions speak of masked columns, be it over others."""
    found = set(masked)
    members: list[Measure | Segment] = [*view.measures, *view.segments]
    own = {item.name: set(_names_in(item)) for item in members}
    while more := {name for name, used in own.items() if name not in found and used & found}:
        found |= more
        yield from more


def _names_in(member: Measure | Segment) -> Iterator[str]:
    templates = [member.sql, *(member.filters if isinstance(member, Measure) else ())]
    for template in templates:
        for reference in template.references if template is not None else ():
            yield from reference.path


def literal_mask(mask: Mask | None, kind: PostgresType, dialect: str) -> exp.Expr:
    """A mask that is no SQL, as a value of the member's type; NULL where it is none."""
    if mask is None or mask.value is None:
        return typed_null(kind, dialect)
    bound = bound_type(kind)
    try:
        if bound is None:
            return typed_null(kind, dialect)
        value = typed(mask.value, bound, "UTC")
    except NotAValueError:
        return typed_null(kind, dialect)
    if isinstance(value, bool):
        if has_apart_conditions(dialect):
            return cast_to(exp.Literal.number(int(value)), kind, dialect)
        return exp.Boolean(this=value)
    if isinstance(value, int | float) or bound == NUMERIC:
        return cast_to(exp.Literal.number(str(value)), kind, dialect)
    return cast_to(exp.Literal.string(str(value)), kind, dialect)


def typed_null(kind: PostgresType, dialect: str) -> exp.Expr:
    """NULL as a value of a type."""
    return cast_to(exp.Null(), kind, dialect)


def unless_flagged(member: str, tree: exp.Expr, mask: exp.Expr) -> exp.Expr:
    """A value in the rows where it may be seen, the mask in all others."""
    flag = exp.Column(this=identifier(flag_name(member)), table=column("path:", "x").args["table"])
    return exp.Case(ifs=[exp.If(this=flag, true=tree)], default=mask)
