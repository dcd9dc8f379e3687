"""What a caller may see, for people: relations, columns, masks and row rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.scopes import Scope
from semantic.model.published import PublishedRelation
from semantic.security.access import Grant, RelationAccess
from semantic.security.conditions import ALL_ROWS
from semantic.security.rule_text import rule_text


@dataclass(frozen=True, slots=True)
class GrantReport:
    """What one policy gives: some members of some rows."""

    policy: str
    columns: tuple[str, ...]
    masked: tuple[str, ...]
    rows: str


@dataclass(frozen=True, slots=True)
class RelationReport:
    """What a caller may see of one cube or view.

    Attributes:
        columns: that exist for the caller; none where the relation does not.
        masked: those whose values are masked in some rows, or all.
        grants: of the policies that apply; none where the relation is open.
        reasons: why nothing of it exists.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    masked: tuple[str, ...] = ()
    grants: tuple[GrantReport, ...] = ()
    reasons: tuple[str, ...] = ()

    def text(self) -> str:
        """A paragraph."""
        if not self.columns:
            return self._hidden
        lines = [f"{self.name}: {self.kind}", f"  columns: {', '.join(self.columns)}"]
        if self.masked:
            lines.append(f"  masked: {', '.join(self.masked)}")
        lines += [f"  rows: WHERE {grant.rows}, by {grant.policy}" for grant in self.grants]
        return "\n".join(lines)

    @property
    def _hidden(self) -> str:
        return f"{self.name}: hidden, {'; '.join(self.reasons) or 'none of its columns is given'}"

    def lines(self) -> Iterator[str]:
        """A line for each fact, which says what relation it is about."""
        if not self.columns:
            yield self._hidden
            return
        yield f"{self.name}: {self.kind}"
        yield from (f"{self.name}: column {column}" for column in self.columns)
        yield from (f"{self.name}: column {column} is masked" for column in self.masked)
        for grant in self.grants:
            yield f"{self.name}: rows WHERE {grant.rows} by {grant.policy}"


def report_of(scope: Scope, whole: tuple[PublishedRelation, ...]) -> tuple[RelationReport, ...]:
    """What a caller may see.

    Args:
        scope: the caller's.
        whole: all relations that are public.
    """
    shown = {relation.name: relation for relation in scope.generation.published.relations}
    return tuple(
        _relation(item, shown.get(item.name), scope.access.of(item.name)) for item in whole
    )


def _relation(
    whole: PublishedRelation, shown: PublishedRelation | None, governed: RelationAccess | None
) -> RelationReport:
    columns = () if shown is None else tuple(column.name for column in shown.columns)
    if governed is None:
        return RelationReport(whole.name, whole.kind, columns)
    masked = {name for grant in governed.grants for name in grant.masked}
    return RelationReport(
        whole.name,
        whole.kind,
        columns,
        tuple(name for name in columns if name in masked),
        tuple(_grant(grant, columns) for grant in governed.grants),
        governed.reasons,
    )


def _grant(grant: Grant, columns: tuple[str, ...]) -> GrantReport:
    return GrantReport(
        grant.name,
        tuple(name for name in columns if name in grant.full),
        tuple(name for name in columns if name in grant.masked),
        "true" if grant.rows == ALL_ROWS else rule_text(grant.rows),
    )


def difference(
    one: tuple[RelationReport, ...], other: tuple[RelationReport, ...]
) -> list[tuple[str, str]]:
    """The lines that only one of two callers has, each behind ``-`` or ``+``, by relation."""
    found: list[tuple[str, str]] = []
    for left, right in zip(one, other, strict=True):
        mine, theirs = list(left.lines()), list(right.lines())
        found += [("-", line) for line in mine if line not in theirs]
        found += [("+", line) for line in theirs if line not in mine]
    return found
