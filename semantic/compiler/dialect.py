"""What differs between warehouses and is not a matter of a single expression."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from semantic.model.types import PostgresType


@lru_cache(maxsize=32)
def dialect_of(name: str) -> Dialect:
    """The sqlglot dialect of that name, made once."""
    return Dialect.get_or_raise(name)


_PLAIN = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INT",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "text": "TEXT",
    "varchar": "TEXT",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "interval": "INTERVAL",
    "uuid": "UUID",
}


def cast_to(node: exp.Expr, target: PostgresType) -> exp.Expr:
    """Cast a tree of the warehouse's dialect to a PostgreSQL type.

    Only where the type has one spelling that holds all its values; anything else is left as it is.
    """
    name = _PLAIN.get(target.name)
    if name is not None:
        return exp.Cast(this=node, to=exp.DataType(this=exp.DType[name], nested=False))
    if target.name == "numeric" and target.modifier >= 4:
        precision, scale = (target.modifier - 4) >> 16, (target.modifier - 4) & 0x7FF
        parameters = [
            exp.DataTypeParam(this=exp.Literal.number(precision)),
            exp.DataTypeParam(this=exp.Literal.number(scale)),
        ]
        data_type = exp.DataType(this=exp.DType.DECIMAL, expressions=parameters, nested=False)
        return exp.Cast(this=node, to=data_type)
    return node
