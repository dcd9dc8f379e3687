"""The tables that a scan joins to its root: one for each path that its trees speak of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from semantic.compiler.masks import flagged_member
from semantic.compiler.model_sql import ModelSql, path_of, row_measure_of
from semantic.compiler.names import Names
from semantic.compiler.plan import ScanJoin
from semantic.compiler.trees import rebuild
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.model import JoinStep, ResolutionError
from semantic.model.relations import Cube

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedJoin:
    """A join whose table is made when everything is known that is asked of it.

    Attributes:
        target: the cube that is joined; None for a measure of the row, whose table is made.
    """

    join: ScanJoin
    target: Cube | None


class ScanJoins:
    """Puts aliases in place of paths, and joins what they need (R2).

    Args:
        sql: of the model, with nothing masked: a join compares what the rows hold.
        root: the cube whose rows are the scan's.
        base: the alias of its table.
        names: that the aliases of joined tables are taken from.
        row_measure: makes the join of a measure as a value of a row.
    """

    def __init__(
        self,
        sql: ModelSql,
        root: Cube,
        base: str,
        names: Names,
        row_measure: Callable[[Path], ScanJoin],
    ) -> None:
        self._sql = sql
        self._root = root
        self._base = base
        self._names = names
        self._row_measure = row_measure
        self._joins: dict[Path, PlannedJoin] = {}
        # Members by path, of whose masks the trees ask in which rows they hold.
        self.flags: dict[Path, dict[str, None]] = {}

    def steps(self, path: Path) -> tuple[JoinStep, ...]:
        """The joins of a path."""
        try:
            return self._sql.model.walk(self._root.name, path)
        except ResolutionError as error:
            raise SemanticError("XX000", error.message) from error

    def place(self, tree: exp.Expr) -> exp.Expr:
        """Put aliases in place of paths, and join what they need."""

        def replace(node: exp.Expr) -> exp.Expr | None:
            path = path_of(node) if isinstance(node, exp.Column) else None
            return None if path is None else self._placed(node, path)

        return rebuild(tree, replace)

    def _placed(self, node: exp.Expr, path: Path) -> exp.Column:
        member = flagged_member(node.name)
        if member is not None:
            self.flags.setdefault(path, {})[member] = None
        return exp.Column(this=node.this, table=exp.Identifier(this=self.alias(path), quoted=True))

    def alias(self, path: Path) -> str:
        """The alias of the table that a path leads to; joins it when it is not joined yet."""
        if not path:
            return self._base
        found = self._joins.get(path)
        if found is None:
            self.alias(path[:-1])
            if row_measure_of(path[-1]) is None:
                found = self._join(path)
            else:
                found = PlannedJoin(self._row_measure(path), None)
            self._joins[path] = found
        return found.join.alias

    def _join(self, path: Path) -> PlannedJoin:
        step = self.steps(path)[-1]
        join, source = step.join, self._sql.model.cubes_by_name[step.source]
        target = self._sql.model.cubes_by_name[step.target]
        shown = ".".join(path)
        if target.data_source != self._root.data_source:
            raise UnsupportedError(
                f"{self._root.name} and {target.name} are in different data sources",
                hint="Name both cubes in FROM and join them there: the rows of each are then read "
                "from its own data source.",
            )
        alias = self._names.take("_".join(path))

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                relative = path_of(node)
                if relative is not None:
                    place = alias if relative == (join.name,) else self.alias(path[:-1] + relative)
                    return exp.Column(this=node.this, table=exp.Identifier(this=place, quoted=True))
            return None

        condition = rebuild(self._sql.join_condition(source, join), replace)
        # Behind another join, the joined cube has only rows with a partner: see restricted_table.
        is_inner = join.type == "inner" and len(path) == 1 and join.is_to_one
        name = shown if join.name == target.name else f"{shown}({target.name})"
        kind: Literal["INNER", "LEFT"] = "INNER" if is_inner else "LEFT"
        # A join to many rows adds rows, used or not.
        structural = is_inner or not join.is_to_one
        return PlannedJoin(ScanJoin(alias, exp.Null(), condition, kind, name, structural), target)

    def planned(self) -> tuple[tuple[Path, PlannedJoin], ...]:
        """The joins in the order in which they were made, each behind those that it is over."""
        return tuple(self._joins.items())
