"""The members of a model as each caller sees them."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy

from semantic.compiler.cube_tables import CubeTables
from semantic.compiler.governed_rows import GovernedRows
from semantic.compiler.masked_sql import MaskedSql
from semantic.compiler.masks import Masks
from semantic.compiler.measures import MemberTypes
from semantic.compiler.members import Members
from semantic.compiler.model_sql import ModelSql
from semantic.security.access import OPEN, Access

KEPT_CALLERS = 256
"""Decisions whose tables are kept; of the least recently used they are made again."""

KEPT_MASKS = 32
"""Sets of masked members whose trees are kept: they do not depend on values of policies."""


class Callers:
    """Makes the members that a caller sees, and keeps them."""

    def __init__(self, sql: ModelSql, types: MemberTypes) -> None:
        self._sql = sql
        self._types = types
        self._bases = CubeTables(sql)
        self._open = Members(sql, types, GovernedRows(self._bases, OPEN, types))
        self._callers: OrderedDict[Access, Members] = OrderedDict()
        self._masked: OrderedDict[Masks, Members] = OrderedDict()

    def restricted(self) -> Callers:
        """The same, for callers who are shown other columns. What was learned is shared."""
        callers = copy(self)
        callers._open = self._open.for_other_columns()
        callers._callers = OrderedDict()
        return callers

    def members(self, access: Access) -> Members:
        """The members as a caller sees them."""
        if access.is_open:
            return self._open
        found = self._callers.get(access)
        if found is None:
            tables = GovernedRows(self._bases, access, self._types)
            found = self._callers[access] = self._with_masks(access).for_caller(tables, self._open)
            if len(self._callers) > KEPT_CALLERS:
                self._callers.popitem(last=False)
        self._callers.move_to_end(access)
        return found

    def _with_masks(self, access: Access) -> Members:
        masks = Masks.of(access, self._sql.model)
        found = self._masked.get(masks)
        if found is None:
            sql = MaskedSql(self._sql, masks, self._types)
            found = self._masked[masks] = Members(sql, self._types, self._open.tables)
            if len(self._masked) > KEPT_MASKS:
                self._masked.popitem(last=False)
        self._masked.move_to_end(masks)
        return found
