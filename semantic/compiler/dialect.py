"""What differs between warehouses and is not a matter of a single expression."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from semantic.compiler.expressions import tables_of
from semantic.compiler.expressions.portable.build import sql
from semantic.compiler.expressions.types import numeric_scale
from semantic.errors import UnsupportedError
from semantic.model.types import PostgresType


@lru_cache(maxsize=32)
def dialect_of(name: str) -> Dialect:
    """The sqlglot dialect of that name, made once."""
    tables = tables_of(name)
    return Dialect.get_or_raise((tables.parser if tables is not None else "") or name)


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
# PostgreSQL's rows are passed on as they are, so that their types have to be the announced ones.
_POSTGRES = {
    **_PLAIN,
    "bpchar": "BPCHAR",
    "bytea": "VARBINARY",
    "json": "JSON",
    "jsonb": "JSONB",
    "numeric": "DECIMAL",
    "varchar": "VARCHAR",
}


def at_zone(node: exp.Expr, zone: str, dialect: str) -> exp.Expr:
    """The moment at which clocks of a zone show a timestamp without one (rule T1).

    Raises:
        UnsupportedError: the warehouse cannot tell exactly.
    """
    tables = tables_of(dialect)
    if tables is not None:
        if not tables.at_zone:
            raise UnsupportedError(f"local times of {zone} are not supported on {tables.title}")
        return sql(tables.at_zone, node, zone=zone)
    this = node if isinstance(node, exp.Column) else exp.Paren(this=node)
    return exp.AtTimeZone(this=this, zone=exp.Literal.string(zone))


# Exact to the microsecond in any year; infinity has none, and is the same in every zone.
_MOMENTS = {
    "duckdb": "make_timestamptz(epoch_us(x))",
    "postgres": "to_timestamp(floor(extract(epoch FROM x))) + CAST(mod(extract(microseconds "
    "FROM x + INTERVAL '0 seconds'), 1000000) AS double precision) * INTERVAL '1 microsecond'",
}


def moment(node: exp.Expr, dialect: str) -> exp.Expr:
    """A timestamp as a moment; one without a zone is UTC (rule T1).

    A cast would take the session's zone, and what type the tree has is not known here.

    Raises:
        UnsupportedError: the warehouse has no such moments.
    """
    tables = tables_of(dialect)
    if tables is not None:
        if not tables.moment:
            raise UnsupportedError(f"moments in time are not supported on {tables.title}")
        return sql(tables.moment, node)
    made = _MOMENTS.get(dialect)
    if made is None:
        return exp.Cast(this=node, to=exp.DataType(this=exp.DType.TIMESTAMPTZ, nested=False))
    text = f"CASE WHEN isfinite(x) THEN {made} ELSE CAST(x AS timestamptz) END"
    tree = dialect_of(dialect).parse(text)[0]
    if tree is None:
        raise TypeError(text)
    inner = node if isinstance(node, exp.Column) else exp.Paren(this=node)
    for place in list(tree.find_all(exp.Column)):
        place.replace(inner.copy())
    return tree


def within_moment(node: exp.Expr) -> exp.Expr:
    """What ``moment`` was made of; any other node as it is."""
    if not isinstance(node, exp.Case) or len(node.args["ifs"]) != 1:
        return node
    condition, last = node.args["ifs"][0].this, node.args.get("default")
    if condition.name.lower() == "isfinite" and isinstance(last, exp.Cast):
        inner: exp.Expr = last.this
        return inner.unnest()
    return node


def coordinates(latitude: exp.Expr, longitude: exp.Expr, dialect: str) -> exp.Expr:
    """The text ``latitude,longitude``, NULL where one is; numbers as PostgreSQL writes them.

    Raises:
        UnsupportedError: the warehouse writes numbers in other ways.
    """
    tables = tables_of(dialect)
    if tables is not None:
        raise UnsupportedError(f"geo dimensions are not supported on {tables.title}")
    parts = [latitude, longitude]
    if dialect == "duckdb":
        parts = [_number_text(part) for part in parts]
    parts.insert(1, exp.Literal.string(","))
    return exp.Concat(expressions=parts, safe=True, coalesce=False)


def _number_text(node: exp.Expr) -> exp.Expr:
    """DuckDB writes ``60.0`` for a whole double precision number, PostgreSQL ``60``."""
    text = exp.Cast(this=node, to=exp.DataType(this=exp.DType.TEXT, nested=False))
    kind = exp.Anonymous(this="typeof", expressions=[node.copy()])
    floats = [exp.Literal.string("DOUBLE"), exp.Literal.string("FLOAT")]
    ending = [text.copy(), exp.Literal.string("[.]0$"), exp.Literal.string("")]
    short = exp.Anonymous(this="regexp_replace", expressions=ending)
    test = exp.In(this=kind, expressions=floats)
    return exp.Case(ifs=[exp.If(this=test, true=short)], default=text)


def cast_to(node: exp.Expr, target: PostgresType, dialect: str) -> exp.Expr:
    """Cast a tree of the warehouse's dialect to a PostgreSQL type.

    Only where the type has one spelling that holds all its values; anything else is left as it is.
    """
    tables = tables_of(dialect)
    if tables is not None:
        spelled = tables.types.get(target.name, "")
        size = numeric_scale(target)
        if not spelled or (target.name == "numeric" and size is None):
            return node
        precision, scale = size or (0, 0)
        spelled = spelled.format(precision=precision, scale=scale)
        return sql("CAST(_1 AS _t)", node, spelled=spelled)
    if target.name == "numeric" and target.modifier >= 4:
        precision, scale = (target.modifier - 4) >> 16, (target.modifier - 4) & 0x7FF
        parameters = [
            exp.DataTypeParam(this=exp.Literal.number(precision)),
            exp.DataTypeParam(this=exp.Literal.number(scale)),
        ]
        data_type = exp.DataType(this=exp.DType.DECIMAL, expressions=parameters, nested=False)
        return exp.Cast(this=node, to=data_type)
    names = _POSTGRES if dialect == "postgres" else _PLAIN
    name = names.get(target.element.name if dialect == "postgres" else target.name)
    if name is None:
        return node
    data_type = exp.DataType(this=exp.DType[name], nested=False)
    if target.is_array:
        data_type = exp.DataType(this=exp.DType.ARRAY, expressions=[data_type], nested=True)
    return exp.Cast(this=node, to=data_type)
