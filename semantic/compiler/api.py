"""The values that enter and leave the compiler: what the server knows of it and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from semantic.model.types import PostgresType


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The session's settings that may change what a statement means or returns."""

    user: str
    database: str
    time_zone: str = "UTC"
    measure_aggregates: Literal["strict", "defined"] = "strict"
    search_path: tuple[str, ...] = ("public",)


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result, as it was announced to the client."""

    name: str
    type: PostgresType


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the catalog PostgreSQL says of a statement: parameter types ($1 first) and columns."""

    parameters: tuple[PostgresType, ...]
    columns: tuple[ResultColumn, ...]


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """A placeholder of the emitted SQL, in order of its own numbering ($1 first).

    Attributes:
        index: which parameter of the client (0-based) is bound here.
        type: the type the client's value has been decoded as.
    """

    index: int
    type: PostgresType


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """One statement in the warehouse's dialect, ready to be run.

    Attributes:
        sql: the text; placeholders are $1, $2, ...
        parameters: what to bind, in order.
        data_source: the model's name of the warehouse.
        columns: result columns; the SQL returns them in this order, cast to these types.
        plan: the plan as text, one line per node.
        relations: names of the cubes and views read.
    """

    sql: str
    parameters: tuple[ParameterUse, ...]
    data_source: str
    columns: tuple[ResultColumn, ...]
    plan: str
    relations: tuple[str, ...]
