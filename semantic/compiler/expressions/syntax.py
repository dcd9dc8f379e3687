"""How the parser's nodes read as calls of PostgreSQL's functions.

The parser knows many functions by a class of its own, some of which forget what PostgreSQL tells
apart (``date_part`` returns double precision and ``extract`` numeric) or change their arguments
(the patterns of ``to_char``). Those are taken out of the parser's tables, and stay plain calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

from semantic.compiler.api import SessionSettings

_KEPT_PLAIN = (
    "ACOSH",
    "ASINH",
    "ATANH",
    "GEN_RANDOM_UUID",
    "SHA224",
    "SHA384",
    "SHA512",
    "UNISTR",
    "JSON_AGG",
    "JSON_ARRAYAGG",
    "JSON_EXTRACT_PATH",
    "JSON_EXTRACT_PATH_TEXT",
    "JSON_OBJECT_AGG",
    "JSON_STRIP_NULLS",
    "JSONB_OBJECT_AGG",
    "ENCODE",
    "DECODE",
    "FORMAT",
    "SHA256",
    "AGE",
    "ARRAY_APPEND",
    "ARRAY_CAT",
    "ARRAY_DIMS",
    "ARRAY_LENGTH",
    "ARRAY_POSITION",
    "ARRAY_PREPEND",
    "ARRAY_REMOVE",
    "CARDINALITY",
    "DATE",
    "DATE_BIN",
    "DATE_PART",
    "DATE_TRUNC",
    "DIV",
    "INITCAP",
    "JUSTIFY_DAYS",
    "JUSTIFY_HOURS",
    "JUSTIFY_INTERVAL",
    "LOG10",
    "MAKE_DATE",
    "MAKE_INTERVAL",
    "MAKE_TIME",
    "MAKE_TIMESTAMP",
    "REGEXP_COUNT",
    "REGEXP_INSTR",
    "REGEXP_LIKE",
    "REGEXP_REPLACE",
    "REGEXP_SUBSTR",
    "TO_CHAR",
    "TO_DATE",
    "TO_HEX",
    "TO_NUMBER",
    "TO_TIMESTAMP",
    "VAR_SAMP",
)


def keep_plain() -> None:
    """Take functions whose nodes would lose meaning out of the parser's tables."""
    for name in _KEPT_PLAIN:
        PostgresParser.FUNCTIONS.pop(name, None)
        PostgresParser.FUNCTION_PARSERS.pop(name, None)
    # ``f(j -> 'a')`` takes a part of a document, not a function.
    PostgresParser.LAMBDAS = {
        token: parse for token, parse in PostgresParser.LAMBDAS.items() if token != TokenType.ARROW
    }
    # Otherwise subscripts are counted from 0 where the parser can tell that they are integers.
    Postgres.INDEX_OFFSET = 0


keep_plain()


# What the session answers: the client's own login and database, whatever the warehouse's are.
SESSION_NODES: Mapping[type[exp.Expr], str] = {
    exp.CurrentUser: "current_user",
    exp.CurrentRole: "current_role",
    exp.SessionUser: "session_user",
    exp.CurrentDatabase: "current_database",
    exp.CurrentCatalog: "current_catalog",
    exp.CurrentSchema: "current_schema",
    exp.CurrentVersion: "version",
}


def session_value(node: exp.Expr, settings: SessionSettings) -> str:
    """The value of ``current_user`` and its like."""
    if isinstance(node, exp.CurrentVersion):
        return settings.version
    if isinstance(node, exp.CurrentDatabase | exp.CurrentCatalog):
        return settings.database
    if isinstance(node, exp.CurrentSchema):
        return settings.search_path[0] if settings.search_path else "public"
    if isinstance(node, exp.SessionUser):
        return settings.session_user or settings.user
    return settings.user


# Not functions: the parser reads ``= ALL (...)`` as a call of one.
QUANTIFIERS = frozenset(("all", "some"))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function: its name in PostgreSQL and its arguments in PostgreSQL's order."""

    name: str
    arguments: tuple[exp.Expr, ...]
    node: exp.Expr


