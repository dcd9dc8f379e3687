"""Dimensions over a join whose key is stored: the join is made again, with a rollup's groups.

All rows of a group have the same key, so they have the same row of the joined cube, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from semantic.compiler.plan import Scan, ScanColumn, ScanJoin
from semantic.compiler.rollups.blueprint import Key
from semantic.compiler.rollups.trees import bare, named, scan_names
from semantic.compiler.trees import column, rebuild, table_of

StoredKey = Callable[[exp.Expr], Key | None]


@dataclass
class JoinBack:
    """The joins that a scan's columns need, as far as the keys of all of them are stored.

    Attributes:
        scan: of the rows.
        stored: the stored key that is the value of a tree, apart from aliases.
        columns: those that the joins give.
    """

    scan: Scan
    stored: StoredKey
    columns: dict[str, ScanColumn] = field(default_factory=dict)
    _joins: dict[str, ScanJoin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_alias = {join.alias: join for join in self.scan.joins}
        self._names = scan_names(self.scan)

    def add(self, wanted: ScanColumn) -> bool:
        """Make a column out of joins alone; False where that cannot be."""
        tables = set(_tables(wanted.expression))
        if not tables or self.scan.base in tables:
            return False
        made: dict[str, ScanJoin] = {}
        if not all(self._join(alias, made) for alias in tables):
            return False
        self._joins |= made
        self.columns[wanted.name] = wanted
        return True

    def _join(self, alias: str, made: dict[str, ScanJoin]) -> bool:
        """Whether a join can be made of stored keys, with those that it builds upon."""
        if alias in self._joins or alias in made:
            return True
        join = self._by_alias.get(alias)
        if join is None or join.structural or join.kind != "LEFT":
            return False
        missing = False

        def replaced(node: exp.Expr) -> exp.Expr | None:
            nonlocal missing
            if not isinstance(node, exp.Column) or table_of(node) != self.scan.base:
                return None
            key = self.stored(bare(named(node, self._names)))
            if key is None:
                missing = True
                return None
            return column(self.scan.alias, key.column.name)

        condition = rebuild(join.condition, replaced)
        others = set(_tables(join.condition)) - {alias, self.scan.base}
        if missing or not all(self._join(other, made) for other in others):
            return False
        made[alias] = replace(join, condition=condition)
        return True

    def joined(self, stored: Scan) -> Scan:
        """A scan of the rollup's tables with the joins, and the columns that they give."""
        if not self.columns:
            return stored
        # In the order of the scan: a join speaks of those before it.
        joins = tuple(
            self._joins[join.alias] for join in self.scan.joins if join.alias in self._joins
        )
        return replace(stored, joins=joins, columns=(*stored.columns, *self.columns.values()))


def _tables(tree: exp.Expr) -> Iterator[str]:
    return (table_of(node) for node in tree.find_all(exp.Column))
