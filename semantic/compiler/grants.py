"""Which policies give what one use of a cube or view names, and so which rows it has.

A policy gives some members of some rows: a rectangle. What a caller may see is the union of the
rectangles of the policies that apply, which is not a rectangle itself. A use of a relation names
members, and reads the rows of those policies alone that give all of them; so no value is seen that
no policy gives. A use that names no member, as COUNT(*), reads the rows of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from semantic.errors import DeniedError, SemanticError
from semantic.model.relations import Cube, View, ViewMember
from semantic.security.access import Access, Grant, RelationAccess
from semantic.security.conditions import ALL_ROWS, NO_ROWS, RowCondition, one_holds

Path = tuple[str, ...]


class RelationUse:
    """One use of a governed cube or view in a statement.

    Members are named while names are bound. Once rows or values are asked for it is settled which
    policies contribute, and nothing more can be named.
    """

    def __init__(self, access: RelationAccess) -> None:
        self._access = access
        self._named: dict[str, None] = {}
        self._grants: tuple[Grant, ...] | None = None

    def name(self, member: str) -> None:
        """A member is named.

        Raises:
            DeniedError: no policy gives it together with those that were named before.
        """
        if member in self._named:
            return
        if self._grants is not None:
            # The rows that were read may not be this member's.
            raise SemanticError("XX000", f"{self._access.relation}.{member} is named too late")
        self._named[member] = None
        if self._contributing():
            return
        relation = self._access.relation
        if not any(member in grant.members for grant in self._access.grants):
            raise DeniedError(
                f"permission denied for {relation}.{member}",
                hint="No access policy that applies to you gives this member.",
            )
        others = ", ".join(name for name in self._named if name != member)
        raise DeniedError(
            f"permission denied for {relation}.{member} together with {others}",
            hint="Different access policies give them, for different rows: query them apart.",
        )

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The policies that contribute, by what they give."""
        if self._grants is None:
            self._grants = self._contributing()
        return self._grants

    def unmasked(self, member: str) -> RowCondition:
        """The rows, among those that are read, in which a member's value may be seen.

        Raises:
            SemanticError: nobody has named it, so that the rows may not be its own.
        """
        if member not in self._named:
            raise SemanticError("XX000", f"{self._access.relation}.{member} was not named")
        return unmasked_rows(self.grants, member)

    def may_be_masked(self, member: str) -> bool:
        """Whether some policy masks a member, whether it contributes or not."""
        return any(member in grant.masked for grant in self._access.grants)

    def _contributing(self) -> tuple[Grant, ...]:
        named = self._named.keys()
        return tuple(grant for grant in self._access.grants if named <= grant.members)


class ItemUse:
    """What one item of FROM names: of a cube, or of a view and of the cubes below it.

    A column of a view exists where the view's policies give it and those of its cube give the
    member behind it; so the rows are those that both leave.
    """

    def __init__(self, access: Access, relation: Cube | View, cubes: Mapping[str, Cube]) -> None:
        self._access = access
        self._relation = self._use_of(relation)
        self._is_view = isinstance(relation, View)
        self._by_name = cubes
        self._cubes: dict[tuple[str, Path], RelationUse | None] = {}

    def _use_of(self, relation: Cube | View) -> RelationUse | None:
        governed = self._access.governing(relation)
        return None if governed is None else RelationUse(governed)

    def name(self, relation: Cube | View, column: str) -> None:
        """A column is named. Raises DeniedError as ``RelationUse.name``."""
        if self._relation is not None:
            self._relation.name(column)
        below = self._below(relation, column)
        if below is not None:
            below[0].name(below[1])

    def cube_grants(self, root: str, path: Path) -> tuple[Grant, ...] | None:
        """The policies that contribute to the rows of a cube; None: all that apply."""
        use = self._relation if not self._is_view else self._cubes.get((root, path))
        if use is None or (path and not self._is_view):
            return None
        return use.grants

    @property
    def view_grants(self) -> tuple[Grant, ...] | None:
        """The policies that contribute to the rows of a view; None: it is open, or no view."""
        use = self._relation if self._is_view else None
        return None if use is None else use.grants

    def view_unmasked(self, column: str) -> RowCondition:
        """The rows in which the view's policies show the value of one of its columns."""
        if self._relation is None or not self._is_view:
            return ALL_ROWS
        return self._relation.unmasked(column)

    def is_masked(self, relation: Cube | View, column: str) -> bool:
        """Whether some row's value is masked by a contributing policy."""
        if self._relation is not None and self._relation.unmasked(column) != ALL_ROWS:
            return True
        below = self._below(relation, column)
        return below is not None and below[0].unmasked(below[1]) != ALL_ROWS

    def check_named(self, relation: Cube | View, column: str) -> None:
        """Raise XX000 where nobody has named a column whose value is read."""
        self.is_masked(relation, column)

    def may_be_masked(self, relation: Cube | View, column: str) -> bool:
        """Whether some policy masks a column, whatever else is named."""
        if self._relation is not None and self._relation.may_be_masked(column):
            return True
        below = self._below(relation, column)
        return below is not None and below[0].may_be_masked(below[1])

    def _below(self, relation: Cube | View, column: str) -> tuple[RelationUse, str] | None:
        """The use of the cube below a view's column, and the member behind it."""
        found = relation.columns.get(column) if isinstance(relation, View) else None
        if not isinstance(found, ViewMember):
            return None
        key = (found.root, found.join_path)
        if key not in self._cubes:
            self._cubes[key] = self._use_of(self._by_name[found.cube])
        use = self._cubes[key]
        return None if use is None else (use, found.member)


def rows_of(grants: tuple[Grant, ...]) -> RowCondition:
    """The rows that one of several policies gives."""
    return one_holds(*(grant.rows for grant in grants))


def unmasked_rows(grants: tuple[Grant, ...], member: str) -> RowCondition:
    """Among the rows of policies, those in which one of them does not mask a member."""
    if not any(member in grant.masked for grant in grants):
        return ALL_ROWS
    return one_holds(NO_ROWS, *(grant.rows for grant in grants if member not in grant.masked))
