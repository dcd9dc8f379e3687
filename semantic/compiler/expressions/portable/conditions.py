"""Conditions and choices: logic, comparisons, IN, BETWEEN, IS, LIKE, CASE, COALESCE."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.portable import constants
from semantic.compiler.expressions.portable.build import atom, binary, case, sql
from semantic.compiler.expressions.portable.translator import NodeRule, Translator
from semantic.compiler.expressions.portable.value import Value, common_size
from semantic.compiler.expressions.types import common_type, is_quotient
from semantic.compiler.trees import chained
from semantic.errors import SemanticError
from semantic.model.types import BOOL, TEXT, PostgresType

_SIGNS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


def connective(translator: Translator, node: exp.Expr) -> Value:
    """AND and OR."""
    kind = type(node)
    first, *others = chained(node)
    result = _condition(translator, first)
    for operand in others:
        result = kind(this=result, expression=_condition(translator, operand))
    return Value(exp.Paren(this=result), BOOL)


def _condition(translator: Translator, node: exp.Expr) -> exp.Expr:
    return atom(translator.condition(node))


def negation(translator: Translator, node: exp.Expr) -> Value:
    """NOT."""
    return _not(_condition(translator, node.this))


def _not(node: exp.Expr) -> Value:
    return Value(exp.Paren(this=exp.Not(this=atom(node))), BOOL)


def comparison(translator: Translator, node: exp.Expr) -> Value:
    """=, <>, <, <=, >, >=, also with ANY and ALL of an array that is written out."""
    left, right = node.this, node.expression
    items = _written_array(right)
    if items and not isinstance(left, exp.Tuple):
        found = [compared(translator, type(node), left, item) for item in items]
        every = isinstance(right, exp.All) or _is_called(right, "all")
        return Value(_chain(exp.And if every else exp.Or, found), BOOL)
    composed = isinstance(left, exp.Tuple) or isinstance(right, exp.Any | exp.All | exp.Tuple)
    if composed or _is_called(right, "all", "some"):
        raise translator.unsupported("a comparison of rows, or with ANY and ALL")
    return Value(compared(translator, type(node), left, right), BOOL)


def _is_called(node: exp.Expr, *names: str) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in names


def _written_array(node: exp.Expr) -> list[exp.Expr]:
    """The elements of ``ANY (ARRAY[1, 2])``; none for anything else."""
    inner = node.this if isinstance(node, exp.Any | exp.All) else None
    if _is_called(node, "all", "some") and len(node.expressions) == 1:
        # What the parser takes ``ALL (...)`` for.
        inner = node.expressions[0]
    while isinstance(inner, exp.Paren):
        inner = inner.this
    items = inner.expressions if isinstance(inner, exp.Array) else []
    nested = (exp.Array, exp.Query, exp.Subquery)
    return [] if any(isinstance(item, nested) for item in items) else items


def _chain(operator: type[exp.Connector], found: list[exp.Expr]) -> exp.Expr:
    result = found[0]
    for item in found[1:]:
        result = operator(this=result, expression=item)
    return exp.Paren(this=result)


def compared(
    translator: Translator, operator: type[exp.Expr], left: exp.Expr, right: exp.Expr
) -> exp.Expr:
    """A comparison of two operands in the type in which PostgreSQL compares them."""
    assert issubclass(operator, exp.Binary)
    return _compared_values(translator, operator, *_alike(translator, left, right))


def _compared_values(
    translator: Translator, operator: type[exp.Binary], one: Value, two: Value
) -> exp.Expr:
    template = translator.find(f"{_SIGNS[operator]}({one.type.name}, {two.type.name})")
    if template is not None:
        return translator.filled(template, [one.node, two.node])
    check_comparable(translator, one.type)
    return binary(operator, one.node, two.node)


def _alike(translator: Translator, left: exp.Expr, right: exp.Expr) -> tuple[Value, Value]:
    kind = operators.compared(translator.types.of(left), translator.types.of(right), left)
    if is_quotient(kind):
        raise translator.unsupported("a numeric whose decimals differ by row")
    plain = PostgresType(kind.name)
    values = translator.typed(left, plain), translator.typed(right, plain)
    return _same_digits(translator, *values) if kind.name == "numeric" else values


def _same_digits(translator: Translator, left: Value, right: Value) -> tuple[Value, Value]:
    """Two numerics in a type that holds both, since the warehouse's own choice may round."""
    if left.size is None or right.size is None:
        raise translator.unsupported("a comparison of numerics whose digits are not known")
    size = common_size(left.size, right.size)
    return translator.widened(left, size), translator.widened(right, size)


def check_comparable(translator: Translator, kind: PostgresType) -> None:
    """Raises UnsupportedError where the warehouse compares a type by other rules."""
    if kind.name not in translator.tables.comparable:
        raise translator.unsupported(f"a comparison of values of type {kind.name}")


def distinct_from(translator: Translator, node: exp.Expr) -> Value:
    """IS [NOT] DISTINCT FROM."""
    if isinstance(node.this, exp.Tuple):
        raise translator.unsupported("a comparison of rows")
    one, two = _alike(translator, node.this, node.expression)
    check_comparable(translator, one.type)
    same = sql(translator.tables.same, one.node, two.node)
    return Value(same, BOOL) if isinstance(node, exp.NullSafeEQ) else _not(same)


