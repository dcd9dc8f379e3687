"""Names as PostgreSQL treats them: folding, output column names, and names of our own."""

from __future__ import annotations

import string

from sqlglot import exp

from semantic.compiler.root_operators import is_root_operator

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

MAX_IDENTIFIER_BYTES = 63


def fold(name: str) -> str:
    """An unquoted identifier as PostgreSQL folds it (ASCII letters only)."""
    return name.translate(_LOWER)


def quoted(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def name_of(node: exp.Identifier) -> str:
    """The name that an identifier of the client's text means."""
    name = str(node.this)
    return name if node.args.get("quoted") else fold(name)


def truncate(name: str, most: int = MAX_IDENTIFIER_BYTES) -> str:
    """A name as PostgreSQL stores it: at most 63 bytes (or fewer), cut at a character."""
    data = name.encode()
    if len(data) <= most:
        return name
    return data[:most].decode(errors="ignore")


class Names:
    """Gives names that differ whatever the case, as warehouses that ignore case need them.

    They differ within the bytes that PostgreSQL keeps of a name, too.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """``wanted`` if it is free, else with the first free number behind it."""
        name = truncate(wanted or "column")
        number = 2
        while name.casefold() in self._taken:
            suffix = f"_{number}"
            name = truncate(wanted, MAX_IDENTIFIER_BYTES - len(suffix)) + suffix
            number += 1
        self._taken.add(name.casefold())
        return name


_TYPE_NAMES = {
    "INT": "int4", "BIGINT": "int8", "SMALLINT": "int2", "DECIMAL": "numeric", "DOUBLE": "float8",
    "FLOAT": "float4", "BOOLEAN": "bool", "VARCHAR": "varchar", "CHAR": "bpchar", "TEXT": "text",
    "TIMESTAMPTZ": "timestamptz", "TIMESTAMP": "timestamp", "DATE": "date", "TIME": "time",
    "TIMETZ": "timetz", "INTERVAL": "interval", "JSON": "json", "JSONB": "jsonb", "UUID": "uuid",
    "VARBINARY": "bytea",
}  # fmt: skip

# Functions with a grammar of their own, whose first word is not what PostgreSQL calls the column.
_SPECIAL_NAMES: dict[type[exp.Expr], str] = {
    exp.AtTimeZone: "timezone",
    exp.Array: "array",
    exp.Exists: "exists",
    exp.GroupConcat: "string_agg",
    exp.If: "case",
    exp.StrPosition: "position",
}
_TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim"}

UNNAMED = "?column?"


def output_name(node: exp.Expr, sql: str) -> str:
    """The name PostgreSQL gives to an output expression without alias (FigureColname)."""
    return _named(node, sql)[0] or UNNAMED


def _named(node: exp.Expr, sql: str) -> tuple[str | None, int]:
    """A name and its strength: 2 of a column or function, 1 of a type or CASE, 0 of nothing."""
    if isinstance(node, exp.Column):
        if isinstance(node.this, exp.Star):
            return "*", 2
        return (name_of(node.this), 2) if isinstance(node.this, exp.Identifier) else (None, 0)
    if isinstance(node, exp.Alias):
        alias = node.args["alias"]
        return name_of(alias), 2
    if isinstance(
        node, exp.Paren | exp.Collate | exp.Filter | exp.Window | exp.WithinGroup | exp.Bracket
    ):
        return _named(node.this, sql)
    if isinstance(node, exp.Dot):
        return _dot_name(node, sql)
    if isinstance(node, exp.Case):
        default = node.args.get("default")
        name, strength = _named(default, sql) if default is not None else (None, 0)
        return (name, strength) if strength > 1 else ("case", 1)
    if isinstance(node, exp.Cast):
        return _cast_name(node, sql)
    if isinstance(node, exp.Subquery):
        return _subquery_name(node, sql)
    if isinstance(node, exp.Interval):
        return "interval", 1
    return (_function_name(node, sql), 2) if _is_call(node) else (None, 0)


def _is_call(node: exp.Expr) -> bool:
    """Whether a node is spelled as a function; some functions share a class with an operator."""
    if isinstance(node, exp.Binary):
        return bool(node._meta and "start" in node._meta)
    if is_root_operator(node):
        return False
    return isinstance(node, exp.Func) or type(node) in _SPECIAL_NAMES


def _dot_name(node: exp.Dot, sql: str) -> tuple[str | None, int]:
    right = node.expression
    if isinstance(right, exp.Identifier):
        return name_of(right), 2
    return _named(right, sql)


def _cast_name(node: exp.Cast, sql: str) -> tuple[str | None, int]:
    name, strength = _named(node.this, sql)
    if strength > 1:
        return name, strength
    to = node.to
    while to.this is exp.DType.ARRAY and to.expressions:
        to = to.expressions[0]
    kind = to.this
    spelled = kind.name if isinstance(kind, exp.DType) else str(to.name)
    return _TYPE_NAMES.get(spelled, fold(spelled)), 1


def _subquery_name(node: exp.Subquery, sql: str) -> tuple[str | None, int]:
    query = node.this
    while isinstance(query, exp.Subquery | exp.SetOperation):
        query = query.this
    if isinstance(query, exp.Select) and query.expressions:
        return _named(query.expressions[0], sql)
    return None, 0


def _function_name(node: exp.Expr, sql: str) -> str:
    if isinstance(node, exp.Trim):
        return _TRIMS.get(str(node.args.get("position") or ""), "btrim")
    meta = node._meta
    if meta and "start" in meta:
        text = sql[meta["start"] : meta["end"] + 1]
        return text[1:-1] if text.startswith('"') else fold(text)
    special = _SPECIAL_NAMES.get(type(node))
    if special is not None:
        return special
    return fold(node.sql_name()) if isinstance(node, exp.Func) else UNNAMED
