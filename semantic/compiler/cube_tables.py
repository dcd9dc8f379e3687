"""Where cubes' base rows come from, as the model says it: nothing is governed here.

Whoever reads rows asks ``governed_rows.GovernedRows``, and nobody else asks this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.base_tables import marked
from semantic.compiler.model_sql import ModelSql
from semantic.errors import UnsupportedError
from semantic.model.relations import Cube
from semantic.model.template import SecurityContextReference


@dataclass(frozen=True, slots=True)
class CubeTable:
    """A cube's table or query with names in place of what depends on the caller.

    Attributes:
        tree: a table or a parenthesised query, without alias.
        cubes: the cubes whose rows it reads, by the names of tables in the tree.
        context: attributes of the caller, by the names of columns in the tree.
    """

    tree: exp.Expr
    cubes: Mapping[str, str]
    context: Mapping[str, SecurityContextReference]


class CubeTables:
    """The tables of a model's cubes, each read once."""

    def __init__(self, sql: ModelSql) -> None:
        self.sql = sql
        self._made: dict[str, CubeTable] = {}

    def of(self, cube: Cube) -> CubeTable:
        """A cube's table.

        Raises:
            UnsupportedError: it has none, or one that speaks of members.
        """
        found = self._made.get(cube.name)
        if found is None:
            template = cube.sql_table or cube.sql
            if template is None:
                raise UnsupportedError(f"cube {cube.name} has no table")
            parsed = self.sql.parse(cube.name, template, into_query=True)
            if parsed.rows or parsed.references:
                raise UnsupportedError(f"the SQL of cube {cube.name} refers to members")
            found = CubeTable(marked(parsed.tree, cube.name), parsed.cubes, parsed.context)
            self._made[cube.name] = found
        return found
