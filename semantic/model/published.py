"""What a model looks like from outside: the relations that a PostgreSQL client is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.functions import ConfiguredFunction
from semantic.model.types import PostgresType

ColumnKind = Literal["dimension", "measure", "segment"]


def input_name(measure: str) -> str:
    """The name by which the type of the values is known that a measure aggregates."""
    return f"{measure}:input"


@dataclass(frozen=True, slots=True)
class PublishedColumn:
    """One member as a column, or a custom granularity of one.

    Attributes:
        comment: the whole text of its COMMENT ON COLUMN.
        granularity: for a granularity, the column of its time dimension and its name there.
    """

    name: str
    type: PostgresType
    kind: ColumnKind
    comment: str | None = None
    granularity: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PublishedForeignKey:
    """A to-one join over plain columns, as a foreign key of the relation that holds it."""

    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedRelation:
    """A cube (a table) or a view (a view), columns in the order of rule R3."""

    name: str
    kind: Literal["cube", "view"]
    columns: tuple[PublishedColumn, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[PublishedForeignKey, ...] = ()
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """All relations of one model version.

    Attributes:
        version: the model's content hash.
        types: of all members, hidden ones too, by the name of their cube or view and their own;
            and of what measures aggregate, by ``input_name`` of theirs.
        functions: that the configuration adds.
        system_tables: whether the tables of the server itself are shown too.
        sketches: of each data source that can merge sketches, the schema of the extension hll
            (empty where it is not there), or the version of DuckDB, whose sketches are its own.
    """

    version: str
    relations: tuple[PublishedRelation, ...]
    types: tuple[tuple[str, str, PostgresType], ...] = ()
    functions: tuple[ConfiguredFunction, ...] = ()
    system_tables: bool = False
    sketches: tuple[tuple[str, str], ...] = ()
