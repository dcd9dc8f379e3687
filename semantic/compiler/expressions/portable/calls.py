"""Functions, aggregates and window functions by their signatures."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.configured import configured_function
from semantic.compiler.expressions.fields import find_field
from semantic.compiler.expressions.inference import plain_arguments
from semantic.compiler.expressions.portable.build import atom, case, sql
from semantic.compiler.expressions.portable.conditions import check_comparable
from semantic.compiler.expressions.portable.constants import numeric_spelling, text_constant
from semantic.compiler.expressions.portable.translator import NodeRule, Translator
from semantic.compiler.expressions.portable.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import (
    CALL_NODES,
    SESSION_NODES,
    Call,
    call_of,
    session_value,
)
from semantic.compiler.expressions.types import is_quotient
from semantic.model.types import NUMERIC, TEXT, PostgresType

_FIELDED = frozenset(("date_part", "date_trunc", "extract"))
_COMPARING = frozenset(("max", "min"))
_RANKS = frozenset(("row_number", "rank", "dense_rank"))
_FRAMELESS = frozenset(("row_number", "rank", "dense_rank", "lag", "lead"))
"""What says the same whatever the window's frame, and may not have one in some warehouses."""


def called(translator: Translator, node: exp.Expr) -> Value:
    """A call of a function or an aggregate."""
    call = call_of(node)
    if call is None or configured_function(node) is not None:
        raise translator.unsupported("this function")
    resolved = translator.types.call(call)
    if resolved.signature.kind == "aggregate":
        return _aggregate(translator, call, resolved, None, "")
    if resolved.signature.kind != "scalar":
        raise translator.unsupported(f"the function {call.name}")
    return _function(translator, call, resolved)


def _function(translator: Translator, call: Call, resolved: Resolved) -> Value:
    names = [kind.name for kind in resolved.arguments]
    nodes, kinds = list(call.arguments), list(resolved.arguments)
    if call.name in _FIELDED:
        field = find_field(nodes[0].this) if isinstance(nodes[0], exp.Literal) else None
        if field is None:
            raise translator.unsupported(f"{call.name} of this field")
        names[0] = f"'{field}'"
        nodes, kinds = nodes[1:], kinds[1:]
    key = f"{call.name}({', '.join(names)})"
    template = translator.find(key)
    if template is None or is_quotient(resolved.result):
        raise translator.unsupported(f"the function {key}")
    values = [translator.typed(item, kind) for item, kind in zip(nodes, kinds, strict=True)]
    node = translator.filled(template, [value.node for value in values])
    if resolved.result.name == "numeric":
        # Fields of dates, the only numerics here, are whole numbers.
        return Value(node, NUMERIC, (10, 0))
    return Value(node, resolved.result)


def filtered(translator: Translator, node: exp.Expr) -> Value:
    """FILTER (WHERE ...), which every aggregate has as a CASE in its argument."""
    condition = translator.condition(node.expression.this)
    return _within(translator, node.this, condition, "")


def windowed(translator: Translator, node: exp.Expr) -> Value:
    """OVER (...), OVER name, or the definition of a window that is named."""
    assert isinstance(node, exp.Window)
    named = node.this is None or isinstance(node.this, exp.Identifier) or node.args.get("alias")
    if named and not translator.tables.features.named_windows:
        raise translator.unsupported("the WINDOW clause")
    window = exp.Window(
        partition_by=[_key(translator, item) for item in node.args.get("partition_by") or []],
        alias=node.args["alias"].copy() if node.args.get("alias") else None,
        over=node.args.get("over"),
        order=_order(translator, node.args.get("order")),
        spec=_frame(translator, node.args.get("spec")),
    )
    if node.this is None or isinstance(node.this, exp.Identifier):
        window.set("this", node.this.copy() if node.this is not None else None)
        return Value(window, TEXT)
    inner, condition = node.this, None
    if isinstance(inner, exp.Filter):
        condition = translator.condition(inner.expression.this)
        inner = inner.this
    value = _within(translator, inner, condition, " over")
    made = value.node.this if isinstance(value.node, exp.Paren) else value.node
    window.set("this", made)
    name = getattr(call_of(inner), "name", "")
    if name in _FRAMELESS:
        window.set("spec", None)
    ordered = window.args.get("order") is not None
    if name in _RANKS and not ordered and not translator.tables.features.unordered_ranks:
        # All rows are peers then, as they are where there is no order.
        window.set("order", exp.Order(expressions=[exp.Ordered(this=exp.Null())]))
    return Value(exp.Paren(this=window), value.type, value.size)


def _within(
    translator: Translator, node: exp.Expr, condition: exp.Expr | None, suffix: str
) -> Value:
    call = call_of(node)
    if call is None or configured_function(call.node) is not None:
        raise translator.unsupported("this function with OVER or FILTER")
    resolved = translator.types.call(call)
    if resolved.signature.kind not in ("aggregate", "window"):
        raise translator.unsupported(f"{call.name} with OVER or FILTER")
    return _aggregate(translator, call, resolved, condition, suffix)


