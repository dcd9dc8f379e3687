"""Conditions: logic, comparisons, IN, BETWEEN, IS, LIKE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.constants import constant_text
from semantic.compiler.expressions.duckdb import casts, numeric, patterns
from semantic.compiler.expressions.duckdb.array_literals import array_literal, read_array
from semantic.compiler.expressions.duckdb.build import atom, call, sql, string
from semantic.compiler.expressions.duckdb.comparing import (
    array_units,
    comparable,
    compared_as,
    compared_with_column,
)
from semantic.compiler.expressions.duckdb.json_paths import extracted
from semantic.compiler.expressions.duckdb.row_conditions import (
    column_of_query,
    compare_rows,
    joined,
    quantified_rows,
    row_is_in,
    row_is_null,
)
from semantic.compiler.expressions.duckdb.translator import NodeRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.types import common_type
from semantic.compiler.trees import chained
from semantic.errors import UnsupportedError
from semantic.model.types import BOOL, TEXT, UNKNOWN, PostgresType


def connective(translator: Translator, node: exp.Expr) -> Value:
    """AND and OR."""
    kind = type(node)
    first, *others = chained(node)
    result = _operand(translator, first)
    for operand in others:
        result = kind(this=result, expression=_operand(translator, operand))
    return Value(result, BOOL)


def _operand(translator: Translator, node: exp.Expr) -> exp.Expr:
    condition = translator.typed(node, BOOL)
    return exp.Paren(this=condition) if isinstance(condition, exp.Or | exp.And) else condition


def negation(translator: Translator, node: exp.Expr) -> Value:
    """NOT."""
    return Value(exp.Not(this=atom(translator.typed(node.this, BOOL))), BOOL)


def comparison(translator: Translator, node: exp.Expr) -> Value:
    """=, <>, <, <=, >, >=, IS [NOT] DISTINCT FROM, also with ANY and ALL and of rows."""
    left, right = node.this, node.expression
    if isinstance(right, exp.Any | exp.All) or _is_all(right):
        return _quantified(translator, node)
    if isinstance(left, exp.Tuple) or isinstance(right, exp.Tuple):
        return compare_rows(translator, node)
    one, two = comparable(translator, left, right)
    return Value(type(node)(this=atom(one), expression=atom(two)), BOOL)


def _is_all(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in ("all", "some")


def _quantified(translator: Translator, node: exp.Expr) -> Value:
    """``x op ANY (array)`` and ``x op ALL (array)``, or over a subquery."""
    right = node.expression
    inner = right.expressions[0] if isinstance(right, exp.Anonymous) else right.this
    every = isinstance(right, exp.All) or (
        isinstance(right, exp.Anonymous) and str(right.this).lower() == "all"
    )
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Array) and len(inner.expressions) == 1:
        # ARRAY(SELECT ...) is never missing: its elements are the rows.
        only = inner.expressions[0]
        inner = only if isinstance(only, exp.Query | exp.Subquery) else inner
    if isinstance(inner, exp.Query | exp.Subquery):
        if isinstance(node.this, exp.Tuple):
            return quantified_rows(translator, node, inner, every=every)
        return _quantified_query(translator, node, inner, every=every)
    value = translator.value(inner)
    if value.raw is not None:
        # A literal is read as an array of what it is compared with.
        of = operators.compared(translator.types.of(node.this), UNKNOWN, node)
        array_of = PostgresType("_" + of.name)
        value = array_literal(value.raw, array_of, folds=translator.folds, compared=True)
    if not value.type.is_array:
        raise UnsupportedError(
            "ANY and ALL of this value are not supported", hint="Write ANY (ARRAY[...])."
        )
    kind = operators.compared(translator.types.of(node.this), value.type.element, node)
    if kind.name == "numeric":
        # DuckDB would round a number to the scale of the array's.
        left = numeric.big_units(translator.coerced(node.this, kind))
        array = array_units(value)
    else:
        left = translator.typed(node.this, kind)
        array = casts.convert(value, PostgresType("_" + kind.name)).node
    left = atom(left)
    wrapped = (exp.All if every else exp.Any)(this=exp.Paren(this=array))
    test: exp.Expr = type(node)(this=left, expression=wrapped)
    if not isinstance(inner, exp.Array | exp.Literal):
        # A missing array is an unknown answer in PostgreSQL.
        known = exp.Not(this=exp.Is(this=array.copy(), expression=exp.Null()))
        test = exp.Case(ifs=[exp.If(this=known, true=test)])
    return Value(test, BOOL)


def membership(translator: Translator, node: exp.Expr) -> Value:
    """IN over a list or a subquery."""
    query = node.args.get("query")
    if query is not None:
        return _in_query(translator, node, query)
    if isinstance(node.this, exp.Tuple):
        found = [
            compare_rows(translator, exp.EQ(this=node.this, expression=item)).node
            for item in node.expressions
        ]
        return Value(exp.Paren(this=joined(exp.Or, found)), BOOL)
    kinds = [translator.types.of(item) for item in (node.this, *node.expressions)]
    kind = common_type(kinds, "IN", node)
    if kind.name == "numeric":
        values = [translator.coerced(item, kind) for item in (node.this, *node.expressions)]
        unified = numeric.alike(values)
        if unified is None:
            nodes = [numeric.big_units(value) for value in values]
        else:
            nodes = [value.node for value in unified]
        return Value(exp.In(this=atom(nodes[0]), expressions=nodes[1:]), BOOL)
    items = [_listed(translator, item, kind) for item in node.expressions]
    return Value(
        exp.In(this=atom(compared_as(translator, node.this, kind)), expressions=items), BOOL
    )


def _listed(translator: Translator, node: exp.Expr, kind: PostgresType) -> exp.Expr:
    """An item of a list, which may be long."""
    if isinstance(node, exp.Literal):
        if node.is_string and kind.name in ("text", "varchar"):
            return exp.Literal.string(node.this)
        if kind.name in ("int4", "int8") and not node.is_string and node.this.isdigit():
            return exp.Literal.number(node.this)
    return compared_as(translator, node, kind)


def _in_query(translator: Translator, node: exp.Expr, query: exp.Expr) -> Value:
    if isinstance(node.this, exp.Tuple):
        equal = exp.EQ(this=node.this)
        return quantified_rows(translator, equal, query, every=False)
    left, found = _one_column(translator, node.this, query)
    return Value(exp.In(this=atom(left), query=found), BOOL)


def _quantified_query(
    translator: Translator, node: exp.Expr, query: exp.Expr, *, every: bool
) -> Value:
    left, found = _one_column(translator, node.this, query)
    wrapped = (exp.All if every else exp.Any)(this=found)
    return Value(type(node)(this=atom(left), expression=wrapped), BOOL)


def _one_column(
    translator: Translator, left: exp.Expr, query: exp.Expr
) -> tuple[exp.Expr, exp.Subquery]:
    """A value, and a subquery of one column in the type in which it is compared with it."""
    kind = translator.types.of(query)
    compared = operators.compared(translator.types.of(left), kind, left)
    value, make = compared_with_column(translator, left, kind, compared)
    if make is None:
        inner = query.this if isinstance(query, exp.Subquery) else query
        return value, exp.Subquery(this=inner.copy())
    return value, column_of_query(query, make)


def between(translator: Translator, node: exp.Expr) -> Value:
    """BETWEEN, also SYMMETRIC."""
    low, high = node.args["low"], node.args["high"]
    symmetric = node.args.get("symmetric")
    one, first = comparable(translator, node.this, low)
    two, second = comparable(translator, node.this, high)
    inside = _within(one, first, two, second)
    if not symmetric:
        return Value(exp.Paren(this=inside), BOOL)
    turned = _within(two.copy(), second.copy(), one.copy(), first.copy())
    both = exp.Or(this=exp.Paren(this=inside), expression=exp.Paren(this=turned))
    return Value(exp.Paren(this=both), BOOL)


def _within(one: exp.Expr, low: exp.Expr, two: exp.Expr, high: exp.Expr) -> exp.Expr:
    return exp.And(
        this=exp.GTE(this=atom(one), expression=atom(low)),
        expression=exp.LTE(this=atom(two), expression=atom(high)),
    )


def is_condition(translator: Translator, node: exp.Expr) -> Value:
    """IS [NOT] NULL, TRUE, FALSE, UNKNOWN."""
    right = node.expression
    if isinstance(node.this, exp.Tuple) and isinstance(right, exp.Null):
        return row_is_null(translator, node)
    if isinstance(node.this, exp.In) and isinstance(node.this.this, exp.Tuple):
        query = node.this.args.get("query")
        if query is not None and isinstance(right, exp.Boolean) and right.this:
            found = row_is_in(translator, node.this.this, query).node
            return Value(exp.Not(this=found) if node.args.get("negate") else found, BOOL)
    if isinstance(right, exp.Null):
        inner = node.this.unnest()
        is_part = isinstance(inner, exp.JSONExtract | exp.JSONBExtract)
        operand = extracted(translator, inner) if is_part else translator.settled(node.this).node
    elif isinstance(right, exp.Boolean):
        operand = translator.typed(node.this, BOOL)
    else:
        raise UnsupportedError(f"IS {right.sql('postgres')} is not supported on DuckDB")
    test: exp.Expr = exp.Is(this=atom(operand), expression=right.copy())
    if node.args.get("negate"):
        test = exp.Not(this=exp.Paren(this=test))
    return Value(test, BOOL)


def like(translator: Translator, node: exp.Expr) -> Value:
    """LIKE and ILIKE, whose escape character is a backslash unless said otherwise."""
    if isinstance(node.expression, exp.Any | exp.All | exp.Tuple) or _is_all(node.expression):
        return _like_any(translator, node)
    return _like(translator, node, node.this, node.expression, "\\")


def escape(translator: Translator, node: exp.Expr) -> Value:
    """LIKE ... ESCAPE."""
    inner, character = node.this, node.expression
    if not isinstance(character, exp.Literal) or len(character.this) > 1:
        raise UnsupportedError("ESCAPE needs a literal of one character")
    if isinstance(inner, exp.SimilarTo):
        return _similar(translator, inner, character.this)
    return _like(translator, inner, inner.this, inner.expression, character.this)


def _like(
    translator: Translator, node: exp.Expr, left: exp.Expr, right: exp.Expr, escape_: str
) -> Value:
    subject = atom(translator.typed(left, TEXT))
    pattern = atom(translator.typed(right, TEXT))
    kind = exp.ILike if isinstance(node, exp.ILike) else exp.Like
    test: exp.Expr = kind(this=subject, expression=pattern)
    literal = isinstance(right, exp.Literal)
    if escape_ and not (literal and escape_ not in right.this):
        test = exp.Escape(this=test, expression=string(escape_))
    if node.args.get("negate"):
        test = exp.Not(this=exp.Paren(this=test))
    return Value(test, BOOL)


def _like_any(translator: Translator, node: exp.Expr) -> Value:
    """``x LIKE ANY (ARRAY[...])`` as one LIKE an element."""
    right = node.expression
    inner = right.expressions[0] if isinstance(right, exp.Anonymous) else right.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Literal) and inner.is_string:
        items = [_text_or_null(item) for item in read_array(inner.this)]
    elif isinstance(inner, exp.Array) and not isinstance(right, exp.Tuple):
        items = inner.expressions
    else:
        raise UnsupportedError("LIKE ANY and LIKE ALL need ARRAY[...]")
    every = not isinstance(right, exp.Any)
    if not items:
        return Value(exp.Boolean(this=every), BOOL)
    found = [_like(translator, node, node.this, item, "\\").node for item in items]
    return Value(exp.Paren(this=joined(exp.And if every else exp.Or, found)), BOOL)


def _text_or_null(item: str | None) -> exp.Expr:
    return exp.Null() if item is None else exp.Literal.string(item)


def similar(translator: Translator, node: exp.Expr) -> Value:
    """SIMILAR TO with a literal pattern."""
    return _similar(translator, node, "\\")


def _similar(translator: Translator, node: exp.Expr, escape_: str) -> Value:
    subject = translator.typed(node.this, TEXT)
    pattern = patterns.from_similar(_literal_pattern(node.expression), escape_)
    test = sql("regexp_full_match(_1, _2)", subject, string(pattern))
    return Value(exp.Not(this=test) if node.args.get("negate") else test, BOOL)


def _literal_pattern(node: exp.Expr) -> str:
    found = constant_text(node)
    if found is None:
        raise UnsupportedError(
            "a regular expression that is not a literal is not supported on DuckDB"
        )
    return found


def matches(translator: Translator, node: exp.Expr) -> Value:
    """``~`` and ``~*``."""
    subject = translator.typed(node.this, TEXT)
    flags = "i" if isinstance(node, exp.RegexpILike) else ""
    pattern = patterns.for_test(_literal_pattern(node.expression), flags)
    return Value(sql("regexp_matches(_1, _2)", subject, string(pattern)), BOOL)


def exists(translator: Translator, node: exp.Expr) -> Value:
    """EXISTS, whose subquery the emitter fills in."""
    return Value(node.copy(), BOOL)


def array_condition(translator: Translator, node: exp.Expr) -> Value:
    """``@>``, ``<@`` and ``&&`` of arrays."""
    left, right = translator.value(node.this), translator.value(node.expression)
    if right.raw is not None:
        right = casts.convert(right, left.type, folds=translator.folds)
    if left.raw is not None:
        left = casts.convert(left, right.type, folds=translator.folds)
    if not left.type.is_array or left.type != right.type or left.type.name == "_numeric":
        raise UnsupportedError("@>, <@ and && are supported for arrays of one type only")
    if isinstance(node, exp.ArrayOverlaps):
        return Value(call("list_has_any", left.node, right.node), BOOL)
    if isinstance(node, exp.ArrayContainedBy):
        left, right = right, left
    if isinstance(right.node, exp.Cast) and right.node.find(exp.Null) is None:
        return Value(call("list_has_all", left.node, right.node), BOOL)
    # A missing element is equal to none.
    text = """CASE WHEN _1 IS NOT NULL AND _2 IS NOT NULL
      THEN list_has_all(_1, _2) AND list_count(_2) = len(_2) END"""
    return Value(sql(text, left.node, right.node), BOOL)


def _case(translator: Translator, node: exp.Expr) -> Value:
    """CASE in both forms."""
    kind = translator.types.of(node)
    subject = node.this
    conditions: list[exp.Expr] = []
    for branch in node.args["ifs"]:
        if subject is None:
            condition = translator.typed(branch.this, BOOL)
        else:
            one, two = comparable(translator, subject, branch.this)
            condition = exp.EQ(this=atom(one), expression=atom(two))
        conditions.append(condition)
    nodes = [branch.args["true"] for branch in node.args["ifs"]]
    default = node.args.get("default")
    if default is not None:
        nodes.append(default)

    def made(results: list[exp.Expr]) -> exp.Expr:
        otherwise = results[len(conditions)] if len(results) > len(conditions) else None
        pairs = zip(conditions, results, strict=False)
        ifs = [exp.If(this=condition, true=result) for condition, result in pairs]
        return exp.Case(ifs=ifs, default=otherwise)

    return _one_of(translator, nodes, kind, made)


def _one_of(
    translator: Translator,
    nodes: list[exp.Expr],
    kind: PostgresType,
    make: Callable[[list[exp.Expr]], exp.Expr],
    *,
    skips_nulls: bool = False,
) -> Value:
    """A choice among values."""
    values = [translator.coerced(node, kind) for node in nodes]
    if kind.name != "numeric":
        return Value(make([value.node for value in values]), PostgresType(kind.name))
    return numeric.chosen(values, make, skips_nulls=skips_nulls)


def choice(function: str) -> NodeRule:
    """COALESCE, GREATEST and LEAST, which skip NULLs as PostgreSQL's do."""

    def translate(translator: Translator, node: exp.Expr) -> Value:
        kind = translator.types.of(node)
        nodes = [node.this, *node.expressions]
        if kind.name == "numeric" and function != "coalesce":
            return numeric.extreme([translator.coerced(item, kind) for item in nodes], function)
        return _one_of(
            translator, nodes, kind, lambda items: call(function, *items), skips_nulls=True
        )

    return translate


