"""The PostgreSQL type of an expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.configured import configured_function, signature_of
from semantic.compiler.expressions.environment import TypeEnvironment
from semantic.compiler.expressions.places import position
from semantic.compiler.expressions.signatures.catalogue import FUNCTIONS
from semantic.compiler.expressions.signatures.registry import Resolved, resolve
from semantic.compiler.expressions.syntax import CALL_NODES, SESSION_NODES, Call, call_of
from semantic.compiler.expressions.types import (
    FLOATS,
    INTEGERS,
    MOMENTS,
    QUOTIENT,
    STRINGS,
    common_type,
    is_quotient,
    node_type,
    sql_name,
)
from semantic.errors import ForbiddenError, SemanticError, UnsupportedError
from semantic.model.types import (
    BOOL,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    NAME,
    NUMERIC,
    TEXT,
    UNKNOWN,
    PostgresType,
)

# What divides gives digits by the row; what rounds takes them away again.
_DIVIDING = frozenset(("avg", "stddev_pop", "stddev_samp", "var_pop", "var_samp"))
_ROUNDING = frozenset(("ceil", "div", "extract", "factorial", "floor", "round", "sign", "trunc"))


class Types:
    """Types of the nodes of one expression, each worked out once."""

    def __init__(self, environment: TypeEnvironment) -> None:
        self._environment = environment
        self._known: dict[int, tuple[exp.Expr, PostgresType]] = {}

    def of(self, node: exp.Expr) -> PostgresType:
        """The type of a node; ``unknown`` for a bare literal."""
        known = self._known.get(id(node))
        if known is not None:
            return known[1]
        rule = _RULES.get(type(node))
        if rule is None:
            raise UnsupportedError(
                f"{type(node).__name__.upper()} is not supported here", position=position(node)
            )
        kind = rule(self, node)
        self._known[id(node)] = (node, kind)
        return kind

    def call(self, call: Call) -> Resolved:
        """The overload of a function that a call means.

        Raises:
            SemanticError: 42501 for a function that is not allowed, 42883 where no overload fits.
        """
        configured = configured_function(call.node)
        signatures = FUNCTIONS.get(call.name) if configured is None else (signature_of(configured),)
        if signatures is None:
            raise forbidden(call)
        kinds = [self.of(argument) for argument in plain_arguments(call)]
        resolved = resolve(signatures, kinds)
        if resolved is None:
            listed = ", ".join(sql_name(kind) for kind in kinds)
            raise SemanticError(
                "42883",
                f"function {call.name}({listed}) does not exist",
                hint="No function matches the given name and argument types. "
                "You might need to add explicit type casts.",
                position=position(call.node),
            )
        if resolved.result != NUMERIC or call.name in _ROUNDING:
            return resolved
        if call.name in _DIVIDING or QUOTIENT in kinds or configured is not None:
            return replace(resolved, result=QUOTIENT)
        return resolved

    # One rule a kind of node.

    def column(self, node: exp.Expr) -> PostgresType:
        """A column, as the environment knows it."""
        assert isinstance(node, exp.Column)
        return self._environment.column(node)

    def parameter(self, node: exp.Expr) -> PostgresType:
        """A parameter, as the analysis typed it."""
        kind = self._environment.parameter(int(node.this.this) - 1)
        # A numeric comes with as many digits as the client sends.
        return QUOTIENT if kind.name == "numeric" else kind

    def subquery(self, node: exp.Expr) -> PostgresType:
        """A subquery's only column."""
        return self._environment.subquery(node)

    def columns(self, node: exp.Expr) -> tuple[PostgresType, ...]:
        """All columns of a subquery."""
        return self._environment.subquery_columns(node)

    def inner(self, node: exp.Expr) -> PostgresType:
        """What a wrapping node holds."""
        return self.of(node.this)

    def distinct(self, node: exp.Expr) -> PostgresType:
        """DISTINCT in an aggregate's arguments."""
        return self.of(node.expressions[0])

    def function(self, node: exp.Expr) -> PostgresType:
        """A function's result."""
        call = call_of(node)
        assert call is not None
        return self.call(call).result

    def within_group(self, node: exp.Expr) -> PostgresType:
        """An ordered-set aggregate's result."""
        return self.call(ordered_set(node)).result

    def arithmetic(self, node: exp.Expr) -> PostgresType:
        """The result of a binary operator."""
        left, right = self.of(node.this), self.of(node.expression)
        return operators.binary(type(node), left, right, node).result

    def negative(self, node: exp.Expr) -> PostgresType:
        """A sign does not change the type."""
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return number_type("-" + node.this.this)
        kind = self.of(node.this)
        if is_quotient(kind):
            return kind
        return PostgresType("float8") if kind.name == "unknown" else PostgresType(kind.name)

    def case(self, node: exp.Expr) -> PostgresType:
        """The results of CASE have one type."""
        return common_type([self.of(item) for item in case_results(node)], "CASE", node)

    def coalesce(self, node: exp.Expr) -> PostgresType:
        """COALESCE, GREATEST and LEAST."""
        items = [node.this, *node.expressions]
        what = type(node).__name__.upper()
        return common_type([self.of(item) for item in items], what, node)

    def nullif(self, node: exp.Expr) -> PostgresType:
        """NULLIF has the type of its first argument, as the comparison sees it."""
        left, right = self.of(node.this), self.of(node.expression)
        for ladder in (INTEGERS, FLOATS, MOMENTS):
            # These are compared as they are, whichever two of them meet.
            if left.name in ladder and right.name in ladder:
                return left
        kind = operators.compared(left, right, node)
        return left if left.name == kind.name else kind

    def array(self, node: exp.Expr) -> PostgresType:
        """ARRAY[...] or ARRAY(subquery)."""
        items = node.expressions
        if len(items) == 1 and isinstance(items[0], exp.Query):
            element = self.of(items[0])
        else:
            element = common_type([self.of(item) for item in items], "ARRAY", node)
        return element if element.is_array else PostgresType("_" + element.name)

    def json_part(self, node: exp.Expr) -> PostgresType:
        """A part of a JSON value is of the same type."""
        kind = self.of(node.this)
        return kind if kind.name == "jsonb" else JSON

    def bracket(self, node: exp.Expr) -> PostgresType:
        """An array's element, or a slice of it."""
        if len(node.expressions) != 1:
            raise UnsupportedError("such subscripts are not supported", position=position(node))
        kind = self.of(node.this)
        if not kind.is_array:
            raise UnsupportedError("subscripts are supported for arrays only")
        return kind if isinstance(node.expressions[0], exp.Slice) else kind.element


