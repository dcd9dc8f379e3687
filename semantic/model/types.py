"""PostgreSQL types as the semantic layer names them, without object identifiers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PostgresType:
    """A PostgreSQL type.

    Attributes:
        name: ``pg_type.typname``: ``int8``, ``numeric``, ``timestamptz``; an array is ``_int8``.
        modifier: ``atttypmod`` as PostgreSQL encodes it, -1 for none
            (``numeric(12,2)`` is ``((12 << 16) | 2) + 4``).
    """

    name: str
    modifier: int = -1

    @property
    def is_array(self) -> bool:
        """Whether this is an array type."""
        return self.name.startswith("_")

    @property
    def element(self) -> PostgresType:
        """The element type of an array type, itself for a scalar."""
        return PostgresType(self.name[1:], self.modifier) if self.is_array else self


BOOL = PostgresType("bool")
INT2 = PostgresType("int2")
INT4 = PostgresType("int4")
INT8 = PostgresType("int8")
FLOAT4 = PostgresType("float4")
FLOAT8 = PostgresType("float8")
NUMERIC = PostgresType("numeric")
TEXT = PostgresType("text")
VARCHAR = PostgresType("varchar")
BPCHAR = PostgresType("bpchar")
NAME = PostgresType("name")
DATE = PostgresType("date")
TIME = PostgresType("time")
TIMETZ = PostgresType("timetz")
TIMESTAMP = PostgresType("timestamp")
TIMESTAMPTZ = PostgresType("timestamptz")
INTERVAL = PostgresType("interval")
UUID = PostgresType("uuid")
JSON = PostgresType("json")
JSONB = PostgresType("jsonb")
BYTEA = PostgresType("bytea")
UNKNOWN = PostgresType("unknown")
