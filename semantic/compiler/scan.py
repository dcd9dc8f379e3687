"""Builds the scan of one cube or view: only the columns and joins that are asked for (R2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.measures import MeasureDefinition, MeasureRows
from semantic.compiler.members import Members
from semantic.compiler.model_sql import (
    UnservedMemberError,
    below,
    no_primary_key,
    path_of,
    row_measure_of,
)
from semantic.compiler.names import Names
from semantic.compiler.plan import Scan, ScanColumn, ScanJoin
from semantic.compiler.restriction import partner_exists, restricted_table
from semantic.compiler.row_measures import key_name, row_measure_query
from semantic.compiler.stages import is_staged
from semantic.compiler.trees import all_of, column, enclose, rebuild
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension
from semantic.model.model import JoinStep, ResolutionError
from semantic.model.published import PublishedColumn
from semantic.model.relations import Cube, View
from semantic.model.types import NUMERIC, TEXT, UNKNOWN, PostgresType


class ScanBuilder:
    """Collects what one use of a relation needs, then makes its ``Scan``."""

    def __init__(
        self,
        members: Members,
        relation: Cube | View,
        alias: str,
        names: Names,
        *,
        governed: bool = True,
    ) -> None:
        self._governed = governed
        self._members = members
        self._relation = relation
        self._root = members.sql.root_of(relation)
        self._names = names
        self.alias = alias
        self.data_source = self._root.data_source
        self._column_names = Names()
        self._columns: dict[tuple[object, ...], ScanColumn] = {}
        self._joins: dict[tuple[str, ...], ScanJoin] = {}
        # Paths that end with a join to many rows.
        self._to_many: set[tuple[str, ...]] = set()
        if governed:
            _refuse_governed(relation)
            _refuse_governed(self._root)
        self._filters: list[exp.Expr] = []
        # What WHERE is over: columns of the root's rows, or anything.
        self.filtered: Literal["", "root", "beyond"] = ""
        for join in self._root.joins:
            if join.type == "inner" and join.is_to_one:
                self._alias((join.name,))
            elif join.type == "inner":
                exists = partner_exists(members.sql, self._root, join, alias, Names())
                self._filters.append(exists)

    def value(self, published: PublishedColumn) -> exp.Column:
        """The column that holds a member's value for a row (M5 for measures)."""
        key: tuple[object, ...] = (published.kind, published.name)
        found = self._columns.get(key)
        if found is None:
            if published.kind == "measure":
                tree = self._row_of_measure(published)
                wanted = f"{published.name}:row"
            elif published.granularity is not None:
                tree = self.place(
                    self._members.period_value(self._relation, *published.granularity)
                )
                wanted = published.name
            else:
                tree = self.place(self._members.row_value(self._relation, published.name))
                wanted = published.name
            found = self._columns[key] = self._column(wanted, tree, published.type)
        return column(self.alias, found.name)

    def inputs(
        self, definition: MeasureDefinition, published: PostgresType
    ) -> Mapping[str, exp.Column]:
        """This scan's columns that hold a measure's inputs, by name."""
        names: dict[str, exp.Column] = {}
        for name, tree in definition.inputs:
            kind = definition.types.get(name) or definition.input_type(published)
            is_typed = definition.portable or name in definition.types
            key = ("input", name, tree)
            found = self._columns.get(key)
            if found is None:
                found = self._columns[key] = self._column(name, self.place(tree), kind)
            elif is_typed and found.type != kind:
                # A calculated measure asked first, which does not know the type.
                found = self._columns[key] = replace(found, type=kind)
            names[name] = column(self.alias, found.name)
        return names

    def expression(self, wanted: str, tree: exp.Expr, kind: PostgresType) -> exp.Column:
        """A column of its own for a tree over base rows."""
        key = ("expression", wanted, tree)
        found = self._columns.get(key)
        if found is None:
            found = self._columns[key] = self._column(wanted, self.place(tree), kind)
        return column(self.alias, found.name)

    def row_key(self, rows: MeasureRows) -> tuple[exp.Expr, ...]:
        """The columns that tell the rows apart which a measure is aggregated over.

        Raises:
            UnsupportedError: their cube declares no primary key.
        """
        trees = self._members.sql.primary_key(rows.cube)
        if not trees:
            raise no_primary_key(rows.cube)
        columns: list[exp.Expr] = []
        for number, tree in enumerate(trees):
            key = ("key", rows.path, number)
            found = self._columns.get(key)
            if found is None:
                # Nothing asks for its type: it is compared with itself.
                wanted = ".".join((*rows.path, f"key:{number + 1}"))
                placed = self.place(below(tree, rows.path))
                found = self._columns[key] = self._column(wanted, placed, TEXT)
            columns.append(column(self.alias, found.name))
        return tuple(columns)

    def repeats(self, rows: MeasureRows) -> bool:
        """Whether a row that a measure is aggregated over may stand in several rows of the scan."""
        steps = self._steps(rows.path)
        if any(step.join.relationship == "many_to_one" for step in steps):
            return True
        return self._is_spread(rows)

    def _is_spread(self, rows: MeasureRows) -> bool:
        """Whether a row may stand in several rows of the scan that have one row of the root."""
        return any(rows.path[: len(path)] != path for path in self._to_many)

    @property
    def multiplies(self) -> bool:
        """Whether the scan has more rows than the relation's root."""
        return bool(self._to_many)

    def join(self, path: tuple[str, ...]) -> None:
        """Make the joins of a path, which may multiply the rows."""
        steps = self._steps(path)
        self._alias(path)
        for number, step in enumerate(steps):
            if not step.join.is_to_one:
                self._to_many.add(path[: number + 1])

    def _steps(self, path: tuple[str, ...]) -> tuple[JoinStep, ...]:
        try:
            return self._members.sql.model.walk(self._root.name, path)
        except ResolutionError as error:
            raise SemanticError("XX000", error.message) from error

    def base_column(self, tree: exp.Column) -> exp.Column:
        """A column of the base tables as it is, for conditions in the warehouse's dialect."""
        key = ("base", tree)
        found = self._columns.get(key)
        if found is None:
            placed = self.place(tree)
            same = (item for item in self._columns.values() if item.expression == placed)
            found = next(same, None) or self._column(tree.name, placed, UNKNOWN)
            self._columns[key] = found
        return column(self.alias, found.name)

    def make(self) -> Scan:
        """The scan with everything collected so far."""
        return Scan(
            alias=self.alias,
            relation=self._relation.name,
            data_source=self.data_source,
            base=self.alias,
            table=self._members.sql.table(self._root),
            joins=tuple(self._joins.values()),
            columns=tuple(dict.fromkeys(self._columns.values())),
            filters=tuple(self._filters),
        )

    def _column(self, wanted: str, tree: exp.Expr, kind: PostgresType) -> ScanColumn:
        return ScanColumn(self._column_names.take(wanted), tree, kind)

    def _row_of_measure(self, published: PublishedColumn) -> exp.Expr:
        definition = self._members.measure(self._relation, published.name)
        if is_staged(definition.row):
            raise UnsupportedError(
                f"{self._relation.name}.{published.name} has no value for a single row",
                hint="Group the query, or leave the column out and list those that you need.",
            )
        tree = self.place(self._members.row_reading(self._relation, published.name))
        if published.type == NUMERIC and self._members.sql.dialect(self.data_source) == "postgres":
            # The sum and the average of integers are numeric, so one row's are too.
            return exp.Cast(this=tree, to=exp.DataType(this=exp.DType.DECIMAL, nested=False))
        return cast_to(tree, published.type)

    def place(self, tree: exp.Expr) -> exp.Expr:
        """Put this scan's aliases in place of paths, and join what they need."""

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                path = path_of(node)
                if path is not None:
                    table = exp.Identifier(this=self._alias(path), quoted=True)
                    return exp.Column(this=node.this, table=table)
            return None

        return rebuild(tree, replace)

    def _alias(self, path: tuple[str, ...]) -> str:
        """The alias of the table that a path leads to; joins it when it is not joined yet."""
        if not path:
            return self.alias
        found = self._joins.get(path)
        if found is None:
            self._alias(path[:-1])
            is_join = row_measure_of(path[-1]) is None
            found = self._join(path) if is_join else self._row_measure(path)
            self._joins[path] = found
        return found.alias

    def _join(self, path: tuple[str, ...]) -> ScanJoin:
        sql = self._members.sql
        step = self._steps(path)[-1]
        join, source = step.join, sql.model.cubes_by_name[step.source]
        target = sql.model.cubes_by_name[step.target]
        shown = ".".join(path)
        if target.data_source != self.data_source:
            raise UnsupportedError(
                f"{self._root.name} and {target.name} are in different data sources",
                hint="A query reads one data source.",
            )
        if self._governed:
            _refuse_governed(target)
        alias = self._names.take("_".join(path))

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                relative = path_of(node)
                if relative is not None:
                    place = alias if relative == (join.name,) else self._alias(path[:-1] + relative)
                    return exp.Column(this=node.this, table=exp.Identifier(this=place, quoted=True))
            return None

        condition = rebuild(sql.join_condition(source, join), replace)
        # Behind another join, the joined cube has only rows with a partner: see restricted_table.
        is_inner = join.type == "inner" and len(path) == 1 and join.is_to_one
        name = shown if join.name == target.name else f"{shown}({target.name})"
        table = restricted_table(sql, target, Names())
        kind: Literal["INNER", "LEFT"] = "INNER" if is_inner else "LEFT"
        # A join to many rows adds rows, used or not.
        structural = is_inner or not join.is_to_one
        return ScanJoin(alias, table, condition, kind, name, structural)

    def _row_measure(self, path: tuple[str, ...]) -> ScanJoin:
        """The join of a measure as a value of each row of the cube before it."""
        sql = self._members.sql
        found = row_measure_of(path[-1])
        steps = self._steps(path[:-1])
        cube = sql.model.cubes_by_name[steps[-1].target] if steps else self._root
        if found is None or not cube.primary_key:
            raise no_primary_key(cube.name)
        definition = self._members.row_measure(cube, *found)
        dimension = cube.members.get(found[1]) if found[0] == "dimension" else None
        propagates = isinstance(dimension, Dimension) and dimension.propagate_filters
        if propagates and (self.filtered == "beyond" or (self.filtered and path[:-1])):
            raise UnservedMemberError(
                cube.name,
                found[1],
                "propagated filters over anything but the columns of a cube's own rows",
            )
        inner = ScanBuilder(self._members, cube, cube.name, Names(), governed=self._governed)
        table = inner.by_primary_key(definition)
        alias = self._names.take("_".join((*path[:-1], found[1])))
        conditions: list[exp.Expr] = []
        for number, tree in enumerate(sql.primary_key(cube.name)):
            mine = enclose(self.place(below(tree, path[:-1])))
            conditions.append(exp.EQ(this=mine, expression=column(alias, key_name(number))))
        condition = all_of(conditions)
        if condition is None:
            raise no_primary_key(cube.name)
        return ScanJoin(alias, table, condition, "LEFT", ".".join((*path[:-1], found[1])))

    def by_primary_key(self, definition: MeasureDefinition) -> exp.Subquery:
        """A measure for each row of this scan's root, as a subquery by the primary key."""
        if is_staged(definition.formula):
            raise UnsupportedError(
                f"{definition.relation}.{definition.name} is a measure over several stages, which "
                "has no value for a single row",
                hint="Group the query, or leave the column out and list those that you need.",
            )
        for rows in definition.rows:
            self.join(rows.path)
        inputs = self.inputs(definition, UNKNOWN)
        root = MeasureRows((), self._root.name, frozenset(), duplicates_matter=True)
        repeated = tuple(
            rows for rows in definition.rows if rows.duplicates_matter and self._is_spread(rows)
        )
        keys = {
            rows.path: tuple(item.name for item in self.row_key(rows)) for rows in (root, *repeated)
        }
        names = {name: made.name for name, made in inputs.items()}
        return row_measure_query(self.make(), definition, names, keys, repeated)


def _refuse_governed(relation: Cube | View) -> None:
    """Access policies are not enforced yet, so what has them is closed (G1)."""
    if relation.access_policies:
        raise UnsupportedError(
            f"{relation.name} has access policies, which are not supported yet",
            hint="Remove access_policy from the model, or query other relations.",
        )
    if isinstance(relation, View) and relation.default_filters:
        raise UnsupportedError(f"{relation.name} has default filters, which are not supported yet")
