"""One table in PostgreSQL and in another warehouse, and expressions over it in both."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import psycopg
import pyarrow as pa
from sqlglot import exp

from connectors.base import Connector
from connectors.errors import WarehouseError
from proxy.rows.codecs import conform
from semantic.compiler.api import ResultColumn, SessionSettings
from semantic.compiler.emit_portable import written
from semantic.compiler.exact_columns import exact_column
from semantic.compiler.expressions import tables_of, translate, translate_result
from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.parse import parse
from semantic.compiler.trees import rebuild
from semantic.errors import SemanticError
from semantic.model.types import PostgresType
from tests.portable.laboratory import Column
from tests.portable.values import COPIES, SIZES, value_of

SETTINGS = SessionSettings(user="u", database="d", time_zone="UTC")
_SPELLED = {"numeric": "numeric({}, {})", "float8": "double precision", "int4": "int"}


def columns_of(types: Sequence[str]) -> list[Column]:
    """``id``, and some columns of each type."""
    found: list[Column] = [("id", PostgresType("int4"))]
    for kind in types:
        for number in range(1, COPIES + 1):
            name = f"{kind}_{number}"
            size = SIZES[name] if kind == "numeric" else None
            modifier = -1 if size is None else ((size[0] << 16) | size[1]) + 4
            found.append((name, PostgresType(kind, modifier)))
    return found


def rows_of(columns: Sequence[Column], count: int, seed: int) -> list[list[object]]:
    """Random rows."""
    chance = random.Random(seed)
    return [
        [number, *(value_of(kind.name, name, chance) for name, kind in columns[1:])]
        for number in range(1, count + 1)
    ]


def expression(text: str) -> exp.Expr:
    """The tree of an expression, as the compiler reads it."""
    tree: exp.Expr = parse(f"SELECT {text}").tree.expressions[0]
    tree.pop()
    return tree


@dataclass(slots=True)
class Bench:
    """Both warehouses, and the types of the columns of their table."""

    postgres: psycopg.Connection
    connector: Connector
    columns: dict[str, PostgresType]

    @staticmethod
    def fill(
        dsn: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]
    ) -> psycopg.Connection:
        """PostgreSQL with the table."""
        postgres = psycopg.connect(dsn, autocommit=True)
        postgres.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(f"{name} {_spelled(kind)}" for name, kind in columns)
        postgres.execute(f"CREATE TEMP TABLE t ({listed})")  # type: ignore[arg-type]
        marks = ", ".join(["%s"] * len(columns))
        with postgres.cursor() as cursor:
            cursor.executemany(f"INSERT INTO t VALUES ({marks})", rows)  # type: ignore[arg-type]
        return postgres

    @property
    def tables(self) -> Tables:
        found = tables_of(self.connector.dialect)
        assert found is not None
        return found

    # The types of an expression's leaves, for the translation.

    def column(self, node: exp.Column) -> PostgresType:
        return self.columns[node.name]

    def parameter(self, index: int) -> PostgresType:
        raise AssertionError(index)

    def subquery(self, node: exp.Expr) -> PostgresType:
        raise AssertionError(node)

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise AssertionError(node)

    def expected(self, text: str, rest: str) -> tuple[PostgresType, list[object]]:
        """PostgreSQL's type and values. Raises psycopg.Error."""
        cursor = self.postgres.execute(f"SELECT {text} FROM t {rest}")  # type: ignore[arg-type]
        assert cursor.description is not None
        described = cursor.description[0]
        found = self.postgres.execute(
            "SELECT typname FROM pg_type WHERE oid = %s", [described.type_code]
        ).fetchone()
        assert found is not None
        return PostgresType(found[0]), [row[0] for row in cursor.fetchall()]

    def emitted(self, text: str, kind: PostgresType, rest: str) -> str:
        """The warehouse's statement. Raises SemanticError where it is refused."""
        dialect = self.connector.dialect
        tree = translate_result(expression(text), dialect, self, SETTINGS, kind)
        select = parse(f"SELECT 1 FROM t {rest}").tree
        for clause in ("where", "group", "order"):
            node = select.args.get(clause)
            for item in [] if node is None else list(node.iter_expressions()):
                ordered = isinstance(item, exp.Ordered)
                inner = item.this if ordered else item
                made = translate(inner, dialect, self, SETTINGS)
                if ordered:
                    item.set("this", made)
                    if item.args.get("nulls_first") is None:
                        item.set("nulls_first", bool(item.args.get("desc")))
                else:
                    item.replace(made)
        select.set("expressions", [exp.alias_(tree, "x", quoted=True)])
        select.set("from_", exp.From(this=exp.to_table("t")))
        exact = rebuild(select, self._exact)
        return written(exact, (ResultColumn("x", kind),), dialect)

    def _exact(self, node: exp.Expr) -> exp.Expr | None:
        if isinstance(node, exp.Column) and node.name in self.columns:
            return exact_column(node, self.columns[node.name], self.tables)
        return None

    async def actual(self, sql: str, kind: PostgresType) -> list[object]:
        """The warehouse's values. Raises WarehouseError."""
        stream = await self.connector.execute(sql)
        found: list[object] = []
        async for batch in stream:
            found += conform(batch.column(0), kind.name).to_pylist()
        if kind.name == "numeric":
            # It may come as its text.
            return [Decimal(value) if isinstance(value, str) else value for value in found]
        return found

    async def compare(self, text: str, rest: str, refuses: frozenset[str]) -> str:
        """What differs; empty for nothing."""
        try:
            kind, expected = self.expected(text, rest)
        except psycopg.Error:
            return await self._compare_rows(text, refuses) if "ORDER BY id" in rest else ""
        try:
            sql = self.emitted(text, kind, rest)
        except SemanticError as error:
            return f"refused: {error}"
        try:
            actual = await self.actual(sql, kind)
        except WarehouseError as error:
            if "ORDER BY id" in rest and error.sqlstate in refuses:
                return await self._compare_rows(text, refuses)
            return "" if error.sqlstate in refuses else f"{error.sqlstate} {error}: {sql}"
        ours, theirs = [_plain(value) for value in actual], [_plain(value) for value in expected]
        if _same(ours, theirs, loose="sum(float" in text or "avg(" in text):
            return ""
        pairs = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
        return f"{len(ours)}/{len(theirs)} rows, ours and theirs {pairs[:5]}: {sql}"

    async def _compare_rows(self, text: str, refuses: frozenset[str]) -> str:
        """Row by row, where PostgreSQL or the warehouse complains of one of them."""
        for (number,) in self.postgres.execute("SELECT id FROM t ORDER BY id").fetchall():
            rest = f"WHERE id = {number}"
            try:
                self.expected(text, rest)
            except psycopg.Error:
                # An error, or the number that does not fit; the latter cannot be told here.
                continue
            found = await self.compare(text, rest, refuses)
            if found:
                return found
        return ""


def _spelled(kind: PostgresType) -> str:
    if kind.name == "numeric":
        return _SPELLED["numeric"].format((kind.modifier - 4) >> 16, (kind.modifier - 4) & 0x7FF)
    return _SPELLED.get(kind.name, kind.name)


def _plain(value: object) -> object:
    """A value with its digits and its type: 1 is neither 1.0 nor True."""
    if isinstance(value, Decimal):
        return ("numeric", format(value, "f"))
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC)
    if isinstance(value, float) and value == 0:
        return ("float", 0.0)
    return (type(value).__name__, value)


def _same(ours: list[object], theirs: list[object], *, loose: bool) -> bool:
    if not loose or len(ours) != len(theirs):
        return ours == theirs
    for one, two in zip(ours, theirs, strict=True):
        assert isinstance(one, tuple)
        assert isinstance(two, tuple)
        numbers = isinstance(one[1], float) and isinstance(two[1], float)
        if one != two and not (numbers and abs(one[1] - two[1]) <= 1e-9 * abs(two[1])):
            return False
    return True


__all__ = ["Bench", "SemanticError", "columns_of", "pa", "rows_of"]
