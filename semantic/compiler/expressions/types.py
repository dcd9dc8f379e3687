"""PostgreSQL's type system, as far as expressions need it (manual, chapter 10)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.api import MIXED_DECIMALS
from semantic.compiler.expressions.places import position
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NAME,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    UUID,
    VARCHAR,
    PostgresType,
)

INTEGERS = ("int2", "int4", "int8")
FLOATS = ("float4", "float8")
# Each may be cast to those after it without being asked.
NUMBERS = ("int2", "int4", "int8", "numeric", "float4", "float8")
MOMENTS = ("date", "timestamp", "timestamptz")
STRINGS = ("bpchar", "varchar", "name", "text")

_CATEGORIES = {
    **dict.fromkeys(NUMBERS, "N"),
    **dict.fromkeys((*MOMENTS, "time", "timetz"), "D"),
    **dict.fromkeys(STRINGS, "S"),
    "interval": "T",
    "bool": "B",
    "unknown": "X",
}
# What a category's other types become when nothing else decides.
_PREFERRED = {"float8", "timestamptz", "text", "interval", "bool"}

_NODE_TYPES = {
    "BOOLEAN": BOOL,
    "SMALLINT": INT2,
    "INT": INT4,
    "BIGINT": INT8,
    "FLOAT": FLOAT4,
    "DOUBLE": FLOAT8,
    "DECIMAL": NUMERIC,
    "TEXT": TEXT,
    "VARCHAR": VARCHAR,
    "CHAR": BPCHAR,
    "BPCHAR": BPCHAR,
    "NAME": NAME,
    "DATE": DATE,
    "TIME": TIME,
    "TIMETZ": TIMETZ,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMPTZ": TIMESTAMPTZ,
    "INTERVAL": INTERVAL,
    "UUID": UUID,
    "JSON": JSON,
    "JSONB": JSONB,
    "VARBINARY": BYTEA,
}


# A numeric whose number of digits differs from row to row: a quotient, or what was computed of one.
QUOTIENT = MIXED_DECIMALS


def is_quotient(kind: PostgresType) -> bool:
    """Whether a numeric's number of digits differs from row to row."""
    return kind == QUOTIENT


def has_mixed_scales(kinds: Sequence[PostgresType]) -> bool:
    """Whether what is chosen among values of these types is a numeric with decimals by the row."""
    names = {kind.name for kind in kinds}
    if "numeric" not in names or not names <= set(NUMBERS[:4]):
        return False
    return any(kind != kinds[0] or numeric_scale(kind) is None for kind in kinds)


def category(kind: PostgresType) -> str:
    """PostgreSQL's type category letter; the name itself for a type that stands alone."""
    if kind.is_array:
        return "A"
    return _CATEGORIES.get(kind.name, kind.name)


def is_number(kind: PostgresType) -> bool:
    """Whether a type is a number."""
    return kind.name in NUMBERS


def is_string(kind: PostgresType) -> bool:
    """Whether a type is a character string (or a literal that may become one)."""
    return kind.name in STRINGS or kind.name == "unknown"


def implicit(source: PostgresType, target: PostgresType) -> bool:
    """Whether PostgreSQL casts from one type to the other without being asked."""
    if source.name in (target.name, "unknown"):
        return True
    if source.is_array and target.is_array:
        return implicit(source.element, target.element)
    for ladder in (NUMBERS, MOMENTS):
        if source.name in ladder and target.name in ladder:
            return ladder.index(source.name) < ladder.index(target.name)
    if source.name in STRINGS and target.name in STRINGS:
        return target.name in ("text", "varchar") or source.name != "text"
    return (source.name, target.name) in {("time", "interval"), ("time", "timetz")}


def is_preferred(kind: PostgresType) -> bool:
    """Whether a type is its category's preferred one."""
    return kind.name in _PREFERRED


