"""Comparisons of rows and with subqueries, spelled out for PostgreSQL's treatment of NULL."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions import operators
from semantic.compiler.expressions.duckdb.build import atom, call
from semantic.compiler.expressions.duckdb.comparing import ColumnMaker, beside_column, comparable
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.places import position
from semantic.errors import SemanticError, UnsupportedError
from semantic.model.types import BOOL

Pairs = list[tuple[exp.Expr, exp.Expr]]

_ALIAS = "row:"
_ORDER: dict[type[exp.Expr], tuple[type[exp.Expr], type[exp.Expr]]] = {
    exp.LT: (exp.LT, exp.LT),
    exp.LTE: (exp.LT, exp.LTE),
    exp.GT: (exp.GT, exp.GT),
    exp.GTE: (exp.GT, exp.GTE),
}
_TURNED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
}


def compare_rows(translator: Translator, node: exp.Expr) -> Value:
    """``(a, b) = (c, d)`` and ``(a, b) = (SELECT c, d ...)``, of any comparison operator."""
    left, right, kind = node.this, node.expression, type(node)
    if isinstance(right, exp.Tuple) and not isinstance(left, exp.Tuple):
        left, right, kind = right, left, _TURNED.get(kind, kind)
    if not isinstance(left, exp.Tuple):
        raise UnsupportedError("comparing a row with anything but a row is not supported")
    if isinstance(right, exp.Subquery | exp.Select):
        pairs, source = _beside_query(translator, left, right)
        return Value(_select(row_condition(kind, pairs), source), BOOL)
    if not isinstance(right, exp.Tuple):
        raise UnsupportedError("comparing a row with anything but a row is not supported")
    if len(left.expressions) != len(right.expressions):
        raise SemanticError("42601", "unequal number of entries in row expressions")
    pairs = [
        comparable(translator, one, two)
        for one, two in zip(left.expressions, right.expressions, strict=True)
    ]
    return Value(exp.Paren(this=row_condition(kind, pairs)), BOOL)


def row_condition(kind: type[exp.Expr], pairs: Pairs) -> exp.Expr:
    """A comparison of rows as comparisons of their fields."""
    if kind in (exp.EQ, exp.NullSafeEQ):
        return joined(exp.And, [kind(this=atom(a), expression=atom(b)) for a, b in pairs])
    if kind in (exp.NEQ, exp.NullSafeNEQ):
        return joined(exp.Or, [kind(this=atom(a), expression=atom(b)) for a, b in pairs])
    strict, last = _ORDER[kind]
    one, two = pairs[-1]
    result: exp.Expr = last(this=atom(one), expression=atom(two))
    for one, two in reversed(pairs[:-1]):
        before = strict(this=atom(one), expression=atom(two))
        equal = exp.EQ(this=atom(one.copy()), expression=atom(two.copy()))
        tied = exp.And(this=equal, expression=exp.Paren(this=result))
        result = exp.Or(this=before, expression=exp.Paren(this=tied))
    return result


def joined(kind: type[exp.Expr], items: list[exp.Expr]) -> exp.Expr:
    """Conditions connected by AND or OR."""
    result = items[0]
    for item in items[1:]:
        result = kind(this=result, expression=item)
    return result


def quantified_rows(
    translator: Translator, node: exp.Expr, query: exp.Expr, *, every: bool
) -> Value:
    """``(a, b) op ANY (SELECT c, d ...)`` and ALL; IN is ``= ANY``.

    Unknown where no row decides and one comparison is unknown.
    """
    pairs, source = _beside_query(translator, node.this, query)
    test = row_condition(type(node), pairs)
    unknown = exp.GT(
        this=exp.Count(this=exp.Star()), expression=call("count", exp.Paren(this=test.copy()))
    )
    found: exp.Expr = call("bool_and" if every else "bool_or", test)
    decided = exp.Not(this=found) if every else found
    choice = exp.Case(
        ifs=[
            exp.If(this=decided, true=exp.Boolean(this=not every)),
            exp.If(this=unknown, true=exp.Null()),
        ],
        default=exp.Boolean(this=every),
    )
    return Value(_select(choice, source), BOOL)


def row_is_in(translator: Translator, row: exp.Tuple, query: exp.Expr) -> Value:
    """``(a, b) IN (SELECT c, d ...)`` where unknown counts as false, as in WHERE.

    DuckDB joins by such a condition, where the three-valued one is worked out for each pair.
    """
    pairs, source = _beside_query(translator, row, query)
    found = exp.Select(
        expressions=[exp.Literal.number(1)],
        from_=exp.From(this=source),
        where=exp.Where(this=row_condition(exp.EQ, pairs)),
    )
    return Value(exp.Exists(this=found), BOOL)


def row_is_null(translator: Translator, node: exp.Expr) -> Value:
    """IS [NOT] NULL of a row: whether all its fields are [not]."""
    tests: list[exp.Expr] = []
    for item in node.this.expressions:
        test: exp.Expr = exp.Is(this=atom(translator.settled(item).node), expression=exp.Null())
        tests.append(exp.Not(this=test) if node.args.get("negate") else test)
    return Value(exp.Paren(this=joined(exp.And, tests)), BOOL)


def _beside_query(translator: Translator, row: exp.Expr, query: exp.Expr) -> tuple[Pairs, exp.Expr]:
    """The fields of a row beside the columns of a subquery, and the subquery as a table."""
    items = row.expressions if isinstance(row, exp.Tuple) else [row]
    kinds = translator.types.columns(query)
    if len(items) != len(kinds):
        few = "few" if len(kinds) < len(items) else "many"
        raise SemanticError("42601", f"subquery has too {few} columns", position=position(query))
    source, names = _table_of(query, len(kinds))
    pairs: Pairs = []
    for item, kind, name in zip(items, kinds, names, strict=True):
        common = operators.compared(translator.types.of(item), kind, item)
        place = exp.column(name, table=_ALIAS, quoted=True)
        pairs.append(beside_column(translator, item, place, kind, common))
    return pairs, source


def _table_of(query: exp.Expr, width: int) -> tuple[exp.Subquery, list[str]]:
    """A subquery as a table, and the names of its columns."""
    names = [f"c{number}" for number in range(1, width + 1)]
    alias = exp.TableAlias(
        this=exp.to_identifier(_ALIAS, quoted=True),
        columns=[exp.to_identifier(name, quoted=True) for name in names],
    )
    inner = query.this if isinstance(query, exp.Subquery) else query
    return exp.Subquery(this=inner.copy(), alias=alias), names


def column_of_query(query: exp.Expr, make: ColumnMaker) -> exp.Subquery:
    """A subquery of one column with what is made of that column in its place."""
    source, names = _table_of(query, 1)
    made = make(exp.column(names[0], table=_ALIAS, quoted=True))
    return exp.Subquery(this=exp.Select(expressions=[made], from_=exp.From(this=source)))


def _select(value: exp.Expr, source: exp.Expr) -> exp.Expr:
    return exp.Subquery(this=exp.Select(expressions=[value], from_=exp.From(this=source)))