def membership(translator: Translator, node: exp.Expr) -> Value:
    """IN over a list or a subquery."""
    if isinstance(node.this, exp.Tuple):
        raise translator.unsupported("IN of rows")
    query = node.args.get("query")
    if query is not None:
        return _in_query(translator, node.this, query)
    kinds = [translator.types.of(item) for item in (node.this, *node.expressions)]
    kind = common_type(kinds, "IN", node)
    if kind.name == "numeric" or not _is_plain_list(translator, node.expressions):
        found = [compared(translator, exp.EQ, node.this, item) for item in node.expressions]
        return Value(_chain(exp.Or, found), BOOL)
    check_comparable(translator, kind)
    plain = PostgresType(kind.name)
    items = [translator.typed(item, plain).node for item in node.expressions]
    left = atom(translator.typed(node.this, plain).node)
    return Value(exp.Paren(this=exp.In(this=left, expressions=items)), BOOL)


def _is_plain_list(translator: Translator, items: list[exp.Expr]) -> bool:
    """Whether the warehouse's own IN means what PostgreSQL's does, over these items."""
    constants = (exp.Literal, exp.ByteString, exp.Boolean)
    return translator.tables.null_in_lists or all(isinstance(item, constants) for item in items)


def _in_query(translator: Translator, left: exp.Expr, query: exp.Expr) -> Value:
    if not translator.tables.null_in_lists:
        raise translator.unsupported("IN of a query")
    value = translator.settled(left)
    kind = translator.types.of(query)
    if value.type.name != kind.name or kind.name == "numeric":
        value = translator.typed(left, PostgresType(kind.name))
        if kind.name == "numeric":
            raise translator.unsupported("IN of numerics over a subquery")
    check_comparable(translator, kind)
    inner = query.this if isinstance(query, exp.Subquery) else query
    found = exp.Subquery(this=inner.copy())
    return Value(exp.Paren(this=exp.In(this=atom(value.node), query=found)), BOOL)


def between(translator: Translator, node: exp.Expr) -> Value:
    """BETWEEN, also SYMMETRIC."""
    low, high = node.args["low"], node.args["high"]
    inside = _within(translator, node.this, low, high)
    if node.args.get("symmetric"):
        inside = binary(exp.Or, inside, _within(translator, node.this, high, low))
    return Value(inside, BOOL)


def _within(translator: Translator, node: exp.Expr, low: exp.Expr, high: exp.Expr) -> exp.Expr:
    return binary(
        exp.And,
        compared(translator, exp.GTE, node, low),
        compared(translator, exp.LTE, node, high),
    )


def is_condition(translator: Translator, node: exp.Expr) -> Value:
    """IS [NOT] NULL, TRUE, FALSE."""
    right = node.expression
    if isinstance(node.this, exp.Tuple):
        raise translator.unsupported("IS NULL of a row")
    if isinstance(right, exp.Null):
        operand = translator.settled(node.this).node
        test: exp.Expr = exp.Paren(this=exp.Is(this=atom(operand), expression=exp.Null()))
    elif isinstance(right, exp.Boolean):
        operand = _condition(translator, node.this)
        wanted = operand if right.this else _not(operand).node
        # Never NULL, in dialects that do not know IS TRUE as well.
        yes, no = (constants.truth_value(translator.tables, value) for value in (True, False))
        test = case(wanted, yes, no)
        if translator.tables.truth:
            test = sql(translator.tables.holds, test)
    else:
        raise translator.unsupported(f"IS {right.sql('postgres')}")
    return _not(test) if node.args.get("negate") else Value(test, BOOL)


def like(translator: Translator, node: exp.Expr) -> Value:
    """LIKE and ILIKE, whose escape character is a backslash unless said otherwise."""
    return _like(translator, node, "\\")


def escape(translator: Translator, node: exp.Expr) -> Value:
    """LIKE ... ESCAPE."""
    character = node.expression
    known = isinstance(character, exp.Literal) and len(character.this) <= 1
    if not known or not isinstance(node.this, exp.Like | exp.ILike):
        raise translator.unsupported("this ESCAPE")
    return _like(translator, node.this, character.this)


def _like(translator: Translator, node: exp.Expr, character: str) -> Value:
    name = "ilike" if isinstance(node, exp.ILike) else "like"
    pattern = node.expression
    while isinstance(pattern, exp.Paren):
        pattern = pattern.this
    template = translator.find(f"{name}(text, text)")
    is_constant = isinstance(pattern, exp.Literal | exp.ByteString) and isinstance(
        pattern.this, str
    )
    if template is None or not is_constant:
        raise translator.unsupported(f"{name.upper()} with this pattern")
    tables = translator.tables
    letters = list(_letters(pattern.this, character))
    escaped = (
        _glob(letters) if tables.patterns == "glob" else _like_text(letters, tables.like_escape)
    )
    subject = translator.typed(node.this, TEXT)
    test = translator.filled(template, [subject.node, exp.Literal.string(escaped)])
    return _not(test) if node.args.get("negate") else Value(test, BOOL)


