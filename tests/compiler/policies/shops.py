"""The shop under access policies, and copies of it that hold only what the policies leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import duckdb
import psycopg

from semantic.compiler.api import CompiledStatement, SessionSettings
from semantic.compiler.compiler import Compiler
from semantic.compiler.rewrite import RULES, Rule
from semantic.model.model import Model
from semantic.model.policy import AccessPolicy, FilterNode, FilterOperator, MemberFilter, RowRule
from semantic.model.published import PublishedModel
from semantic.model.template import Reference, SecurityContextReference
from semantic.security.access import Access, decide
from semantic.security.context import SecurityContext
from tests.compiler.analyst import Analyst

Row = tuple[object, ...]
Connection = duckdb.DuckDBPyConnection | psycopg.Connection[Row]


def condition(member: str, operator: FilterOperator, *values: object) -> MemberFilter:
    """A filter; values that start with ``user.`` are attributes of the caller."""
    found = tuple(
        SecurityContextReference(tuple(value.split(".")[1:]))
        if isinstance(value, str) and value.startswith("user.")
        else value
        for value in values
    )
    return MemberFilter(Reference(tuple(member.split("."))), operator, found)  # type: ignore[arg-type]


def rows(*filters: FilterNode) -> AccessPolicy:
    """A policy for everybody that gives all members of some rows."""
    return AccessPolicy(groups=("*",), row_level=RowRule(filters))


def with_policies(model: Model, policies: Mapping[str, Sequence[AccessPolicy]]) -> Model:
    """A model whose cubes and views have other policies."""
    cubes = (
        replace(cube, access_policies=tuple(policies.get(cube.name, ()))) for cube in model.cubes
    )
    views = (
        replace(view, access_policies=tuple(policies.get(view.name, ()))) for view in model.views
    )
    return Model(tuple(cubes), tuple(views))


@dataclass(frozen=True)
class Caller:
    """A model as one caller sees it, on one warehouse.

    Attributes:
        database: the warehouse.
        analyst: the catalog that analyses statements.
    """

    model: Model
    published: PublishedModel
    dialect: str
    database: Connection = field(kw_only=True)
    analyst: Analyst = field(kw_only=True)
    context: SecurityContext = field(kw_only=True, default=SecurityContext.of("tester"))
    rules: tuple[Rule, ...] = RULES

    @cached_property
    def access(self) -> Access:
        types = {(relation, name): kind for relation, name, kind in self.published.types}
        return decide(self.model, types, self.context)

    @cached_property
    def compiler(self) -> Compiler:
        return Compiler(self.model, self.published, {"default": self.dialect}, self.rules)

    def compiled(self, sql: str, settings: SessionSettings | None = None) -> CompiledStatement:
        base = settings or SessionSettings("tester", "cubewire")
        settings = replace(base, access=self.access)
        bound = self.compiler.bind(sql, settings)
        assert bound is not None, sql
        return self.compiler.compile(bound, self.analyst.analyse(bound.analysis_sql), settings)

    def run(self, statement: CompiledStatement, values: Sequence[object] = ()) -> list[Row]:
        bound = [use.of(values) for use in statement.parameters]
        if isinstance(self.database, duckdb.DuckDBPyConnection):
            return self.database.cursor().execute(statement.sql, bound).fetchall()
        with psycopg.RawCursor(self.database) as cursor:
            return cursor.execute(statement.sql.encode(), bound).fetchall()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        return self.run(self.compiled(sql), values)
