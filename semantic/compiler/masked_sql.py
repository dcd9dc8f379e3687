"""The SQL of the model's members as a caller sees it who is given some of them masked."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.masks import Masks, literal_mask, typed_null, unless_flagged
from semantic.compiler.model_sql import ModelSql
from semantic.compiler.trees import enclose
from semantic.model.members import Dimension, Granularity, Measure, Segment
from semantic.model.model import MemberTarget
from semantic.model.relations import Cube, Join
from semantic.model.template import SqlTemplate
from semantic.model.types import BOOL, UNKNOWN
from semantic.security.row_filters import MemberTypes


class MaskedSql(ModelSql):
    """Trees in which a masked member is its mask, in the definitions of other members too.

    Keys that tell rows apart and conditions of joins are those of the rows themselves.

    Attributes:
        raw: the same with nothing masked.
    """

    def __init__(self, raw: ModelSql, masks: Masks, types: MemberTypes) -> None:
        super().__init__(raw.model, raw.dialects, raw.sketches)
        self.raw = raw
        self._masks = masks
        self._types = types
        self._masked: dict[tuple[str, str], exp.Expr] = {}

    def dimension(self, cube: Cube, dimension: Dimension) -> exp.Expr:
        """See ``ModelSql``."""
        key = (cube.name, dimension.name)
        if key not in self._masks:
            return super().dimension(cube, dimension)
        found = self._masked.get(key)
        if found is None:
            mask = self.mask(cube, dimension)
            if key in self._masks.partly:
                tree = super().dimension(cube, dimension)
                mask = unless_flagged(dimension.name, tree, mask)
            found = self._masked[key] = mask
        return found

    def segment(self, home: str, segment: Segment) -> exp.Expr:
        """See ``ModelSql``."""
        tree = super().segment(home, segment)
        relation = self.model.relation(home)
        root = None if relation is None else self.root_of(relation)
        dialect = self.dialect("default" if root is None else root.data_source)
        return self._hidden(home, segment.name, tree, typed_null(BOOL, dialect))

    def period(self, cube: Cube, dimension: Dimension, granularity: Granularity) -> exp.Expr:
        """See ``ModelSql``."""
        kind = self._types.get((cube.name, dimension.name), UNKNOWN)
        tree = super().period(cube, dimension, granularity)
        mask = typed_null(kind, self.dialect(cube.data_source))
        return self._hidden(cube.name, dimension.name, tree, mask)

    def primary_key(self, cube: str) -> tuple[exp.Expr, ...]:
        """See ``ModelSql``."""
        return self.raw.primary_key(cube)

    def join_condition(self, cube: Cube, join: Join) -> exp.Expr:
        """See ``ModelSql``."""
        return self.raw.join_condition(cube, join)

    def is_masked(self, relation: str, name: str) -> bool:
        """See ``ModelSql``."""
        return (relation, name) in self._masks

    def mask(self, cube: Cube, member: Dimension | Measure) -> exp.Expr:
        """What stands for a masked member's values, as a value of its type."""
        mask = member.mask
        kind = self._types.get((cube.name, member.name), UNKNOWN)
        if mask is None or mask.sql is None:
            return literal_mask(mask, kind, self.dialect(cube.data_source))
        return self._mask_sql(cube, member, mask.sql)

    def _mask_sql(self, cube: Cube, member: Dimension | Measure, template: SqlTemplate) -> exp.Expr:
        """The SQL of a mask, in which the member itself is what its rows hold."""

        def reference(target: MemberTarget) -> exp.Expr:
            own = (target.cube, target.member.name) == (cube.name, member.name)
            sql = self.raw if own else self
            return enclose(sql.row_member(cube.name, target))

        return self.substitute(self.parse(cube.name, template), reference)

    def _hidden(self, home: str, name: str, tree: exp.Expr, mask: exp.Expr) -> exp.Expr:
        key = (home, name)
        if key in self._masks.always:
            return mask
        return unless_flagged(name, tree, mask) if key in self._masks.partly else tree