def _aggregate(
    translator: Translator,
    call: Call,
    resolved: Resolved,
    condition: exp.Expr | None,
    suffix: str,
) -> Value:
    distinct = any(isinstance(item, exp.Distinct) for item in call.arguments)
    if any(isinstance(item, exp.Order) for item in call.arguments):
        raise translator.unsupported(f"{call.name} with ORDER BY")
    nodes = plain_arguments(call)
    values = [
        translator.typed(item, kind) for item, kind in zip(nodes, resolved.arguments, strict=True)
    ]
    key = _signature(call, values, distinct=distinct) + suffix
    template = translator.tables.templates.get(key)
    if template is None or is_quotient(resolved.result):
        raise translator.unsupported(f"the aggregate {key}")
    if not translator.tables.features.aggregated_queries and any(
        value.node.find(exp.Query) for value in values
    ):
        raise translator.unsupported(f"{call.name} of a subquery")
    if distinct and call.name not in _COMPARING:
        check_comparable(translator, values[0].type)
    items = [value.node for value in values]
    if condition is not None and resolved.signature.kind == "aggregate":
        if not items:
            template = translator.tables.templates[f"count(any){suffix}"]
        items[:1] = [case(condition, items[0] if items else exp.Literal.number(1))]
    if resolved.result.name != "numeric":
        node = translator.filled(template, items)
        return Value(node, PostgresType(resolved.result.name))
    if call.name in _COMPARING:
        first = values[0]
        node = translator.filled(template, items)
        return Value(node, first.type, first.size)
    return _total(translator, template, items, values[0])


def _signature(call: Call, values: list[Value], *, distinct: bool) -> str:
    if call.name == "count" and not values:
        return "count(*)"
    names = ["any" if call.name == "count" and not distinct else v.type.name for v in values]
    # The greatest of different values is the greatest of all.
    is_distinct = distinct and call.name not in _COMPARING
    return f"{call.name}({'distinct ' if is_distinct else ''}{', '.join(names)})"


def _total(translator: Translator, template: str, items: list[exp.Expr], first: Value) -> Value:
    """A sum, which has all the digits that there are."""
    scale = 0
    if first.type.name == "numeric":
        if first.size is None:
            raise translator.unsupported("a sum of numerics whose digits are not known")
        scale = first.size[1]
    digits = translator.tables.digits
    spelled = numeric_spelling(translator.tables, digits, scale)
    return Value(sql(template, *items, spelled=spelled), NUMERIC, (digits, scale))


def _key(translator: Translator, node: exp.Expr) -> exp.Expr:
    value = translator.settled(node)
    check_comparable(translator, value.type)
    return value.node


def _order(translator: Translator, order: exp.Expr | None) -> exp.Order | None:
    if order is None:
        return None
    keys = []
    for item in order.expressions:
        key, descending = _key(translator, item.this), bool(item.args.get("desc"))
        nulls_first = bool(item.args.get("nulls_first"))
        if not translator.tables.features.nulls_order and nulls_first is descending:
            test = exp.Paren(this=exp.Is(this=atom(key.copy()), expression=exp.Null()))
            keys.append(exp.Ordered(this=test, desc=nulls_first, nulls_first=not nulls_first))
            nulls_first = not nulls_first
        keys.append(exp.Ordered(this=key, desc=descending, nulls_first=nulls_first))
    return exp.Order(expressions=keys)


def _frame(translator: Translator, spec: exp.Expr | None) -> exp.Expr | None:
    """A frame of rows between fixed places; others are counted by values, whose types matter."""
    if spec is None:
        return None
    plain = all(
        not isinstance(item, exp.Expr) or isinstance(item, exp.Literal | exp.Var)
        for item in spec.args.values()
    )
    if spec.args.get("kind") != "ROWS" or not plain or spec.args.get("exclude"):
        raise translator.unsupported("this frame of a window")
    return spec.copy()


def grouping(translator: Translator, node: exp.Expr) -> Value:
    """GROUPING of grouping keys."""
    if not translator.tables.features.grouping_sets:
        raise translator.unsupported("GROUPING")
    keys = [translator.settled(item).node for item in node.expressions]
    return Value(exp.Grouping(expressions=keys), PostgresType("int4"))


def session(translator: Translator, node: exp.Expr) -> Value:
    """current_user and its like."""
    text = text_constant(translator.tables, session_value(node, translator.settings))
    return Value(text, translator.types.of(node))


CALLS: dict[type[exp.Expr], NodeRule] = {
    **dict.fromkeys(CALL_NODES, called),
    exp.Filter: filtered,
    exp.Window: windowed,
    exp.Grouping: grouping,
    **dict.fromkeys(SESSION_NODES, session),
}
