"""Parameters of a statement as ClickHouse has them: ``$1`` becomes ``{p1:Nullable(Int64)}``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from connectors.base import Parameter
from connectors.errors import WarehouseError

# What may hold a ``$1`` that is none: texts and quoted names (with backslashes and doubled quotes),
# comments, and texts between two equal tags such as ``$x$``.
_TOKEN = re.compile(
    r"""(?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*`
        | --[^\n]* | /\*.*?\*/ | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)?\$ )
      | \$(?P<number>[1-9]\d*)""",
    re.DOTALL | re.VERBOSE,
)

_TYPES = {
    "bool": "Bool",
    "int2": "Int16",
    "int4": "Int32",
    "int8": "Int64",
    "float4": "Float32",
    "float8": "Float64",
    "text": "String",
    "varchar": "String",
    "bpchar": "String",
    "name": "String",
    "uuid": "UUID",
    "date": "Date32",
    "timestamp": "DateTime64(6)",
    "timestamptz": "DateTime64(6, 'UTC')",
}
_NUMERIC_DIGITS = 76


def with_placeholders(sql: str, parameters: Sequence[Parameter]) -> str:
    """The statement with its parameters as the server reads them.

    Raises:
        WarehouseError: 42P02: a parameter has no value. 0A000: a type that cannot be sent.
    """

    def placed(match: re.Match[str]) -> str:
        if match["number"] is None:
            return match[0]
        number = int(match["number"])
        if number > len(parameters):
            raise WarehouseError("42P02", f"there is no parameter ${number}", reached=False)
        return f"{{p{number}:{clickhouse_type(parameters[number - 1])}}}"

    return _TOKEN.sub(placed, sql) if parameters or "$" in sql else sql


def clickhouse_type(parameter: Parameter) -> str:
    """The type that a parameter's value is read as."""
    name = parameter.type_name
    if name.startswith("_"):
        return f"Array(Nullable({_scalar(name[1:], parameter.value)}))"
    return f"Nullable({_scalar(name, parameter.value)})"


def _scalar(name: str, value: object) -> str:
    if name == "numeric":
        return f"Decimal({_NUMERIC_DIGITS}, {_scale(value)})"
    found = _TYPES.get(name)
    if found is None:
        raise WarehouseError(
            "0A000",
            f"parameters of type {name} cannot be sent to a ClickHouse data source",
            hint="Write the value into the statement.",
            reached=False,
        )
    return found


def _scale(value: object) -> int:
    if isinstance(value, list | tuple):
        return max((_scale(item) for item in value), default=0)
    if value is None:
        return 0
    _, digits, exponent = Decimal(str(value)).as_tuple()
    if not isinstance(exponent, int) or max(len(digits) + exponent, -exponent) > _NUMERIC_DIGITS:
        raise WarehouseError(
            "0A000",
            "a numeric parameter that is not finite, or has more than 76 digits, cannot be sent to"
            " a ClickHouse data source",
            reached=False,
        )
    return max(-exponent, 0)