def nullif(translator: Translator, node: exp.Expr) -> Value:
    """NULLIF compares as ``=`` does and returns its first argument as it is."""
    value = translator.coerced(node.this, translator.types.of(node))
    one, two = comparable(translator, node.this, node.expression)
    equal = exp.EQ(this=atom(one), expression=atom(two))

    def unless_equal(node: exp.Expr) -> exp.Expr:
        return exp.Case(ifs=[exp.If(this=equal.copy(), true=exp.Null())], default=node)

    text = None if value.text is None else unless_equal(value.text)
    return replace(value, node=unless_equal(value.node), text=text)


_COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.LT,
    exp.LTE,
    exp.GT,
    exp.GTE,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
)

CONDITIONS: dict[type[exp.Expr], Callable[[Translator, exp.Expr], Value]] = {
    exp.And: connective,
    exp.Or: connective,
    exp.Not: negation,
    **dict.fromkeys(_COMPARISONS, comparison),
    exp.In: membership,
    exp.Between: between,
    exp.Is: is_condition,
    exp.Like: like,
    exp.ILike: like,
    exp.Escape: escape,
    exp.SimilarTo: similar,
    exp.RegexpLike: matches,
    exp.RegexpILike: matches,
    exp.Exists: exists,
    exp.ArrayContainsAll: array_condition,
    exp.ArrayContainedBy: array_condition,
    exp.ArrayOverlaps: array_condition,
    exp.Case: _case,
    exp.Coalesce: choice("coalesce"),
    exp.Greatest: choice("greatest"),
    exp.Least: choice("least"),
    exp.Nullif: nullif,
}