# Node classes by PostgreSQL's name and the keys of their arguments, in PostgreSQL's order.
_NODES: Mapping[type[exp.Expr], tuple[str, tuple[str, ...]]] = {
    exp.Abs: ("abs", ("this",)),
    exp.Acos: ("acos", ("this",)),
    exp.AnyValue: ("any_value", ("this",)),
    exp.ArrayAgg: ("array_agg", ("this",)),
    exp.ArrayToString: ("array_to_string", ("this", "expression", "null")),
    exp.Ascii: ("ascii", ("this",)),
    exp.Asin: ("asin", ("this",)),
    exp.Atan: ("atan", ("this",)),
    exp.Atan2: ("atan2", ("this", "expression")),
    exp.Avg: ("avg", ("this",)),
    exp.BitLength: ("bit_length", ("this",)),
    exp.BitwiseAndAgg: ("bit_and", ("this",)),
    exp.BitwiseOrAgg: ("bit_or", ("this",)),
    exp.BitwiseXorAgg: ("bit_xor", ("this",)),
    exp.Cbrt: ("cbrt", ("this",)),
    exp.Ceil: ("ceil", ("this",)),
    exp.Chr: ("chr", ("expressions",)),
    exp.Concat: ("concat", ("expressions",)),
    exp.ConcatWs: ("concat_ws", ("expressions",)),
    exp.Corr: ("corr", ("this", "expression")),
    exp.Cos: ("cos", ("this",)),
    exp.Cosh: ("cosh", ("this",)),
    exp.Cot: ("cot", ("this",)),
    exp.Count: ("count", ("this", "expressions")),
    exp.CovarPop: ("covar_pop", ("this", "expression")),
    exp.CovarSamp: ("covar_samp", ("this", "expression")),
    exp.CumeDist: ("cume_dist", ()),
    exp.CurrentDate: ("current_date", ()),
    exp.CurrentTimestamp: ("now", ("this",)),
    exp.CurrentTime: ("current_time", ("this",)),
    exp.Degrees: ("degrees", ("this",)),
    exp.DenseRank: ("dense_rank", ()),
    exp.Exp: ("exp", ("this",)),
    exp.Factorial: ("factorial", ("this",)),
    exp.FirstValue: ("first_value", ("this",)),
    exp.Floor: ("floor", ("this",)),
    exp.GroupConcat: ("string_agg", ("this", "separator")),
    exp.Hex: ("to_hex", ("this",)),
    exp.Lag: ("lag", ("this", "offset", "default")),
    exp.LastValue: ("last_value", ("this",)),
    exp.Lead: ("lead", ("this", "offset", "default")),
    exp.Left: ("left", ("this", "expression")),
    exp.Length: ("length", ("this",)),
    exp.Ln: ("ln", ("this",)),
    exp.Localtimestamp: ("localtimestamp", ("this",)),
    exp.Log: ("log", ("this", "expression")),
    exp.LogicalAnd: ("bool_and", ("this",)),
    exp.LogicalOr: ("bool_or", ("this",)),
    exp.Lower: ("lower", ("this",)),
    exp.MD5: ("md5", ("this",)),
    exp.Max: ("max", ("this",)),
    exp.Min: ("min", ("this",)),
    exp.NthValue: ("nth_value", ("this", "offset")),
    exp.Ntile: ("ntile", ("this",)),
    exp.Overlay: ("overlay", ("this", "expression", "from_", "for_")),
    exp.PercentRank: ("percent_rank", ()),
    exp.Pi: ("pi", ()),
    exp.Radians: ("radians", ("this",)),
    exp.Rand: ("random", ()),
    exp.Rank: ("rank", ()),
    exp.RegrAvgx: ("regr_avgx", ("this", "expression")),
    exp.RegrAvgy: ("regr_avgy", ("this", "expression")),
    exp.RegrCount: ("regr_count", ("this", "expression")),
    exp.RegrIntercept: ("regr_intercept", ("this", "expression")),
    exp.RegrR2: ("regr_r2", ("this", "expression")),
    exp.RegrSlope: ("regr_slope", ("this", "expression")),
    exp.RegrSxx: ("regr_sxx", ("this", "expression")),
    exp.RegrSxy: ("regr_sxy", ("this", "expression")),
    exp.RegrSyy: ("regr_syy", ("this", "expression")),
    exp.Repeat: ("repeat", ("this", "times")),
    exp.Replace: ("replace", ("this", "expression", "replacement")),
    exp.Reverse: ("reverse", ("this",)),
    exp.Right: ("right", ("this", "expression")),
    exp.Round: ("round", ("this", "decimals")),
    exp.RowNumber: ("row_number", ()),
    exp.Sign: ("sign", ("this",)),
    exp.Sin: ("sin", ("this",)),
    exp.Sinh: ("sinh", ("this",)),
    exp.SplitPart: ("split_part", ("this", "delimiter", "part_index")),
    exp.Sqrt: ("sqrt", ("this",)),
    exp.StartsWith: ("starts_with", ("this", "expression")),
    exp.Stddev: ("stddev", ("this",)),
    exp.StddevPop: ("stddev_pop", ("this",)),
    exp.StddevSamp: ("stddev_samp", ("this",)),
    exp.StringToArray: ("string_to_array", ("this", "expression", "null")),
    exp.StrPosition: ("strpos", ("this", "substr")),
    exp.Substring: ("substring", ("this", "start", "length")),
    exp.Sum: ("sum", ("this",)),
    exp.Tan: ("tan", ("this",)),
    exp.Tanh: ("tanh", ("this",)),
    exp.Translate: ("translate", ("this", "from_", "to")),
    exp.Trunc: ("trunc", ("this", "decimals")),
    exp.Upper: ("upper", ("this",)),
    exp.Variance: ("var_samp", ("this",)),
    exp.VariancePop: ("var_pop", ("this",)),
    exp.WidthBucket: (
        "width_bucket",
        ("this", "min_value", "max_value", "num_buckets"),
    ),
}
_TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim"}
SPELLINGS = {
    "ceiling": "ceil",
    "char_length": "length",
    "character_length": "length",
    "covariance_pop": "covar_pop",
    "every": "bool_and",
    "pow": "power",
    "substr": "substring",
    "transaction_timestamp": "now",
    "variance": "var_samp",
    "stddev": "stddev_samp",
}


