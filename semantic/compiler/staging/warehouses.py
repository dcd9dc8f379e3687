"""What the warehouses of a statement compute exactly, found out by emitting it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from semantic.compiler.api import Analysis, BoundValue, ResultColumn, SessionSettings
from semantic.compiler.emit import emit
from semantic.compiler.emit_parts import Emitted
from semantic.compiler.expressions.types import QUOTIENT
from semantic.compiler.kept_types import stored_type
from semantic.compiler.plan import Query, query_columns
from semantic.compiler.plan_types import PlanTypes
from semantic.compiler.rewrite.compute_keys import compute_keys
from semantic.compiler.rewrite.context import RewriteContext
from semantic.compiler.rewrite.inline_scan import inline_scan
from semantic.compiler.rewrite.push_conditions import push_conditions
from semantic.errors import UnsupportedError
from semantic.model.types import NUMERIC, PostgresType

STAGE = "duckdb"
"""The dialect of the stage."""

COMPLETE = frozenset({"duckdb", "postgres"})
"""Dialects with a translation of everything: what they refuse, the stage refuses too."""

LATE = (compute_keys, inline_scan, push_conditions)
"""Rewrite rules that are about how one warehouse computes a plan, not about which plan it is."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetch's statement, and the columns of its table."""

    emitted: Emitted
    columns: tuple[ResultColumn, ...]


@dataclass(frozen=True, slots=True)
class Warehouses:
    """Emits parts of a plan.

    Attributes:
        analysis: of the statement.
        dialect_of: the dialect of a data source.
        values: of policies, by the names of their placeholders.
    """

    analysis: Analysis
    dialect_of: Callable[[str], str]
    settings: SessionSettings
    values: Mapping[str, BoundValue]

    def kinds(self, query: Query) -> tuple[PostgresType, ...]:
        """The types in which the stage keeps a query's columns. Raises UnsupportedError."""
        types = PlanTypes(query, self.analysis).query(query)
        return tuple(stored_type(kind) for kind in types)

    def refusal(self, query: Query, data_source: str) -> str:
        """Why a warehouse does not compute a query; empty if it does."""
        try:
            self.fetched(query, data_source)
        except UnsupportedError as error:
            return error.message
        return ""

    def fetched(self, query: Query, data_source: str) -> Fetched:
        """A query in its warehouse's dialect. Raises UnsupportedError."""
        dialect = self.dialect_of(data_source)
        kinds = self.kinds(query)
        names = query_columns(query)
        columns = tuple(ResultColumn(*each) for each in zip(names, kinds, strict=True))
        announced = tuple(
            replace(each, type=NUMERIC) if each.type == QUOTIENT else each for each in columns
        )
        analysis = Analysis(self.analysis.parameters, announced)
        context = RewriteContext(dialect, self.settings.time_zone)
        simple = push_conditions(inline_scan(query, context), context)
        try:
            emitted = emit(simple, analysis, dialect, self.settings, (), self.values)
        except UnsupportedError:
            emitted = emit(query, analysis, dialect, self.settings, (), self.values)
        return Fetched(emitted, columns)