def plain_arguments(call: Call) -> tuple[exp.Expr, ...]:
    """A call's arguments without DISTINCT, ORDER BY and ``*`` around them."""
    found: list[exp.Expr] = []
    for argument in call.arguments:
        item = argument.this if isinstance(argument, exp.Order) else argument
        if isinstance(item, exp.Distinct):
            found.extend(item.expressions)
        elif not isinstance(item, exp.Star):
            found.append(item)
    return tuple(found)


def ordered_set(node: exp.Expr) -> Call:
    """``f(fraction) WITHIN GROUP (ORDER BY value)`` as the call ``f(value, fraction)``."""
    order = node.expression
    inner = node.this
    names = {exp.PercentileCont: "percentile_cont", exp.PercentileDisc: "percentile_disc"}
    name = "mode" if isinstance(inner, exp.Mode) else names.get(type(inner))
    if name is None or not isinstance(order, exp.Order) or len(order.expressions) != 1:
        raise UnsupportedError(
            "this ordered-set aggregate is not supported", position=position(node)
        )
    value = order.expressions[0].this
    arguments = (value,) if name == "mode" else (value, inner.this)
    return Call(name, arguments, node)


def case_results(node: exp.Expr) -> list[exp.Expr]:
    """The results of CASE, the ELSE one first as PostgreSQL looks at them."""
    default = node.args.get("default")
    results = [branch.args["true"] for branch in node.args["ifs"]]
    return [default, *results] if default is not None else results


# Functions of servers and warehouses that reach out of the query. A list of what is refused would
# not do: everything is that is not allowed. These are none of PostgreSQL's, or of nobody's concern.
_REACHING_OUT = re.compile(
    r"""(read|write|duckdb|pragma|pg|lo|dblink|sqlite|postgres|mysql|iceberg|delta|parquet|json
    |from|get|enable|disable|force|which)_\w*
    |query(_table)?|getenv|getvariable|glob|sniff_csv|arrow_scan\w*|seq_scan|error|nextval|setval
    |set_config|current_setting|query_to_xml\w*|repeat_row|checkpoint|summary|test_all_types""",
    re.VERBOSE,
)


def forbidden(call: Call) -> ForbiddenError:
    """The refusal of a function that is not on the list (G4)."""
    return ForbiddenError(
        f"permission denied for function {call.name}",
        hint="It is not among the functions that a query over cubes may call.",
        position=position(call.node),
        certain=reaches_out(call.name),
    )


