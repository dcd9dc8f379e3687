"""A pre-aggregation worked out against the model: what each column of its table is made of."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.expressions.periods import Period
from semantic.compiler.plan import Scan, Select
from semantic.compiler.rollups.aggregates import Aggregate
from semantic.compiler.rollups.api import RollupDefinition, StoredColumn
from semantic.compiler.rollups.trees import Frame
from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class Key:
    """A stored dimension, time or segment.

    Attributes:
        column: of the table.
        value: of a row of the cube, apart from aliases.
        type: of that value.
        grain: the periods that a time is truncated to; None where the value itself is stored.
    """

    column: StoredColumn
    value: exp.Expr
    type: PostgresType
    grain: Period | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A stored part of a measure.

    Attributes:
        column: of the table.
        aggregate: what it is for a group; its value is apart from aliases.
    """

    column: StoredColumn
    aggregate: Aggregate


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a rollup's table is made of.

    Attributes:
        definition: as others see it.
        frame: the rows that are aggregated.
        keys: the columns that it is grouped by.
        parts: the others.
        scan: of those rows, with a column for the value of each key and part.
        query: the SELECT of all columns, over that scan.
    """

    definition: RollupDefinition
    frame: Frame
    keys: tuple[Key, ...]
    parts: tuple[Part, ...]
    scan: Scan
    query: Select

    def part(self, aggregate: Aggregate) -> Part | None:
        """The part that holds an aggregate, its value apart from aliases."""
        return next((item for item in self.parts if item.aggregate == aggregate), None)

    @property
    def rows_part(self) -> Part | None:
        """The part that counts all rows."""
        for item in self.parts:
            value = item.aggregate.value
            counts = item.aggregate.function == "count"
            if counts and isinstance(value, exp.Literal):
                return item
        return None

    @property
    def time(self) -> Key | None:
        """The time that partitions are cut by."""
        name = self.definition.time
        return next((item for item in self.keys if item.column.name == name), None)
