"""Values that follow from stored ones: above all what stands for a member that is masked.

A mask is a constant, or an expression over members of the row. Where all of these are stored, each
row of a group has the same value, so it is computed of the group's, and grouped by afterwards.
Which rows show the member itself is told by a rule, of which the same holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.masks import flagged_member, typed_null
from semantic.compiler.plan import Scan, ScanColumn
from semantic.compiler.rollups.api import StoredColumn
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.elsewhere import STORE_DIALECT
from semantic.compiler.rollups.trees import bare, is_lasting, named, scan_names
from semantic.compiler.trees import column, rebuild
from semantic.model.types import PostgresType

StoredKey = Callable[[exp.Expr], Key | None]
_TEXTS = frozenset({"text", "varchar"})
_INTEGERS = frozenset({"int2", "int4", "int8"})


@dataclass
class DerivedValues:
    """The values of a scan's columns that are computed of stored ones.

    Attributes:
        scan: of the rows.
        stored: the stored key that is the value of a tree, apart from aliases.
        rules: by the name of a flag, which rows it is true for, over a row of the cube.
        is_elsewhere: another engine reads what is stored: then only constants can be moved there.
        values: that were asked for, by the names of their columns.
        flags: those that the values speak of.
        keys: that they are made of.
    """

    scan: Scan
    stored: StoredKey
    rules: Mapping[str, exp.Expr]
    is_elsewhere: bool
    values: dict[str, Key] = field(default_factory=dict)
    flags: dict[str, exp.Expr] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    def column(self, wanted: ScanColumn) -> exp.Column | None:
        """What stands for a column of the rows; None where it does not follow from the stored."""
        name = f"{wanted.name}:derived"
        if name not in self.values and not self._add(name, wanted):
            return None
        return column(self.scan.alias, name)

    def _add(self, name: str, wanted: ScanColumn) -> bool:
        tree = wanted.expression
        if not is_lasting(tree) or tree.find(exp.Query, exp.Window) is not None:
            return False
        value = named(tree, scan_names(self.scan))
        keys: dict[str, Key] = {}
        flags: dict[str, exp.Expr] = {}
        for node in self._over(value, "", keys, flags).find_all(exp.Column):
            if node.name not in keys and node.name not in flags:
                return False
        if self.is_elsewhere and moved_constant(value, wanted.type) is None:
            return False
        self.keys |= keys
        self.flags |= flags
        stored = StoredColumn(name, wanted.type, self.scan.relation, wanted.name, (), "dimension")
        self.values[name] = Key(stored, value, wanted.type)
        return True

    def _over(
        self, value: exp.Expr, table: str, keys: dict[str, Key], flags: dict[str, exp.Expr]
    ) -> exp.Expr:
        """A value over a rollup's table; takes note of what it speaks of there."""

        def replaced(node: exp.Expr) -> exp.Expr | None:
            key = self.stored(bare(node))
            if key is not None:
                keys[key.column.name] = key
                return column(table, key.column.name)
            if isinstance(node, exp.Column) and flagged_member(node.name) is not None:
                rule = self.rules.get(node.name)
                if rule is not None:
                    flags[node.name] = rule
                    return column(table, node.name)
            return None

        return rebuild(value, replaced)

    def columns_over(self, table: str) -> tuple[ScanColumn, ...]:
        """The values as columns of a scan of the rollup's tables, under an alias."""
        found = []
        for name, key in self.values.items():
            made = self._over(key.value, table, {}, {})
            if self.is_elsewhere:
                made = moved_constant(key.value, key.type) or made
            found.append(ScanColumn(name, made, key.type))
        return tuple(found)


def moved_constant(tree: exp.Expr, kind: PostgresType) -> exp.Expr | None:
    """A constant as the engine has it that reads tables kept elsewhere; None for anything else."""
    value = bare(tree)
    while isinstance(value, exp.Cast):
        value = bare(value.this)
    if isinstance(value, exp.Null):
        return typed_null(kind, STORE_DIALECT)
    is_text = isinstance(value, exp.Literal) and value.is_string and kind.name in _TEXTS
    is_number = isinstance(value, exp.Literal) and value.name.isdigit() and kind.name in _INTEGERS
    is_truth = isinstance(value, exp.Boolean) and kind.name == "bool"
    casts = tree.find_all(exp.Cast)
    if (is_text and all(_is_text(cast) for cast in casts)) or is_number or is_truth:
        return cast_to(value.copy(), kind, STORE_DIALECT)
    return None


def _is_text(node: exp.Cast) -> bool:
    return node.to.this in (exp.DType.TEXT, exp.DType.VARCHAR) and not node.to.expressions