def call_of(node: exp.Expr) -> Call | None:
    """A node as a call; None where it is something else (an operator, a column, a special form)."""
    if isinstance(node, exp.Anonymous):
        name = node.this.lower() if isinstance(node.this, str) else node.name
        if name == "make_interval":
            return Call(name, _in_order(node.expressions, _INTERVAL_PARTS), node)
        return Call(SPELLINGS.get(name, name), tuple(node.expressions), node)
    known = _NODES.get(type(node))
    if known is not None:
        name, keys = known
        return Call(SPELLINGS.get(name, name), _arguments(node, keys), node)
    return _irregular(node)


_INTERVAL_PARTS = ("years", "months", "weeks", "days", "hours", "mins", "secs")


def _in_order(arguments: list[exp.Expr], names: tuple[str, ...]) -> tuple[exp.Expr, ...]:
    """Arguments by name (``days => 3``) in their places; zero for those left out before them."""
    found: dict[int, exp.Expr] = {}
    for place, item in enumerate(arguments):
        if isinstance(item, exp.Kwarg) and item.this.name.lower() in names:
            found[names.index(item.this.name.lower())] = item.expression
        else:
            found[place] = item
    last = max(found, default=-1)
    zero = exp.Literal.number(0)
    return tuple(found.get(place) or zero.copy() for place in range(last + 1))


def _arguments(node: exp.Expr, keys: tuple[str, ...]) -> tuple[exp.Expr, ...]:
    found: list[exp.Expr] = []
    for key in keys:
        value = node.args.get(key)
        if isinstance(value, list):
            found.extend(value)
        elif isinstance(value, exp.Expr):
            found.append(value)
    return tuple(found)


def _irregular(node: exp.Expr) -> Call | None:
    if isinstance(node, exp.Trim):
        name = _TRIMS.get(str(node.args.get("position") or ""), "btrim")
        return Call(name, _arguments(node, ("this", "expression")), node)
    if isinstance(node, exp.Pad):
        name = "lpad" if node.args.get("is_left") else "rpad"
        return Call(name, _arguments(node, ("this", "expression", "fill_pattern")), node)
    if isinstance(node, exp.Extract):
        unit = exp.Literal.string(node.this.name.lower())
        return Call("extract", (unit, node.expression), node)
    if isinstance(node, exp.AtTimeZone):
        return Call("timezone", (node.args["zone"], node.this), node)
    if isinstance(node, exp.Pow):
        return Call("power", (node.this, node.expression), node)
    return None


CALL_NODES = (
    *_NODES,
    exp.Trim,
    exp.Pad,
    exp.Extract,
    exp.AtTimeZone,
    exp.Pow,
    exp.Anonymous,
)
