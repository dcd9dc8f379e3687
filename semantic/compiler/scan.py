"""Builds the scan of one cube or view: only the columns and joins that are asked for (R2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.expressions import tables_of
from semantic.compiler.expressions.postgres import spelled
from semantic.compiler.grants import ItemUse, rows_of
from semantic.compiler.masks import typed_null
from semantic.compiler.measures import MeasureDefinition, MeasureRows
from semantic.compiler.members import Members
from semantic.compiler.model_sql import (
    UnservedMemberError,
    below,
    no_primary_key,
    row_measure_of,
)
from semantic.compiler.names import Names
from semantic.compiler.plan import Scan, ScanColumn, ScanJoin
from semantic.compiler.restriction import partner_exists
from semantic.compiler.row_measures import key_name, row_measure_query
from semantic.compiler.scan_joins import ScanJoins
from semantic.compiler.stages import is_staged
from semantic.compiler.trees import all_of, column, enclose
from semantic.errors import UnsupportedError
from semantic.model.members import Dimension
from semantic.model.published import PublishedColumn
from semantic.model.relations import Cube, View
from semantic.model.types import INT4, NUMERIC, TEXT, UNKNOWN, PostgresType
from semantic.security.conditions import ALL_ROWS, NO_ROWS, RowCondition


class ScanBuilder:
    """Collects what one use of a relation needs, then makes its ``Scan``."""

    def __init__(
        self,
        members: Members,
        relation: Cube | View,
        alias: str,
        names: Names,
        *,
        use: ItemUse | None = None,
    ) -> None:
        self._members = members
        self._relation = relation
        self._root = members.sql.root_of(relation)
        self.alias = alias
        self.data_source = self._root.data_source
        self._names = names
        self._column_names = Names()
        self._columns: dict[tuple[object, ...], ScanColumn] = {}
        self._places = ScanJoins(members.tables.sql, self._root, alias, names, self._row_measure)
        self._use = use or members.use_of(relation)
        self._policies: dict[str, None] = {}
        # Paths that end with a join to many rows.
        self._to_many: set[tuple[str, ...]] = set()
        self._filters: list[exp.Expr] = []
        # What WHERE is over: columns of the root's rows, or anything.
        self.filtered: Literal["", "root", "beyond"] = ""
        # Columns of a view that WHERE is over.
        self.filters_on: frozenset[str] = frozenset()
        for join in self._root.joins:
            if join.type == "inner" and join.is_to_one:
                self._places.alias((join.name,))
            elif join.type == "inner":
                exists = partner_exists(
                    members.tables, self._root, join, alias, self._policies, Names()
                )
                self._filters.append(exists)

    def value(self, published: PublishedColumn) -> exp.Column:
        """The column that holds a member's value for a row (M5 for measures)."""
        key: tuple[object, ...] = (published.kind, published.name)
        found = self._columns.get(key)
        if found is None:
            member = published.granularity[0] if published.granularity else published.name
            if published.kind == "measure":
                tree = self._row_of_measure(published)
                wanted = f"{published.name}:row"
            elif published.granularity is not None:
                tree = self._members.period_value(self._relation, *published.granularity)
                dialect = self._members.sql.dialect(self.data_source)
                tree = self._masked(member, tree, lambda: typed_null(published.type, dialect))
                wanted = published.name
            else:
                tree = self._members.row_value(self._relation, member)
                tree = self._masked(member, tree, lambda: self._mask(published))
                if self._use.may_be_masked(self._relation, member):
                    tree = self._as_announced(tree, published.type)
                wanted = published.name
            found = self._columns[key] = self._column(wanted, tree, published.type)
        return column(self.alias, found.name)

    def _as_announced(self, tree: exp.Expr, kind: PostgresType) -> exp.Expr:
        """A value or its mask in the member's own type, where a mask is not in it already.

        PostgreSQL has several types for a text, and a number that is written out is no numeric.
        Without a modifier, since a mask may be longer than any value.
        """
        if kind.name == "varchar":
            return exp.Cast(this=tree, to=exp.DataType(this=exp.DType.VARCHAR, nested=False))
        is_postgres = self._members.sql.dialect(self.data_source) == "postgres"
        if not is_postgres or kind.name not in ("bpchar", "name", "json", "jsonb", "numeric"):
            return tree
        return exp.cast(tree, spelled(PostgresType(kind.name)), dialect="postgres")

    def _mask(self, published: PublishedColumn) -> exp.Expr:
        return self._members.mask(self._relation, published.name, published.type)

    def _masked(self, name: str, tree: exp.Expr, mask: Callable[[], exp.Expr]) -> exp.Expr:
        """A value where the policies of the view show it, its mask in all other rows.

        Those of cubes have masked it already, in the trees of members.
        """
        self._use.check_named(self._relation, name)
        rows = self._use.view_unmasked(name)
        if rows == ALL_ROWS:
            return self.place(tree)
        if rows == NO_ROWS:
            return self.place(mask())
        shown = exp.If(this=self._view_rule(rows), true=self.place(tree))
        return exp.Case(ifs=[shown], default=self.place(mask()))

    def _view_rule(self, condition: RowCondition) -> exp.Expr:
        if not isinstance(self._relation, View):
            raise TypeError(self._relation.name)
        tables = self._members.tables
        tree = tables.rule(self._root, condition, tables.view_member(self._relation))
        return self.place(tree)

    def inputs(
        self, definition: MeasureDefinition, published: PostgresType
    ) -> Mapping[str, exp.Column]:
        """This scan's columns that hold a measure's inputs, by name."""
        names: dict[str, exp.Column] = {}
        for name, tree in definition.inputs:
            kind = definition.types.get(name)
            if kind is None or (kind in (TEXT, UNKNOWN) and definition.type.startswith("count")):
                kind = self._input_type(definition, published, tree)
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

    def _input_type(
        self, definition: MeasureDefinition, published: PostgresType, tree: exp.Expr
    ) -> PostgresType:
        """The type of an input that has none of its own.

        What goes into the model's own SQL stays as it is, so that no portable dialect puts it into
        the form that a type has there; that of its least or greatest value is known all the same.
        What is only counted is put into the form of its own type.
        """
        if not self._is_portable():
            return definition.input_type(published)
        if not definition.portable:
            return published if self._is_extreme(definition, published) else UNKNOWN
        if not definition.type.startswith("count"):
            return definition.input_type(published)
        counted = _unfiltered(tree)
        if isinstance(counted, exp.Literal) and not counted.is_string:
            return INT4
        for dimension in self._root.dimensions:
            kind = self._members.types.get((self._root.name, dimension.name))
            if kind is not None and self._members.row_value(self._root, dimension.name) == counted:
                return kind
        return definition.input_type(published)

    def _is_extreme(self, definition: MeasureDefinition, published: PostgresType) -> bool:
        """Whether it is the least or greatest of its inputs, whose type has no form of its own."""
        tables = tables_of(self._members.sql.dialect(self._root.data_source))
        is_plain = tables is not None and published.name not in tables.columns
        made = definition.formula
        return (
            is_plain and isinstance(made, exp.Min | exp.Max) and isinstance(made.this, exp.Column)
        )

    def _is_portable(self) -> bool:
        return tables_of(self._members.sql.dialect(self._root.data_source)) is not None

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
        kinds = [TEXT] * len(trees)
        if self._is_portable():
            cube = self._members.sql.model.cubes_by_name[rows.cube]
            keys = [item.name for item in cube.primary_key]
            kinds = [self._members.types.get((cube.name, name), TEXT) for name in keys]
        columns: list[exp.Expr] = []
        for number, tree in enumerate(trees):
            key = ("key", rows.path, number)
            found = self._columns.get(key)
            if found is None:
                # Elsewhere nothing asks for its type: it is compared with itself.
                wanted = ".".join((*rows.path, f"key:{number + 1}"))
                placed = self.place(below(tree, rows.path))
                found = self._columns[key] = self._column(wanted, placed, kinds[number])
            columns.append(column(self.alias, found.name))
        return tuple(columns)

    def repeats(self, rows: MeasureRows) -> bool:
        """Whether a row that a measure is aggregated over may stand in several rows of the scan."""
        steps = self._places.steps(rows.path)
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
        steps = self._places.steps(path)
        self._places.alias(path)
        for number, step in enumerate(steps):
            if not step.join.is_to_one:
                self._to_many.add(path[: number + 1])

    def base_column(self, tree: exp.Column, kind: PostgresType = UNKNOWN) -> exp.Column:
        """A column of the base tables as it is.

        Of unknown type it is for conditions in the warehouse's dialect only.
        """
        key = ("base", tree)
        found = self._columns.get(key)
        if found is None:
            placed = self.place(tree)
            same = (
                item
                for item in self._columns.values()
                if item.expression == placed and kind in (UNKNOWN, item.type)
            )
            found = next(same, None) or self._column(tree.name, placed, kind)
            self._columns[key] = found
        return column(self.alias, found.name)

    def make(self) -> Scan:
        """The scan with everything collected so far, over rows that the caller may see."""
        tables, policies = self._members.tables, self._policies
        filters = [*self._filters, *self._view_filters()]
        paths = [(), *(path for path, _ in self._places.planned())]
        contributing = {path: self._use.cube_grants(self._root.name, path) for path in paths}
        table = tables.table(self._root, policies, contributing[()], self._places.flags.get((), ()))
        return Scan(
            alias=self.alias,
            relation=self._relation.name,
            cube=self._root.name,
            data_source=self.data_source,
            base=self.alias,
            table=table,
            joins=tables.joined(self._places, policies, contributing),
            columns=tuple(dict.fromkeys(self._columns.values())),
            filters=tuple(filters),
            policies=tuple(policies),
            fenced=self._use.view_grants is not None,
        )

    def _view_filters(self) -> Iterator[exp.Expr]:
        """What keeps rows of a view out: its policies, and its default filters."""
        grants = self._use.view_grants
        if grants is not None:
            self._policies.update(dict.fromkeys(grant.name for grant in grants))
            rows = rows_of(grants)
            if rows != ALL_ROWS:
                yield enclose(self._view_rule(rows))
        if isinstance(self._relation, View):
            for item in self._members.tables.default_filters(self._relation):
                if self.filters_on.isdisjoint(item.unless):
                    yield enclose(self._view_rule(item.condition))

    def _column(self, wanted: str, tree: exp.Expr, kind: PostgresType) -> ScanColumn:
        return ScanColumn(self._column_names.take(wanted), tree, kind)

    def _row_of_measure(self, published: PublishedColumn) -> exp.Expr:
        masked = self._use.is_masked(self._relation, published.name)
        definition = self._members.measure(self._relation, published.name, masked=masked)
        if is_staged(definition.row):
            raise UnsupportedError(
                f"{self._relation.name}.{published.name} has no value for a single row",
                hint="Group the query, or leave the column out and list those that you need.",
            )
        reading = self._members.row_reading(self._relation, published.name, masked=masked)
        tree = self.place(reading)
        if published.type == NUMERIC and self._members.sql.dialect(self.data_source) == "postgres":
            # The sum and the average of integers are numeric, so one row's are too.
            return exp.Cast(this=tree, to=exp.DataType(this=exp.DType.DECIMAL, nested=False))
        return cast_to(tree, published.type, self._members.sql.dialect(self.data_source))

    def place(self, tree: exp.Expr) -> exp.Expr:
        """Put this scan's aliases in place of paths, and join what they need."""
        return self._places.place(tree)

    def _row_measure(self, path: tuple[str, ...]) -> ScanJoin:
        """The join of a measure as a value of each row of the cube before it."""
        sql = self._members.sql
        found = row_measure_of(path[-1])
        steps = self._places.steps(path[:-1])
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
        inner = ScanBuilder(self._members, cube, cube.name, Names())
        table = inner.by_primary_key(definition)
        self._policies.update(inner._policies)
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


def _unfiltered(tree: exp.Expr) -> exp.Expr:
    """What a measure counts, without the conditions on which it does."""
    while isinstance(tree, exp.Case | exp.Paren):
        if isinstance(tree, exp.Case):
            if tree.this is not None or tree.args.get("default") or len(tree.args["ifs"]) > 1:
                return tree
            tree = tree.args["ifs"][0].args["true"]
        else:
            tree = tree.this
    return tree
