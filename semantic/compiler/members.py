"""The members of the model's relations as compiled definitions."""

from __future__ import annotations

from copy import copy

from sqlglot import exp

from semantic.compiler.conformed import FactViews, check_own, fact_views
from semantic.compiler.formulas import at_inputs
from semantic.compiler.governed_rows import GovernedRows
from semantic.compiler.grants import ItemUse
from semantic.compiler.masks import typed_null
from semantic.compiler.measures import MeasureDefinition, Measures, MemberTypes
from semantic.compiler.model_sql import (
    ModelSql,
    below,
    row_measure,
)
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension, Measure, Segment
from semantic.model.published import PublishedRelation
from semantic.model.relations import Cube, View, ViewMember
from semantic.model.types import PostgresType

Path = tuple[str, ...]


class Members:
    """The members of the model's relations as compiled definitions.

    Attributes:
        sql: trees of the members, in which some may be masked.
        types: of the members.
        tables: makes the tables that rows are read from, for one caller.
    """

    def __init__(self, sql: ModelSql, types: MemberTypes, tables: GovernedRows) -> None:
        self.sql = sql
        self.types = types
        self.tables = tables
        self._fact_views: dict[str, FactViews] = {}
        self._measures = Measures(sql, types)
        self._definitions: dict[tuple[str, str, bool], MeasureDefinition] = {}
        self._indexes: dict[str, dict[str, int]] = {}
        self._to_many: dict[tuple[str, str, str], tuple[Path, ...]] = {}
        self._inside: dict[tuple[str, str], tuple[Path, ...]] = {}

    def for_other_columns(self) -> Members:
        """The same, sharing what is known of them, where relations show other columns."""
        members = copy(self)
        members._indexes = {}
        return members

    def use_of(self, relation: Cube | View) -> ItemUse:
        """A use of a cube or view, of which nothing is named yet."""
        return ItemUse(self.tables.access, relation, self.sql.model.cubes_by_name)

    def fact_views(self, view: View) -> FactViews:
        """A view over several root cubes as one for each of them."""
        found = self._fact_views.get(view.name)
        if found is None:
            found = self._fact_views[view.name] = fact_views(self.sql.model, view)
        return found

    def column_indexes(self, relation: PublishedRelation) -> dict[str, int]:
        """The places of a published relation's columns by name."""
        found = self._indexes.get(relation.name)
        if found is None:
            found = {column.name: index for index, column in enumerate(relation.columns)}
            self._indexes[relation.name] = found
        return found

    def for_caller(self, tables: GovernedRows, shown: Members) -> Members:
        """The same members over the rows that another caller may see.

        Args:
            tables: makes the tables that those are read from.
            shown: members whose published columns these share.
        """
        members = copy(self)
        members.tables = tables
        members._indexes = shown._indexes
        return members

    def measure(
        self, relation: Cube | View, name: str, *, masked: bool = False
    ) -> MeasureDefinition:
        """The definition of a measure, seen from the relation's root.

        Args:
            relation: whose column it is.
            name: of the column.
            masked: its mask is meant, which stands for its value.
        """
        masked = masked or (isinstance(relation, View) and self.sql.is_masked(relation.name, name))
        key = (relation.name, name, masked)
        found = self._definitions.get(key)
        if found is None:
            found = self._definitions[key] = self._define(relation, name, masked=masked)
        return found

    def _define(self, relation: Cube | View, name: str, *, masked: bool) -> MeasureDefinition:
        home, path = relation.name, Path()
        found: object = None
        if isinstance(relation, Cube):
            found = relation.members[name]
        else:
            found = relation.columns[name]
            if isinstance(found, Measure):
                check_own(self.sql.model.views_by_name[relation.name], found)
            elif isinstance(found, ViewMember):
                self._check_root(relation, found)
                home, path = found.cube, found.join_path
                found = self.sql.model.cubes_by_name[home].members[found.member]
        if not isinstance(found, Measure):
            raise TypeError(name)
        return self._measures.define(relation.name, name, home, found, path, masked=masked)

    def mask(self, relation: Cube | View, name: str, kind: PostgresType) -> exp.Expr:
        """What stands for a column's values where they are masked, paths seen from the root."""
        dialect = self.sql.dialect(self.sql.root_of(relation).data_source)
        cube, path = relation, Path()
        if isinstance(relation, View):
            found = relation.columns.get(name)
            if not isinstance(found, ViewMember):
                return typed_null(kind, dialect)
            cube, path, name = (
                self.sql.model.cubes_by_name[found.cube],
                found.join_path,
                found.member,
            )
        member = cube.members.get(name) if isinstance(cube, Cube) else None
        if not isinstance(cube, Cube) or not isinstance(member, Dimension | Measure):
            return typed_null(kind, dialect)
        return self.sql.reached(cube.name, self.sql.mask(cube, member), path)

    def to_many(self, relation: Cube | View, name: str) -> tuple[Path, ...]:
        """The ways to many rows that a view's column goes, so that the view has those rows (R2)."""
        if not isinstance(relation, View):
            return ()
        key = (relation.name, relation.root, name)
        paths = self._to_many.get(key)
        if paths is None:
            found = relation.columns.get(name)
            if isinstance(found, ViewMember):
                candidates: tuple[Path, ...] = (found.join_path,)
            else:
                candidates = self._row_paths(relation, name)
            paths = tuple(p for p in candidates if self._multiplies(relation.root, p))
            self._to_many[key] = paths
        return paths

    def to_many_inside(self, relation: Cube | View, name: str) -> tuple[Path, ...]:
        """The ways to many rows that a measure is made of, while the relation has others."""
        key = (relation.name, name)
        paths = self._inside.get(key)
        if paths is None:
            found = relation.members[name] if isinstance(relation, Cube) else relation.columns[name]
            start = found.join_path if isinstance(found, ViewMember) else ()
            home = found.cube if isinstance(found, ViewMember) else relation.name
            paths = ()
            if isinstance(relation, Cube) or isinstance(found, ViewMember):
                rows = self._row_paths(relation, name)
                paths = tuple(p for p in rows if self._multiplies(home, p[len(start) :]))
            self._inside[key] = paths
        return paths

    def _row_paths(self, relation: Cube | View, name: str) -> tuple[Path, ...]:
        """The ways to the rows that a measure is aggregated over."""
        try:
            return tuple(rows.path for rows in self.measure(relation, name).rows)
        except (SemanticError, TypeError):
            # Not a measure, or one that is refused where it is used.
            return ()

    def _multiplies(self, home: str, path: Path) -> bool:
        steps = self.sql.model.walk(home, path) if path else ()
        return any(not step.join.is_to_one for step in steps)

    def row_reading(self, relation: Cube | View, name: str, *, masked: bool = False) -> exp.Expr:
        """A measure's value for a row (M5) over base columns, paths seen from the root."""
        if masked or not self.to_many_inside(relation, name):
            definition = self.measure(relation, name, masked=masked)
            return at_inputs(definition.row, dict(definition.inputs))
        found = relation.columns[name] if isinstance(relation, View) else None
        if isinstance(found, ViewMember):
            return below(row_measure("measure", found.member), found.join_path)
        return row_measure("measure", name)

    def row_measure(self, cube: Cube, kind: str, name: str) -> MeasureDefinition:
        """A measure as a value of a row of a cube: a sub_query dimension, or one of its measures.

        Its rows' paths are seen from the cube.
        """
        if kind == "measure":
            return self.measure(cube, name)
        dimension = cube.members[name]
        if not isinstance(dimension, Dimension):
            raise TypeError(name)
        target = self.sql.sub_query_measure(cube, dimension)
        if not isinstance(target.member, Measure):
            raise TypeError(name)
        masked = self.sql.is_masked(target.cube, target.member.name)
        return self._measures.define(
            cube.name, name, target.cube, target.member, target.path, masked=masked
        )

    def row_value(self, relation: Cube | View, name: str) -> exp.Expr:
        """A dimension or segment over base columns, paths seen from the relation's root."""
        if isinstance(relation, Cube):
            member = relation.members[name]
            if isinstance(member, Dimension):
                return self.sql.dimension(relation, member)
            if isinstance(member, Segment):
                return self.sql.segment(relation.name, member)
            raise TypeError(name)
        found = relation.columns[name]
        if isinstance(found, Segment):
            check_own(self.sql.model.views_by_name[relation.name], found)
            return self.sql.segment(relation.name, found)
        if not isinstance(found, ViewMember):
            raise TypeError(name)
        self._check_root(relation, found)
        tree = self.row_value(self.sql.model.cubes_by_name[found.cube], found.member)
        return self.sql.reached(found.cube, tree, found.join_path)

    def time_dimension(self, relation: Cube | View, name: str) -> tuple[Cube, Dimension] | None:
        """The time dimension with custom granularities that a column is, and its cube."""
        cube = relation
        if isinstance(relation, View):
            found = relation.columns.get(name)
            if not isinstance(found, ViewMember):
                return None
            cube, name = self.sql.model.cubes_by_name[found.cube], found.member
        member = cube.members.get(name) if isinstance(cube, Cube) else None
        if isinstance(cube, Cube) and isinstance(member, Dimension) and member.granularities:
            return cube, member
        return None

    def period_value(self, relation: Cube | View, name: str, granularity: str) -> exp.Expr:
        """The SQL of a granularity that truncates by itself, as ``row_value``."""
        found = self.time_dimension(relation, name)
        item = None if found is None else found[1].granularity(granularity)
        if found is None or item is None or item.sql is None:
            raise TypeError(f"{name}.{granularity}")
        tree = self.sql.period(*found, item)
        if isinstance(relation, View):
            member = relation.columns[name]
            if isinstance(member, ViewMember):
                self._check_root(relation, member)
                tree = self.sql.reached(found[0].name, tree, member.join_path)
        return tree

    def _check_root(self, relation: View, found: ViewMember) -> None:
        if found.root != relation.root:
            raise UnsupportedError(
                f"{relation.name}.{found.name} cannot be used: views over several root cubes are "
                "not supported yet",
                hint=f"Use the members that are reached from {relation.root}.",
            )