def common_type(
    kinds: Sequence[PostgresType], what: str = "CASE", node: exp.Expr | None = None
) -> PostgresType:
    """The type of CASE, COALESCE, GREATEST, ARRAY and the like (manual, 10.5)."""
    known = [kind for kind in kinds if kind.name != "unknown"]
    if not known:
        return TEXT
    first = known[0]
    if len(known) == 1:
        return first
    if has_mixed_scales(known):
        return QUOTIENT
    if all(kind == first for kind in known):
        return first
    chosen = PostgresType(first.name)
    for kind in known[1:]:
        if kind.name == chosen.name:
            continue
        if category(kind) != category(chosen):
            raise SemanticError(
                "42804",
                f"{what} types {sql_name(chosen)} and {sql_name(kind)} cannot be matched",
                position=position(node),
            )
        if not is_preferred(chosen) and implicit(chosen, kind) and not implicit(kind, chosen):
            chosen = PostgresType(kind.name)
    return chosen


_SQL_NAMES = {
    "bool": "boolean",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}


def sql_name(kind: PostgresType) -> str:
    """A type's name in PostgreSQL's messages."""
    name = kind.element.name
    return _SQL_NAMES.get(name, name) + ("[]" if kind.is_array else "")


def node_type(node: exp.Expr) -> PostgresType:
    """The type that a cast's type node names.

    Raises:
        UnsupportedError: the type has no place in a query over cubes.
    """
    kind = node.this
    if not isinstance(node, exp.DataType):
        raise unsupported_type(node)
    if isinstance(kind, exp.Interval):
        raise UnsupportedError("interval types with fields are not supported")
    name = kind.name if isinstance(kind, exp.DType) else str(kind)
    if name == "ARRAY":
        if len(node.expressions) != 1 or not isinstance(node.expressions[0], exp.DataType):
            raise unsupported_type(node)
        element = node_type(node.expressions[0])
        # PostgreSQL has one array type for all dimensions.
        return element if element.is_array else PostgresType("_" + element.name, element.modifier)
    found = _NODE_TYPES.get(name)
    if found is None:
        raise unsupported_type(node)
    return PostgresType(found.name, _modifier(found.name, name, node))


def _modifier(name: str, spelled: str, node: exp.DataType) -> int:
    numbers = [int(item.this.this) for item in node.expressions]
    if name == "numeric" and numbers:
        precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
        return ((precision << 16) | (scale & 0x7FF)) + 4
    if name in ("varchar", "bpchar") and numbers:
        return numbers[0] + 4
    if spelled == "CHAR":
        return 5
    if name in ("time", "timetz", "timestamp", "timestamptz", "interval") and numbers:
        return numbers[0]
    return -1


def unsupported_type(node: exp.Expr) -> UnsupportedError:
    """The refusal of a cast to a type."""
    return UnsupportedError(
        f"the type {node.sql('postgres')} is not supported in a query over cubes",
        position=position(node) or position(node.parent),
    )


def numeric_scale(kind: PostgresType) -> tuple[int, int] | None:
    """Precision and scale of a numeric type that has them."""
    if kind.name != "numeric" or kind.modifier < 4:
        return None
    value = kind.modifier - 4
    scale = value & 0x7FF
    return value >> 16, scale - 0x800 if scale >= 0x400 else scale


def plain(kind: PostgresType) -> PostgresType:
    """A type without its modifier."""
    return kind if kind.modifier == -1 else PostgresType(kind.name)


__all__ = [
    "FLOATS",
    "INTEGERS",
    "MOMENTS",
    "NUMBERS",
    "QUOTIENT",
    "STRINGS",
    "UNKNOWN",
    "category",
    "common_type",
    "has_mixed_scales",
    "implicit",
    "is_number",
    "is_preferred",
    "is_quotient",
    "is_string",
    "node_type",
    "numeric_scale",
    "plain",
    "sql_name",
    "unsupported_type",
]


_OF_ONE_FORM = frozenset(
    {"bool", "date", "int2", "int4", "int8", "text", "timestamp", "timestamptz", "uuid", "varchar"}
)


def has_one_form(kind: PostgresType) -> bool:
    """Whether equal values of a type are the same in every way, so that one may stand for others.

    Numerics of no fixed scale are not (1.0 and 1.00), nor are doubles (0 and -0).
    """
    return kind.name in _OF_ONE_FORM or numeric_scale(kind) is not None
