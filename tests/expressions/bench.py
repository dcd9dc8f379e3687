"""One table in PostgreSQL and in DuckDB, and expressions over it in both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from sqlglot import exp

from connectors.duckdb_errors import warehouse_error
from semantic.compiler.api import SessionSettings
from semantic.compiler.expressions import check_functions, infer, translate_result
from semantic.compiler.expressions.duckdb import casts
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.parse import parse
from semantic.model.types import PostgresType
from tests.support.duck import memory_database

TESTDATA = Path(__file__).parent / "testdata"
ZONE = "America/New_York"
SETTINGS = SessionSettings(user="u", database="d", time_zone=ZONE)

COLUMNS = {
    "id": ("int4", "int"),
    "g": ("int4", "int"),
    "i2": ("int2", "smallint"),
    "i4": ("int4", "int"),
    "i8": ("int8", "bigint"),
    "n": ("numeric", "numeric(12,3)"),
    "m": ("numeric", "numeric(10,2)"),
    "f4": ("float4", "real"),
    "f8": ("float8", "double precision"),
    "b": ("bool", "boolean"),
    "s": ("text", "text"),
    "w": ("text", "text"),
    "d": ("date", "date"),
    "d2": ("date", "date"),
    "ts": ("timestamp", "timestamp"),
    "ts2": ("timestamp", "timestamp"),
    "tz": ("timestamptz", "timestamptz"),
    "tm": ("time", "time"),
    "iv": ("interval", "interval"),
    "u": ("uuid", "uuid"),
    "a": ("_int4", "int[]"),
    "ta": ("_text", "text[]"),
    "j": ("json", "json"),
}
MODIFIERS = {"n": (12, 3), "m": (10, 2)}


def _insert_text() -> str:
    return "INSERT INTO t VALUES " + ", ".join(f"({row})" for row in lines("rows.txt"))


class Environment:
    """The columns of ``t``; no parameters, no subqueries."""

    def column(self, node: exp.Column) -> PostgresType:
        name = node.name
        kind = COLUMNS[name][0]
        if name in MODIFIERS:
            precision, scale = MODIFIERS[name]
            return PostgresType(kind, ((precision << 16) | scale) + 4)
        return PostgresType(kind)

    def parameter(self, index: int) -> PostgresType:
        raise AssertionError(index)

    def subquery(self, node: exp.Expr) -> PostgresType:
        raise AssertionError(node)

    def subquery_columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        raise AssertionError(node)


def expression(text: str) -> exp.Expr:
    """The tree of an expression, as the compiler reads it."""
    tree: exp.Expr = parse(f"SELECT {text}").tree.expressions[0]
    tree.pop()
    return tree


@dataclass(slots=True)
class Bench:
    """Both engines."""

    postgres: psycopg.Connection
    duck: duckdb.DuckDBPyConnection

    @staticmethod
    def start(dsn: str) -> Bench:
        postgres = psycopg.connect(dsn, autocommit=True)
        duck = memory_database()
        postgres.execute(f"SET TimeZone = '{ZONE}'")
        duck.execute(f"SET TimeZone = '{ZONE}'")
        columns = ", ".join(f"{name} {spelled}" for name, (_, spelled) in COLUMNS.items())
        postgres.execute(f"CREATE TEMP TABLE t ({columns})")
        duck.execute(f"CREATE TABLE t ({columns})")
        postgres.execute(_insert_text())
        duck.execute(_insert_text())
        return Bench(postgres, duck)

    def close(self) -> None:
        self.postgres.close()
        self.duck.close()

    def expected(self, text: str, rest: str) -> tuple[str, list[str | None]]:
        """PostgreSQL's type name and texts."""
        result = self.postgres.pgconn.exec_(f"SELECT {text} {rest}".encode())
        if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
            raise psycopg.errors.lookup(
                (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
            )(result.error_message.decode())
        found = self.postgres.execute(
            "SELECT typname FROM pg_type WHERE oid = %s", (result.ftype(0),)
        ).fetchone()
        assert found is not None
        values = [result.get_value(row, 0) for row in range(result.ntuples)]
        return found[0], [None if value is None else value.decode() for value in values]

    def emitted(self, text: str, kind: str) -> tuple[str, str]:
        """DuckDB's SQL for an expression whose value is wanted as text, and the inferred type."""
        tree = expression(text)
        check_functions(tree, "duckdb")
        before = tree.sql()
        source = infer(tree, Environment())
        target = PostgresType(kind)
        result = translate_result(tree, "duckdb", Environment(), SETTINGS, target)
        assert tree.sql() == before
        if kind.startswith("_"):
            if kind == "_numeric":
                return f"list_transform({result.sql('duckdb')}, lambda v: v)", source.name
            return casts.element_texts(Value(result, target)).sql("duckdb"), source.name
        if kind == "numeric":
            return result.sql("duckdb"), source.name
        shown = casts.text(Value(result, target), output=True)
        return shown.sql("duckdb"), source.name

    def in_postgres(self, text: str, kind: str) -> str:
        """The expression as it is sent to a warehouse that is PostgreSQL."""
        tree = expression(text)
        result = translate_result(tree, "postgres", Environment(), SETTINGS, PostgresType(kind))
        return result.sql("postgres")

    def failing(self, text: str, rest: str = "FROM t") -> None:
        """Run an expression that must fail, whatever its type."""
        tree = expression(text)
        check_functions(tree, "duckdb")
        source = infer(tree, Environment())
        emitted = translate_result(tree, "duckdb", Environment(), SETTINGS, source).sql("duckdb")
        try:
            self.duck.execute(f"SELECT {emitted} {rest}").fetchall()
        except duckdb.Error as error:
            raise warehouse_error(error) from error

    def actual(self, text: str, rest: str, kind: str) -> list[object]:
        emitted, inferred = self.emitted(text, kind)
        assert inferred in (kind, "unknown"), f"inferred {inferred}, PostgreSQL says {kind}"
        try:
            return [row[0] for row in self.duck.execute(f"SELECT {emitted} {rest}").fetchall()]
        except duckdb.Error as error:
            raise warehouse_error(error) from error


def comparable(value: object, kind: str) -> object:
    """An array as PostgreSQL prints it; everything else is that text already."""
    if not isinstance(value, list):
        return value
    return "{" + ",".join(_item(item) for item in value) + "}"


def _item(item: object) -> str:
    if item is None:
        return "NULL"
    text = str(item)
    if text == "" or any(character in text for character in ' ,"\\{}\t') or text.lower() == "null":
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def lines(name: str) -> list[str]:
    text = (TESTDATA / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]
