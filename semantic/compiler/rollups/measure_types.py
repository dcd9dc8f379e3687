"""Types of the aggregates that measures are made of, as far as the model's columns tell them."""

from __future__ import annotations

from semantic.compiler.formulas import at_inputs
from semantic.compiler.members import Members
from semantic.compiler.names import Names
from semantic.compiler.rollups.aggregates import (
    Aggregate,
    NotStorableError,
    needed_parts,
    read_aggregate,
    with_values,
)
from semantic.compiler.rollups.trees import named, scan_names
from semantic.compiler.scan import ScanBuilder
from semantic.errors import SemanticError
from semantic.model.relations import Cube
from semantic.model.types import INT8, PostgresType


class PartTypes:
    """Types of the aggregates of a cube's simple measures, whose own types are known."""

    def __init__(self, members: Members, cube: Cube) -> None:
        self._aggregates: dict[Aggregate, PostgresType] = {}
        self._parts: dict[Aggregate, PostgresType] = {}
        builder = ScanBuilder(members, cube, cube.name, Names())
        for measure in cube.measures:
            kind = members.types.get((cube.name, measure.name))
            if measure.is_calculated or kind is None:
                continue
            try:
                definition = members.measure(cube, measure.name)
                if definition.is_staged:
                    continue
                columns = builder.inputs(definition, kind)
                scan = builder.make()
                values = {item.name: item.expression for item in scan.columns}
                formula = at_inputs(definition.formula, dict(columns))
                made = read_aggregate(with_values(formula, values, scan.alias))
            except (NotStorableError, SemanticError):
                continue
            made = Aggregate(made.function, named(made.value, scan_names(scan)))
            self._aggregates[made] = kind
            for part in needed_parts(made, kind):
                self._parts.setdefault(part, INT8 if part.function == "count" else kind)

    def of(self, aggregate: Aggregate) -> PostgresType | None:
        """The type of an aggregate's value."""
        return self._aggregates.get(aggregate)

    def part(self, aggregate: Aggregate) -> PostgresType | None:
        """The type of a stored part."""
        if aggregate.function in {"count", "distinct"}:
            return INT8
        if aggregate.function == "ddsketch":
            return PostgresType("text" if aggregate.schema else "_int8")
        if aggregate.function == "hll":
            return PostgresType("hll" if aggregate.schema else "_int2")
        return self._aggregates.get(aggregate) or self._parts.get(aggregate)
