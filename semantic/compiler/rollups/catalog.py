"""A model's pre-aggregations: their definitions, and the statements that build them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from sqlglot import exp

from semantic.compiler.api import ParameterUse
from semantic.compiler.members import Members
from semantic.compiler.plan import Projection, Query, Scan, Select
from semantic.compiler.rollups.api import RollupCandidates, RollupDefinition
from semantic.compiler.rollups.available import Rollups, choose_from, nothing_built
from semantic.compiler.rollups.blueprint import Blueprint, Key
from semantic.compiler.rollups.blueprints import blueprints
from semantic.compiler.rollups.definitions import definition_of
from semantic.compiler.rollups.kept_rows import KeptRows, build_sql, kept_rows
from semantic.compiler.trees import all_of, column
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.preaggregation import PreAggregation
from semantic.model.promises import promises_of
from semantic.model.relations import Cube
from semantic.model.types import TIMESTAMPTZ, PostgresType


class RollupCatalog:
    """The pre-aggregations of one model, worked out when they are first asked for."""

    def __init__(self, members: Members) -> None:
        self._members = members
        model = members.sql.model
        self._nothing = nothing_built(model)
        self._silent = frozenset(cube.name for cube in model.cubes if not promises_of(cube))
        self._has_tables = any(item.table for cube in model.cubes for item in cube.pre_aggregations)
        self._blueprints: Mapping[str, Blueprint] | None = None
        self._definitions: Mapping[str, RollupDefinition] = {}
        self._kept: dict[str, KeptRows] = {}

    def definitions(self) -> Mapping[str, RollupDefinition]:
        """All of them by name, in order of the model."""
        self._known()
        return MappingProxyType(dict(self._definitions))

    def _known(self) -> Mapping[str, Blueprint]:
        if self._blueprints is None:
            self._blueprints = {}
            found: dict[str, RollupDefinition] = {}
            for cube in self._members.sql.model.cubes:
                if cube.pre_aggregations:
                    found |= self._of_cube(cube)
            self._definitions = found
        return self._blueprints

    def _of_cube(self, cube: Cube) -> dict[str, RollupDefinition]:
        problem = ""
        made: Mapping[str, Blueprint] = {}
        try:
            made = blueprints(self._members, cube)
        except SemanticError as error:
            problem = error.message
        self._blueprints = {**(self._blueprints or {}), **made}
        found: dict[str, RollupDefinition] = {}
        for item in cube.pre_aggregations:
            name = f"{cube.name}.{item.name}"
            blueprint = made.get(name)
            if blueprint is not None:
                found[name] = blueprint.definition
            elif item.type == "original_sql":
                found[name] = self._original(cube, item)
            else:
                found[name] = definition_of(cube, item, problem=problem)
        return found

    def _original(self, cube: Cube, item: PreAggregation) -> RollupDefinition:
        """Rows of a cube's own SQL."""
        found = kept_rows(self._members, cube, item)
        if isinstance(found, RollupDefinition):
            return found
        self._kept[found.definition.name] = found
        return found.definition

    def rows_sql(
        self, name: str, *, start: bool, end: bool
    ) -> tuple[str, tuple[ParameterUse, ...]] | None:
        """See ``kept_rows.build_sql``; None for other types than original_sql."""
        self._known()
        kept = self._kept.get(name)
        if kept is None:
            return None
        dialect = self._members.sql.dialect(kept.definition.data_source)
        return build_sql(kept, dialect, start=start, end=end)

    def choose(self, candidates: RollupCandidates) -> Rollups:
        """What a statement may be answered from."""
        if not candidates.stored and not (candidates.others and self._has_tables):
            return self._nothing
        made = self._known()
        return choose_from(self._definitions, made, self._kept, candidates, self._silent)

    def definition(self, name: str) -> RollupDefinition:
        """One of them.

        Raises:
            SemanticError: 42704, there is none of that name.
        """
        self._known()
        found = self._definitions.get(name)
        if found is None:
            raise SemanticError("42704", f'there is no pre-aggregation "{name}"')
        return found

    def refresh_sql(self, name: str) -> str | None:
        """The query whose changed result means changed data."""
        key = self.definition(name).refresh_key
        return None if key is None else key.sql

    def declared_range(self, name: str) -> tuple[str | None, str | None]:
        """The queries for the first and the last moment, as far as the model has them."""
        item = self._declared(self.definition(name))
        texts: list[str | None] = []
        for template in (item.build_range_start, item.build_range_end):
            if template is not None and not template.is_plain:
                raise UnsupportedError(f"the build range of {name} refers to members")
            texts.append(None if template is None else "".join(map(str, template.parts)))
        return texts[0], texts[1]

    def extreme_query(self, name: str, *, last: bool) -> Query | None:
        """The first or last time of a partitioned rollup's rows; None without partitions."""
        scan, time = self._timed(name)
        if scan is None or time is None or self.definition(name).partition is None:
            return None
        value = column(scan.alias, time.column.name)
        call = exp.Max(this=value) if last else exp.Min(this=value)
        return _over_all(scan, call)

    def timeless_query(self, name: str) -> Query | None:
        """The number of rows without a time, which no partition holds."""
        scan, time = self._timed(name)
        if scan is None or time is None:
            return None
        value = column(scan.alias, time.column.name)
        timeless = exp.Is(this=value, expression=exp.Null())
        query = _over_all(scan, exp.Count(this=exp.Star(), big_int=True))
        return replace(query, where=timeless)

    def _timed(self, name: str) -> tuple[Scan | None, Key | None]:
        """The rows that a pre-aggregation is made of, and the time that it is cut by."""
        found = self._known().get(name) or self._kept.get(name)
        return (None, None) if found is None else (found.scan, found.time)

    def _declared(self, definition: RollupDefinition) -> PreAggregation:
        cube = self._members.sql.model.cubes_by_name[definition.cube]
        name = definition.name.removeprefix(f"{cube.name}.")
        return next(item for item in cube.pre_aggregations if item.name == name)

    def build_query(self, name: str, *, start: bool, end: bool) -> tuple[Select, PostgresType]:
        """The SELECT of a rollup's rows, and the type of the bounds that are its parameters.

        Args:
            name: of the rollup.
            start: only rows from the first parameter on; otherwise those without a time, too.
            end: only rows before the second parameter.

        Raises:
            SemanticError: 42704, there is no such rollup, or none that is built; 22023, it has no
                time to be cut by.
        """
        definition = self.definition(name)
        if not definition.is_built:
            reason = definition.problem or "it is nothing that is built"
            raise SemanticError("42704", f"{name} cannot be built: {reason}")
        if definition.kind != "rollup":
            raise UnsupportedError(f"pre-aggregations of type {definition.kind} are not built")
        blueprint = self._known()[name]
        time = blueprint.time
        if time is None and (start or end):
            raise SemanticError("22023", f"rollup {name} has no time to be cut by")
        if time is None:
            return blueprint.query, TIMESTAMPTZ
        value = column(blueprint.scan.alias, time.column.name)
        return replace(blueprint.query, where=_range(value, start=start, end=end)), time.type


def _over_all(scan: Scan, call: exp.Expr) -> Select:
    """An aggregate over all rows, as a SELECT of one row."""
    return Select((Projection("value", call),), scan, group=())


def _range(value: exp.Expr, *, start: bool, end: bool) -> exp.Expr | None:
    conditions: list[exp.Expr] = []
    if start:
        conditions.append(exp.GTE(this=value.copy(), expression=_parameter(1)))
    if end:
        conditions.append(exp.LT(this=value.copy(), expression=_parameter(2)))
    found = all_of(conditions)
    if found is None or start:
        return found
    null = exp.Is(this=value.copy(), expression=exp.Null())
    return exp.Or(this=found, expression=null)


def _parameter(number: int) -> exp.Expr:
    return exp.Parameter(this=exp.Literal.number(number))