def _letters(pattern: str, character: str) -> Iterator[tuple[str, bool]]:
    """The letters of a pattern, each with whether it stands for itself."""
    letters = iter(pattern)
    for letter in letters:
        if character and letter == character:
            literal = next(letters, None)
            if literal is None:
                raise SemanticError("22025", "LIKE pattern must not end with escape character")
            yield literal, True
        else:
            yield letter, letter not in ("%", "_")


def _like_text(letters: list[tuple[str, bool]], escape_: str) -> str:
    special = ("%", "_", escape_)
    return "".join(
        escape_ + letter if literal and letter in special else letter for letter, literal in letters
    )


_GLOBS = {"%": "*", "_": "?"}


def _glob(letters: list[tuple[str, bool]]) -> str:
    return "".join(
        (f"[{letter}]" if letter in "*?[" else letter) if literal else _GLOBS[letter]
        for letter, literal in letters
    )


def exists(translator: Translator, node: exp.Expr) -> Value:
    """EXISTS, whose subquery the emitter fills in."""
    return Value(exp.Paren(this=node.copy()), BOOL)


def chosen(translator: Translator, node: exp.Expr) -> Value:
    """CASE in both forms."""
    subject = node.this
    conditions = [
        _condition(translator, branch.this)
        if subject is None
        else compared(translator, exp.EQ, subject, branch.this)
        for branch in node.args["ifs"]
    ]
    default = node.args.get("default")
    nodes = [branch.args["true"] for branch in node.args["ifs"]]
    values = _results(translator, node, [*nodes, default] if default is not None else nodes)
    pairs = zip(conditions, values, strict=False)
    made = exp.Case(
        ifs=[exp.If(this=condition, true=value.node) for condition, value in pairs],
        default=values[-1].node if default is not None else None,
    )
    return _like_first(exp.Paren(this=made), values)


def coalesce(translator: Translator, node: exp.Expr) -> Value:
    """COALESCE."""
    values = _results(translator, node, [node.this, *node.expressions])
    items = [value.node for value in values]
    made = exp.Anonymous(this="COALESCE", expressions=items)
    return _like_first(exp.Paren(this=made), values) if len(items) > 1 else values[0]


def extreme(translator: Translator, node: exp.Expr) -> Value:
    """GREATEST and LEAST, which pass over NULLs."""
    values = _results(translator, node, [node.this, *node.expressions])
    if len(values) > _MOST_EXTREMES:
        raise translator.unsupported("GREATEST or LEAST of so many values")
    name = values[0].type.name
    sign = ">" if isinstance(node, exp.Greatest) else "<"
    template = translator.find(f"{sign}({name}, {name})")
    if template is None:
        check_comparable(translator, values[0].type)
        template = f"_1 {sign} _2"
    made = values[0].node
    for value in values[1:]:
        missing = exp.Paren(this=exp.Is(this=atom(made), expression=exp.Null()))
        better = exp.Paren(this=translator.filled(template, [value.node.copy(), made.copy()]))
        test = exp.Or(this=missing, expression=better)
        made = case(test, value.node, made.copy())
    return _like_first(made, values)


_MOST_EXTREMES = 3
"""Each operand is written three times for every one behind it."""


def _results(translator: Translator, node: exp.Expr, nodes: list[exp.Expr]) -> list[Value]:
    """Values that one of is chosen, in the type that they have in common."""
    kind = translator.types.of(node)
    if is_quotient(kind):
        raise translator.unsupported("a choice among numerics whose decimals differ")
    values = [translator.typed(item, kind) for item in nodes]
    sizes = {value.size for value in values}
    if kind.name == "numeric" and (len(sizes) > 1 or None in sizes):
        raise translator.unsupported("a choice among numerics of different digits")
    return values


def _like_first(node: exp.Expr, values: list[Value]) -> Value:
    first = values[0]
    return Value(node, first.type, first.size)


def nullif(translator: Translator, node: exp.Expr) -> Value:
    """NULLIF compares as ``=`` does and returns its first argument as it is."""
    value = translator.typed(node.this, translator.types.of(node))
    equal = compared(translator, exp.EQ, node.this, node.expression)
    made = case(equal, exp.Null(), value.node)
    return Value(made, value.type, value.size)


CONDITIONS: dict[type[exp.Expr], NodeRule] = {
    exp.And: connective,
    exp.Or: connective,
    exp.Not: negation,
    **dict.fromkeys(_SIGNS, comparison),
    exp.NullSafeEQ: distinct_from,
    exp.NullSafeNEQ: distinct_from,
    exp.In: membership,
    exp.Between: between,
    exp.Is: is_condition,
    exp.Like: like,
    exp.ILike: like,
    exp.Escape: escape,
    exp.Exists: exists,
    exp.Case: chosen,
    exp.Coalesce: coalesce,
    exp.Nullif: nullif,
    exp.Greatest: extreme,
    exp.Least: extreme,
}
