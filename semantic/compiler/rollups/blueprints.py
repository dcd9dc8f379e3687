"""Works out a model's rollups: which columns they store, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from sqlglot import exp

from semantic.compiler.expressions.periods import Period
from semantic.compiler.expressions.types import has_one_form
from semantic.compiler.formulas import at_inputs
from semantic.compiler.granularities import period_of
from semantic.compiler.members import Members
from semantic.compiler.names import Names
from semantic.compiler.plan import Scan, ScanColumn, Select
from semantic.compiler.rollups.aggregates import (
    SKETCHES,
    Aggregate,
    NotStorableError,
    aggregate_calls,
    needed_parts,
    read_aggregate,
    with_values,
)
from semantic.compiler.rollups.api import ColumnPart, ColumnRole, StoredColumn
from semantic.compiler.rollups.blueprint import Blueprint, Key, Part
from semantic.compiler.rollups.definitions import content_of, definition_of, time_reference
from semantic.compiler.rollups.grain import GRAINS
from semantic.compiler.rollups.measure_types import PartTypes
from semantic.compiler.rollups.stored_query import stored_query
from semantic.compiler.rollups.trees import frame_of, is_lasting, named, scan_names
from semantic.compiler.scan import ScanBuilder
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.members import Dimension, Measure, MemberKind
from semantic.model.model import MemberTarget
from semantic.model.preaggregation import PreAggregation
from semantic.model.relations import Cube
from semantic.model.template import Reference
from semantic.model.types import PostgresType


def blueprints(members: Members, cube: Cube) -> Mapping[str, Blueprint]:
    """The rollups of a cube that store groups, by name.

    Raises:
        SemanticError: the rows of the cube cannot be read without a caller.
    """
    items = [item for item in cube.pre_aggregations if item.type == "rollup"]
    if not items:
        return {}
    types = PartTypes(members, cube)
    made = (_Maker(members, cube, item, types).make() for item in items)
    return {item.definition.name: item for item in made}


def unstorable(members: Members, cube: Cube, measure: str) -> str:
    """Why no part of a measure can be stored; empty where it can."""
    item = PreAggregation("advised", measures=(Reference((measure,)),))
    made = _Maker(members, cube, item, PartTypes(members, cube)).make()
    return "; ".join(reason for _, reason in made.definition.unstored)


class _Maker:
    """Works out one rollup."""

    def __init__(
        self, members: Members, cube: Cube, item: PreAggregation, types: PartTypes
    ) -> None:
        self._members = members
        self._cube = cube
        self._item = item
        self._types = types
        self._dialect = members.sql.dialect(cube.data_source)
        self._builder = ScanBuilder(members, cube, cube.name, Names())
        self._names = Names()
        # Values are over the builder's tables until the scan is made.
        self._keys: list[Key] = []
        self._parts: dict[Aggregate, StoredColumn] = {}
        self._unstored: list[tuple[str, str]] = []

    def make(self) -> Blueprint:
        item = self._item
        for reference in item.dimensions:
            self._attempt(reference, "dimension", self._dimension)
        for time in item.time_dimensions:
            stored = partial(self._time, granularity=time.granularity)
            self._attempt(time.dimension, "dimension", stored)
        for reference in item.segments:
            self._attempt(reference, "segment", self._segment)
        for reference in item.measures:
            self._attempt(reference, "measure", self._measure)
        return self._blueprint()

    def _attempt(
        self, reference: Reference, kind: MemberKind, store: Callable[[MemberTarget], None]
    ) -> None:
        try:
            target = self._members.sql.model.resolve(self._cube.name, reference)
            if isinstance(target, MemberTarget) and target.member.kind == kind:
                store(target)
            else:
                self._unstored.append((str(reference), f"it is no {kind}"))
        except (NotStorableError, SemanticError, LookupError) as error:
            self._unstored.append((str(reference), str(error)))

    def _dimension(self, target: MemberTarget) -> None:
        member = target.member
        if target.granularity is not None:
            self._time(target, target.granularity)
            return
        role: ColumnRole = "dimension"
        if isinstance(member, Dimension) and member.type == "time":
            role = "time"
        self._add_key(target, role, self._value(target), self._type(target))

    def _segment(self, target: MemberTarget) -> None:
        self._add_key(target, "segment", self._value(target), PostgresType("bool"))

    def _time(self, target: MemberTarget, granularity: str | None) -> None:
        member, kind = target.member, self._type(target)
        if not isinstance(member, Dimension):
            raise NotStorableError("it is no dimension")
        if granularity is None:
            self._add_key(target, "time", self._value(target), kind)
            return
        custom = member.granularity(granularity)
        if custom is not None and custom.sql is not None:
            value = self._value(replace(target, granularity=granularity))
            self._add_key(target, "time", value, kind, granularity)
            return
        grain = GRAINS[granularity] if custom is None else period_of(member, custom)
        if kind.name == "date" and not grain.holds_days:
            raise NotStorableError(f"a date has no {granularity}")
        value = self._value(replace(target, granularity=None))
        is_whole = kind.name == "date" and grain == GRAINS["day"]
        self._add_key(target, "time", value, kind, granularity, None if is_whole else grain)

    def _value(self, target: MemberTarget) -> exp.Expr:
        for step in self._members.sql.model.walk(self._cube.name, target.path):
            if not step.join.is_to_one:
                raise NotStorableError(f"{step.source} has several rows of {step.target}")
        tree = self._builder.place(self._members.sql.row_member(self._cube.name, target))
        if not is_lasting(tree):
            raise NotStorableError("its value depends on when it is computed")
        return tree

    def _type(self, target: MemberTarget) -> PostgresType:
        kind = self._members.types.get((target.cube, target.member.name))
        if kind is None:
            raise NotStorableError("its type is not known")
        is_scaled = kind.name == "numeric" and self._dialect == "duckdb"
        if not is_scaled and not has_one_form(kind):
            raise NotStorableError(f"equal values of type {kind.name} may differ")
        return kind

    def _add_key(
        self,
        target: MemberTarget,
        role: ColumnRole,
        value: exp.Expr,
        kind: PostgresType,
        granularity: str | None = None,
        grain: Period | None = None,
    ) -> None:
        ending = () if granularity is None else (granularity,)
        name = self._names.take("__".join((*target.path, target.member.name, *ending)))
        stored = StoredColumn(
            name, kind, target.cube, target.member.name, target.path, role, granularity
        )
        self._keys.append(Key(stored, value, kind, grain))

    def _measure(self, target: MemberTarget) -> None:
        member = target.member
        if not isinstance(member, Measure) or target.path:
            raise NotStorableError("it is aggregated over the rows of another cube")
        definition = self._members.measure(self._cube, member.name)
        if any(rows.path for rows in definition.rows):
            raise NotStorableError("it is aggregated over the rows of another cube")
        kind = self._members.types[(self._cube.name, member.name)]
        columns = self._builder.inputs(definition, kind)
        scan = self._builder.make()
        formula = at_inputs(definition.formula, dict(columns))
        wanted: list[tuple[Aggregate, ColumnPart]] = []
        for call in aggregate_calls(formula):
            made = read_aggregate(with_values(call, _values(scan), scan.alias))
            own = self._types.of(named_aggregate(made, scan)) or kind
            wanted += [(part, _suffix(part)) for part in needed_parts(made, own)]
        if not wanted:
            raise NotStorableError("it aggregates nothing")
        sketched = any(aggregate.function in SKETCHES for aggregate, _ in wanted)
        if sketched:
            self._check_sketches()
        for aggregate, _ in wanted:
            if not is_lasting(aggregate.value):
                raise NotStorableError("its value depends on when it is computed")
        for aggregate, suffix in dict.fromkeys(wanted):
            self._add_part(target, aggregate, suffix, alone=len(set(wanted)) == 1)

    def _check_sketches(self) -> None:
        if self._item.table is not None:
            raise NotStorableError("no table of others holds such a sketch")
        if self._item.store == "duckdb" and self._dialect != "duckdb":
            raise NotStorableError("its sketches would be of another engine than those of its rows")
        if self._cube.data_source not in self._members.sql.sketches:
            raise NotStorableError("its data source has no sketches that can be merged")

    def _add_part(
        self, target: MemberTarget, aggregate: Aggregate, part: ColumnPart, *, alone: bool
    ) -> None:
        if aggregate in self._parts:
            return
        scan = self._builder.make()
        name, kind = target.member.name, self._types.part(named_aggregate(aggregate, scan))
        if kind is None and self._dialect != "duckdb":
            raise NotStorableError(f"the type of its {part} is not known")
        name = self._names.take(name if alone else f"{name}__{part}")
        self._parts[aggregate] = StoredColumn(
            name,
            kind or PostgresType("unknown"),
            self._cube.name,
            target.member.name,
            (),
            "measure",
            part=part,
        )

    def _blueprint(self) -> Blueprint:
        scan = self._builder.make()
        if any(tree.find(exp.Parameter) for tree in (scan.table, *(j.table for j in scan.joins))):
            raise UnsupportedError("its rows depend on the caller")
        names = scan_names(scan)
        columns = [ScanColumn(key.column.name, key.value, key.type) for key in self._keys]
        columns += [
            ScanColumn(column.name, aggregate.value, column.type)
            for aggregate, column in self._parts.items()
        ]
        scan = replace(scan, columns=tuple(columns))
        keys = tuple(replace(key, value=named(key.value, names)) for key in self._keys)
        parts = tuple(
            Part(column, named_aggregate(aggregate, scan))
            for aggregate, column in self._parts.items()
        )
        query = stored_query(scan, keys, parts)
        definition = definition_of(
            self._cube,
            self._item,
            (*(item.column for item in keys), *(item.column for item in parts)),
            tuple(self._unstored),
            self._content(scan, query),
            time_reference(self._item, keys),
            dialect=self._dialect,
        )
        return Blueprint(definition, frame_of(scan), keys, parts, scan, query)

    def _content(self, scan: Scan, query: Select) -> str:
        content = content_of(scan, query)
        if any(aggregate.function in SKETCHES for aggregate in self._parts):
            # Those of another version of the engine need not fit.
            content += self._members.sql.sketches[self._cube.data_source]
        return content


def named_aggregate(aggregate: Aggregate, scan: Scan) -> Aggregate:
    """An aggregate over a scan's tables, apart from their aliases."""
    return replace(aggregate, value=named(aggregate.value, scan_names(scan)))


def _values(scan: Scan) -> dict[str, exp.Expr]:
    return {item.name: item.expression for item in scan.columns}


def _suffix(aggregate: Aggregate) -> ColumnPart:
    if aggregate.function == "avg":
        raise TypeError(aggregate.function)
    return aggregate.function