def reaches_out(name: str) -> bool:
    """Whether a function's name is known as one that has no business in a query over cubes."""
    return _REACHING_OUT.fullmatch(name) is not None


def number_type(text: str) -> PostgresType:
    """The type of a number as written."""
    if not text.removeprefix("-").isdigit():
        return NUMERIC
    value = int(text)
    if -2147483648 <= value <= 2147483647:
        return INT4
    return INT8 if -9223372036854775808 <= value <= 9223372036854775807 else NUMERIC


def _literal(_types: Types, node: exp.Expr) -> PostgresType:
    return UNKNOWN if node.args.get("is_string") else number_type(node.this)


def _cast(types: Types, node: exp.Expr) -> PostgresType:
    kind = node_type(node.args["to"])
    if kind == NUMERIC:
        source = types.of(node.this)
        if source.name in (*FLOATS, *STRINGS) or is_quotient(source):
            return QUOTIENT
    return kind


def _always(kind: PostgresType) -> Callable[[Types, exp.Expr], PostgresType]:
    return lambda _types, _node: kind


_RULES: dict[type[exp.Expr], Callable[[Types, exp.Expr], PostgresType]] = {
    exp.Literal: _literal,
    exp.ByteString: _always(UNKNOWN),
    exp.National: _always(UNKNOWN),
    exp.Null: _always(UNKNOWN),
    exp.Boolean: _always(BOOL),
    exp.Interval: _always(INTERVAL),
    exp.Cast: _cast,
    exp.Column: Types.column,
    exp.Parameter: Types.parameter,
    exp.Paren: Types.inner,
    exp.Collate: Types.inner,
    exp.Filter: Types.inner,
    exp.Window: Types.inner,
    exp.Order: Types.inner,
    exp.Ordered: Types.inner,
    exp.Alias: Types.inner,
    exp.IgnoreNulls: Types.inner,
    exp.RespectNulls: Types.inner,
    exp.Distinct: Types.distinct,
    exp.Neg: Types.negative,
    exp.BitwiseNot: Types.inner,
    exp.Case: Types.case,
    exp.Coalesce: Types.coalesce,
    exp.Greatest: Types.coalesce,
    exp.Least: Types.coalesce,
    exp.Nullif: Types.nullif,
    exp.Array: Types.array,
    exp.Bracket: Types.bracket,
    exp.JSONExtract: Types.json_part,
    exp.JSONBExtract: Types.json_part,
    exp.JSONExtractScalar: _always(TEXT),
    exp.JSONBExtractScalar: _always(TEXT),
    exp.WithinGroup: Types.within_group,
    exp.Grouping: _always(INT4),
    exp.Tuple: _always(PostgresType("record")),
    **dict.fromkeys(SESSION_NODES, _always(NAME)),
    exp.CurrentVersion: _always(TEXT),
    **dict.fromkeys(
        (exp.Subquery, exp.Select, exp.Union, exp.Except, exp.Intersect), Types.subquery
    ),
    **dict.fromkeys(
        (
            exp.And,
            exp.Or,
            exp.Not,
            exp.EQ,
            exp.NEQ,
            exp.LT,
            exp.LTE,
            exp.GT,
            exp.GTE,
            exp.Is,
            exp.In,
            exp.Between,
            exp.Exists,
            exp.Like,
            exp.ILike,
            exp.Escape,
            exp.SimilarTo,
            exp.RegexpLike,
            exp.RegexpILike,
            exp.NullSafeEQ,
            exp.NullSafeNEQ,
            exp.ArrayContainsAll,
            exp.ArrayContainedBy,
            exp.ArrayOverlaps,
        ),
        _always(BOOL),
    ),
    **dict.fromkeys(operators.ARITHMETIC, Types.arithmetic),
    **dict.fromkeys(CALL_NODES, Types.function),
}
# The operator ^ and the function power() share a node, and a rule.
_RULES[exp.Pow] = Types.function

KNOWN_NODES = frozenset(_RULES)


def infer(node: exp.Expr, environment: TypeEnvironment) -> PostgresType:
    """The PostgreSQL type of an expression; ``unknown`` for a bare string literal or NULL.

    Raises:
        SemanticError: the expression holds what is not allowed, or has no type.
    """
    return Types(environment).of(node)


def decimal_text(text: str) -> str:
    """A number as written, without exponent or underscores."""
    return format(Decimal(text.replace("_", "")), "f")
