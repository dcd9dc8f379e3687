"""Conversion measures: base rows that were followed by a converted row of the same entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from semantic.compiler.formulas import INPUT, Formula
from semantic.compiler.model_sql import ModelSql, no_primary_key, unsupported
from semantic.compiler.stages import Conversion, Events, Leaf, NoRowValue, Span, stage
from semantic.compiler.trees import column
from semantic.errors import UnsupportedError
from semantic.model.members import Dimension, Measure
from semantic.model.relations import Cube, View
from semantic.model.template import Reference
from semantic.model.types import BOOL, INT8, UNKNOWN, PostgresType

Types = Mapping[tuple[str, str], PostgresType]


class ConversionBuilder:
    """Builds the formula of one conversion measure.

    Args:
        sql: trees of the model.
        types: of its members.
        simple: the formula of a measure that aggregates one value of each row.
        home: the cube or view that holds the measure.
        measure: the measure.
    """

    def __init__(
        self,
        sql: ModelSql,
        types: Types,
        simple: Callable[[str, Measure], Formula],
        home: str,
        measure: Measure,
    ) -> None:
        self._sql = sql
        self._types = types
        self._simple = simple
        self._home = home
        self._measure = measure

    def make(self, window: Span | None) -> Formula:
        """The formula: a stage over the key of a base row."""
        rule = self._measure.conversion
        if rule is None:
            raise TypeError(self._measure.name)
        base = self._events(rule.base)
        converted = self._events(rule.converted)
        relation = self._sql.model.relation(self._home)
        root = relation.root if isinstance(relation, View) else self._home
        if base.cube != root:
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name} counts rows of {base.cube}",
                hint=f"Define it in {base.cube}, whose rows are its base.",
            )
        if not base.key:
            raise no_primary_key(base.cube)
        name = self._measure.name
        inputs = [(f"{name}:base", base.condition)]
        inputs += [(f"{name}:key:{place}", tree) for place, tree in enumerate(base.key, 1)]
        kinds = (BOOL, *(base.types[3 : 3 + len(base.key)]))
        types = {key: kind for (key, _), kind in zip(inputs, kinds, strict=True)}
        keys = [column(INPUT, key) for key, _ in inputs]
        leaf = stage(
            Leaf(f"{self._home}.{name}", INT8, portable=True),
            exp.Count(this=keys[1], big_int=True),
        )
        tree = stage(Conversion(window, rule.calculation == "rate", base, converted), leaf, *keys)
        homes = {key: ((), root) for key, _ in inputs}
        return Formula(tuple(inputs), tree, stage(NoRowValue()), homes, None, types)

    def _events(self, reference: Reference) -> Events:
        cube, measure = self._measure_of(reference)
        made = self._simple(cube.name, measure) if measure.type == "count" else None
        if made is None or len(made.inputs) != 1:
            what = f"conversions of {measure.type} measures"
            raise unsupported(self._home, self._measure.name, what)
        rule = self._measure.conversion
        if rule is None:
            raise TypeError(self._measure.name)
        condition = exp.Not(this=exp.Is(this=made.inputs[0][1], expression=exp.Null()))
        time = self._time(cube, measure)
        key = tuple(self._dimension(cube, item.name) for item in cube.primary_key)
        names = [rule.entity.path[-1], *(item.path[-1] for item in rule.constant_properties)]
        entity, *properties = [self._dimension(cube, name) for name in names]
        kinds = [
            self._types.get((cube.name, name), UNKNOWN)
            for name in (time.name, names[0], *(i.name for i in cube.primary_key), *names[1:])
        ]
        return Events(
            cube.name,
            condition,
            self._dimension(cube, time.name),
            entity,
            key,
            tuple(properties),
            (BOOL, *kinds),
        )

    def _measure_of(self, reference: Reference) -> tuple[Cube, Measure]:
        """The cube and the measure that are meant; cubes need no join between them."""
        cubes = self._sql.model.cubes_by_name
        owner = cubes.get(reference.path[0]) if len(reference.path) == 2 else None
        if owner is None:
            relation = self._sql.model.relation(self._home)
            owner = self._sql.root_of(relation) if relation is not None else None
        member = None if owner is None else owner.members.get(reference.path[-1])
        if owner is None or not isinstance(member, Measure):
            raise UnsupportedError(f"{self._home}: {reference} is no measure of a cube")
        return owner, member

    def _time(self, cube: Cube, measure: Measure) -> Dimension:
        reference = measure.default_time_dimension or cube.default_time_dimension
        times = cube.time_dimensions
        found = cube.members.get(reference.path[-1]) if reference is not None else None
        if found is None and len(times) == 1:
            found = times[0]
        if not isinstance(found, Dimension):
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name}: {cube.name} does not say its time",
                hint="Give the cube default_time_dimension.",
            )
        return found

    def _dimension(self, cube: Cube, name: str) -> exp.Expr:
        member = cube.members.get(name)
        if not isinstance(member, Dimension):
            raise UnsupportedError(
                f"measure {self._home}.{self._measure.name}: {cube.name} has no dimension {name}",
                hint="Entities and constant properties have one name in both cubes.",
            )
        return self._sql.dimension(cube, member)
