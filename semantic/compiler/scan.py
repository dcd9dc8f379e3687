"""Builds the scan of one cube or view: only the columns and joins that are asked for (R2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.dialect import cast_to
from semantic.compiler.formulas import at_inputs
from semantic.compiler.measures import MeasureDefinition, MeasureRows, Measures, MemberTypes
from semantic.compiler.model_sql import ModelSql, below, no_primary_key, path_of
from semantic.compiler.names import Names
from semantic.compiler.plan import Scan, ScanColumn, ScanJoin
from semantic.compiler.stages import is_staged
from semantic.compiler.trees import column, rebuild
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension, Measure, Segment
from semantic.model.model import ResolutionError
from semantic.model.published import PublishedColumn, PublishedRelation
from semantic.model.relations import Cube, View, ViewMember
from semantic.model.types import NUMERIC, TEXT, UNKNOWN, PostgresType


class Members:
    """The members of the model's relations as compiled definitions."""

    def __init__(self, sql: ModelSql, types: MemberTypes) -> None:
        self.sql = sql
        self._measures = Measures(sql, types)
        self._definitions: dict[tuple[str, str], MeasureDefinition] = {}
        self._indexes: dict[str, dict[str, int]] = {}
        self._to_many: dict[tuple[str, str], tuple[str, ...]] = {}

    def column_indexes(self, relation: PublishedRelation) -> dict[str, int]:
        """The places of a published relation's columns by name."""
        found = self._indexes.get(relation.name)
        if found is None:
            found = {column.name: index for index, column in enumerate(relation.columns)}
            self._indexes[relation.name] = found
        return found

    def measure(self, relation: Cube | View, name: str) -> MeasureDefinition:
        """The definition of a measure, seen from the relation's root."""
        key = (relation.name, name)
        found = self._definitions.get(key)
        if found is None:
            found = self._definitions[key] = self._define(relation, name)
        return found

    def _define(self, relation: Cube | View, name: str) -> MeasureDefinition:
        if isinstance(relation, Cube):
            member = relation.members[name]
            if not isinstance(member, Measure):
                raise TypeError(name)
            return self._measures.define(relation.name, name, relation.name, member)
        found = relation.columns[name]
        if isinstance(found, Measure):
            return self._measures.define(relation.name, name, relation.name, found)
        if not isinstance(found, ViewMember):
            raise TypeError(name)
        self._check_root(relation, found)
        target = self.sql.model.cubes_by_name[found.cube].members[found.member]
        if not isinstance(target, Measure):
            raise TypeError(name)
        return self._measures.define(relation.name, name, found.cube, target, found.join_path)

    def to_many(self, relation: Cube | View, name: str) -> tuple[str, ...]:
        """The joins that a view's column goes over, if one of them multiplies rows."""
        if not isinstance(relation, View):
            return ()
        key = (relation.name, name)
        path = self._to_many.get(key)
        if path is None:
            found = relation.columns.get(name)
            path = found.join_path if isinstance(found, ViewMember) else ()
            steps = self.sql.model.walk(relation.root, path) if path else ()
            if all(step.join.is_to_one for step in steps):
                path = ()
            self._to_many[key] = path
        return path

    def row_value(self, relation: Cube | View, name: str) -> exp.Expr:
        """A dimension or segment over base columns, paths seen from the relation's root."""
        if isinstance(relation, Cube):
            member = relation.members[name]
            if isinstance(member, Dimension):
                return self.sql.dimension(relation, member)
            if isinstance(member, Segment):
                return self.sql.condition(relation.name, member.sql)
            raise TypeError(name)
        found = relation.columns[name]
        if isinstance(found, Segment):
            return self.sql.condition(relation.name, found.sql)
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
        tree = self.sql.condition(found[0].name, item.sql)
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
        for join in self._root.joins:
            if join.type == "inner":
                self._alias((join.name,))

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
        steps = self._members.sql.model.walk(self._root.name, rows.path)
        if any(step.join.relationship == "many_to_one" for step in steps):
            return True
        return any(rows.path[: len(path)] != path for path in self._to_many)

    @property
    def multiplies(self) -> bool:
        """Whether the scan has more rows than the relation's root."""
        return bool(self._to_many)

    def join(self, path: tuple[str, ...]) -> None:
        """Make the joins of a path, which may multiply the rows."""
        try:
            steps = self._members.sql.model.walk(self._root.name, path)
        except ResolutionError as error:
            raise SemanticError("XX000", error.message) from error
        self._alias(path)
        for number, step in enumerate(steps):
            if not step.join.is_to_one:
                self._to_many.add(path[: number + 1])

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
        row = at_inputs(definition.row, dict(definition.inputs))
        tree = self.place(row)
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
            before = self._alias(path[:-1])
            found = self._join(path, before)
            self._joins[path] = found
        return found.alias

    def _join(self, path: tuple[str, ...], before: str) -> ScanJoin:
        sql = self._members.sql
        try:
            step = sql.model.walk(self._root.name, path)[-1]
        except ResolutionError as error:
            raise SemanticError("XX000", error.message) from error
        join, source = step.join, sql.model.cubes_by_name[step.source]
        target = sql.model.cubes_by_name[step.target]
        shown = ".".join(path)
        if join.type == "inner" and (len(path) > 1 or not join.is_to_one):
            raise UnsupportedError(
                f"the inner join {shown}, which is to-many or behind another join, is not "
                "supported yet",
                hint="Make it a left join and filter on the primary key of the joined cube.",
            )
        if target.data_source != self.data_source:
            raise UnsupportedError(
                f"{self._root.name} and {target.name} are in different data sources",
                hint="A query reads one data source.",
            )
        if self._governed:
            _refuse_governed(target)
        if any(other.type == "inner" for other in target.joins):
            raise UnsupportedError(
                f"the join {shown} to a cube with inner joins is not supported yet"
            )
        alias = self._names.take("_".join(path))

        def replace(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Column):
                relative = path_of(node)
                if relative is not None:
                    place = alias if relative == (join.name,) else self._alias(path[:-1] + relative)
                    return exp.Column(this=node.this, table=exp.Identifier(this=place, quoted=True))
            return None

        condition = rebuild(sql.join_condition(source, join), replace)
        kind = "INNER" if join.type == "inner" else "LEFT"
        name = shown if join.name == target.name else f"{shown}({target.name})"
        return ScanJoin(alias, sql.table(target), condition, kind, name, kind == "INNER")  # type: ignore[arg-type]


def _refuse_governed(relation: Cube | View) -> None:
    """Access policies are not enforced yet, so what has them is closed (G1)."""
    if relation.access_policies:
        raise UnsupportedError(
            f"{relation.name} has access policies, which are not supported yet",
            hint="Remove access_policy from the model, or query other relations.",
        )
    if isinstance(relation, View) and relation.default_filters:
        raise UnsupportedError(f"{relation.name} has default filters, which are not supported yet")
