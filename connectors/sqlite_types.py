"""SQLite's values as Arrow's, its declared types as PostgreSQL's, parameters as what it binds.

SQLite gives types to values, not to columns, and none to results. So a statement says the types of
its result in a comment ahead of it (``/* int8, text */ SELECT ...``), and a value of another type
is refused. A statement without that comment gets the types of the first values that it yields.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import pyarrow as pa

from connectors.base import Parameter
from connectors.errors import WarehouseError

_INTEGERS = {"int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64()}
_ARROW = {
    **_INTEGERS,
    "bool": pa.bool_(),
    "float8": pa.float64(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_DECLARED = {
    **dict.fromkeys(("bool", "boolean"), "bool"),
    **dict.fromkeys(("tinyint", "smallint", "int2"), "int2"),
    **dict.fromkeys(("int4", "mediumint"), "int4"),
    **dict.fromkeys(("int", "integer", "bigint", "int8", "unsigned big int"), "int8"),
    **dict.fromkeys(("real", "double", "double precision", "float", "float8"), "float8"),
    **dict.fromkeys(
        ("text", "varchar", "nvarchar", "char", "character", "nchar", "clob", "uuid", "string"),
        "text",
    ),
    **dict.fromkeys(("character varying", "varying character", "native character"), "text"),
    "date": "date",
    **dict.fromkeys(("datetime", "timestamp", "timestamp without time zone"), "timestamp"),
    "json": "json",
    "blob": "bytea",
}
_DECIMALS = re.compile(r"(decimal|numeric)(?:\((\d+)(?:,\s*(\d+))?\))?")
_SIZE = re.compile(r"\s*\([\d\s,]*\)")


def declared_type(name: str, declared: str) -> str:
    """``pg_type.typname`` of a column by its declaration; ``unknown`` for an expression's.

    Raises:
        WarehouseError: 0A000, PostgreSQL's types hold no such values exactly.
    """
    text = " ".join(declared.lower().split())
    if text in ("", "num", "any"):
        return "unknown"
    decimals = _DECIMALS.fullmatch(text)
    if decimals is not None:
        if decimals[2] is not None and not int(decimals[3] or 0):
            return "numeric"
        raise WarehouseError(
            "0A000",
            f'column "{name}" is declared {declared}, and SQLite keeps decimals as floating-point '
            "numbers",
            hint="Write CAST(... AS REAL) in the model and data_type: float8 for an approximate "
            "number, or store whole units in an INTEGER column.",
        )
    found = _DECLARED.get(_SIZE.sub("", text))
    if found is None:
        raise WarehouseError(
            "0A000",
            f'column "{name}" is declared {declared}, which stands for no type of PostgreSQL',
            hint="CAST it in the model, and say what it is by data_type.",
        )
    return found


def inferred(rows: Sequence[Sequence[object]], columns: int) -> tuple[str, ...]:
    """Types of a result by the first values of its columns that are not NULL."""
    return tuple(_inferred([row[place] for row in rows]) for place in range(columns))


def _inferred(values: Sequence[object]) -> str:
    for value in values:
        if isinstance(value, int):
            return "int8"
        if isinstance(value, float):
            return "float8"
        if isinstance(value, bytes):
            return "bytea"
        if value is not None:
            break
    return "text"


def arrow_schema(names: Sequence[str], kinds: Sequence[str]) -> pa.Schema:
    """The schema of a result. Numerics and all that is text to SQLite come as their texts."""
    pairs = zip(names, kinds, strict=True)
    return pa.schema([pa.field(name, _ARROW.get(kind, pa.string())) for name, kind in pairs])


def record_batch(
    rows: Sequence[Sequence[object]], kinds: Sequence[str], schema: pa.Schema
) -> pa.RecordBatch:
    """Rows as Arrow. Raises WarehouseError where a value is not of its column's type."""
    columns = zip(*rows, strict=True) if kinds else ()
    arrays = [
        _array(values, kind, field)
        for values, kind, field in zip(columns, kinds, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], kind: str, field: pa.Field) -> pa.Array:
    read = _READERS.get(kind)
    try:
        if read is not None:
            values = [None if value is None else read(value) for value in values]
        return pa.array(values, type=field.type)
    except (pa.ArrowInvalid, OverflowError) as error:
        if kind in _INTEGERS and all(isinstance(v, int) for v in values if v is not None):
            raise WarehouseError("22003", f"value out of range for type {kind}") from error
        raise _mismatch(kind, field.name) from error
    except (TypeError, ValueError, pa.ArrowTypeError) as error:
        raise _mismatch(kind, field.name) from error


def _mismatch(kind: str, name: str) -> WarehouseError:
    return WarehouseError(
        "22P02",
        f'SQLite holds a value in "{name}" that is not of type {kind}',
        hint="Say by data_type in the model what it holds, or CAST it there.",
    )


def _truth(value: object) -> bool:
    if value not in (0, 1) or isinstance(value, float):
        raise TypeError(value)
    return bool(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    if "\x00" in value:
        raise WarehouseError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _whole(value: object) -> str:
    return str(_integer(value))


def _double(value: object) -> float:
    if not isinstance(value, float):
        raise TypeError(value)
    return value


def _date(value: object) -> datetime.date:
    return datetime.date.fromisoformat(_text(value))


def _moment(value: object) -> datetime.datetime:
    return datetime.datetime.fromisoformat(_text(value))


_READERS: dict[str, Callable[[object], object]] = {
    "bool": _truth,
    **dict.fromkeys(_INTEGERS, _integer),
    "float8": _double,
    "numeric": _whole,
    "date": _date,
    "timestamp": _moment,
    "timestamptz": lambda value: _moment(value).replace(tzinfo=datetime.UTC),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "json", "jsonb", "uuid"), _text),
}


def bound_values(parameters: Sequence[Parameter]) -> dict[str, object]:
    """The parameters by number, as SQLite binds them."""
    return {
        str(number): _bound(parameter.value) for number, parameter in enumerate(parameters, start=1)
    }


def _bound(value: object) -> object:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return value.isoformat(" ", "microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        if value != value.to_integral_value():
            raise WarehouseError(
                "0A000", "a number with decimals cannot be bound on SQLite", reached=False
            )
        value = int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise WarehouseError("22003", "bigint out of range", reached=False)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    raise WarehouseError(
        "0A000", f"a value like {type(value).__name__} cannot be bound on SQLite", reached=False
    )
