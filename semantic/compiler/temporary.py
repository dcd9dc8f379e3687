"""Temporary tables beside cubes: their rows go to the warehouse as arrays, one for each column.

So a statement that joins them with cubes is still one statement, nothing of the session's is left
in the warehouse, and values are parameters. The rows of one table are in the same order in all its
arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from semantic.compiler.api import TemporaryColumn
from semantic.compiler.expressions.duckdb.spelling import duckdb_type
from semantic.compiler.expressions.types import is_quotient, numeric_scale, sql_name
from semantic.compiler.plan import TemporaryRows
from semantic.compiler.trees import column, identifier
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType

ROWS = "rows"


@dataclass(slots=True)
class TemporaryUses:
    """The columns of temporary tables that a statement reads, numbered in order of demand."""

    _found: dict[tuple[str, str], tuple[int, PostgresType]] = field(default_factory=dict)

    def number(self, table: str, name: str, kind: PostgresType) -> int:
        """The number of a column's array."""
        return self._found.setdefault((table, name), (len(self._found), kind))[0]

    def columns(self) -> tuple[TemporaryColumn, ...]:
        """All of them."""
        return tuple(
            TemporaryColumn(table, name, array_type(kind))
            for (table, name), (_, kind) in self._found.items()
        )


def array_type(kind: PostgresType) -> PostgresType:
    """The type of the array that holds a column's values.

    Arrays, and numbers whose decimals differ, travel as their texts.
    """
    return PostgresType("_text" if _as_text(kind) else f"_{kind.name}")


def _as_text(kind: PostgresType) -> bool:
    return kind.is_array or is_quotient(kind)


def temporary_rows(relation: TemporaryRows, dialect: str, before: int) -> exp.Expr:
    """The relation in FROM.

    Args:
        relation: the temporary table.
        dialect: of the warehouse.
        before: how many parameters the client has.
    """
    parameters = [
        exp.Parameter(this=exp.Literal.number(before + number + 1))
        for _, _, number in relation.columns
    ]
    for _, kind, _ in relation.columns:
        if kind.element.name.startswith("oid:"):
            raise UnsupportedError("a column of this type beside a cube is not supported")
    alias = exp.TableAlias(this=identifier(relation.alias))
    if dialect == "postgres":
        return exp.Subquery(this=_postgres(relation, parameters), alias=alias)
    if dialect == "duckdb":
        return exp.Subquery(this=_duckdb(relation, parameters), alias=alias)
    raise UnsupportedError(f"temporary tables beside cubes are not supported on {dialect}")


def _postgres(relation: TemporaryRows, parameters: list[exp.Parameter]) -> exp.Select:
    names = [name for name, _, _ in relation.columns]
    values: list[exp.Expr] = []
    for name, kind, _ in relation.columns:
        value: exp.Expr = column(ROWS, name)
        if _as_text(kind):
            target = exp.DataType.build(sql_name(kind), dialect="postgres")
            value = exp.Cast(this=value, to=target)
        values.append(exp.alias_(value, identifier(name)))
    rows = exp.TableAlias(this=identifier(ROWS), columns=[identifier(name) for name in names])
    # ROWS FROM is what several arrays beside each other are.
    source = exp.Unnest(expressions=list(parameters), alias=rows)
    return exp.Select(expressions=values, from_=exp.From(this=source))


def _duckdb(relation: TemporaryRows, parameters: list[exp.Parameter]) -> exp.Select:
    values = []
    for (name, kind, _), parameter in zip(relation.columns, parameters, strict=True):
        if kind.is_array:
            raise UnsupportedError(
                f'column "{name}" of temporary table "{relation.table}" is an array, which is not '
                "supported beside cubes on DuckDB",
                hint="Leave it out, or unnest it in the temporary table.",
            )
        if kind.name == "numeric" and numeric_scale(kind) is None and not _as_text(kind):
            raise UnsupportedError(
                f'column "{name}" of temporary table "{relation.table}" holds numbers that are not '
                "finite, which is not supported beside cubes on DuckDB",
                hint="Leave out NaN and the infinities.",
            )
        # Numbers whose decimals differ stand as their text between queries.
        stored = "VARCHAR" if is_quotient(kind) else duckdb_type(kind)
        listed = exp.DataType.build(stored + "[]", dialect="duckdb")
        elements = exp.Anonymous(this="UNNEST", expressions=[exp.Cast(this=parameter, to=listed)])
        values.append(exp.alias_(elements, identifier(name)))
    return exp.Select(expressions=values)
