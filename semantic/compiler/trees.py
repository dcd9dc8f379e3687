"""Small tools over sqlglot trees, which are never changed in place once they are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlglot import exp

Replace = Callable[[exp.Expr], "exp.Expr | None"]


def rebuild(node: exp.Expr, replace: Replace) -> exp.Expr:
    """Copy a tree; where ``replace`` answers with a node, that node stands instead (not copied)."""
    replacement = replace(node)
    if replacement is not None:
        return replacement
    arguments: dict[str, object] = {}
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            arguments[key] = rebuild(value, replace)
        elif isinstance(value, list):
            arguments[key] = [
                rebuild(item, replace) if isinstance(item, exp.Expr) else item for item in value
            ]
        else:
            arguments[key] = value
    copy = node.__class__(**arguments)
    if node._meta:
        copy._meta = node._meta
    return copy


def copied(node: exp.Expr) -> exp.Expr:
    """A copy of a tree, for a place of its own in another tree."""
    return rebuild(node, _keep)


def _keep(node: exp.Expr) -> exp.Expr | None:
    return None


def column(table: str, name: str) -> exp.Column:
    """``table.name`` with both names quoted."""
    return exp.Column(this=identifier(name), table=identifier(table))


def identifier(name: str) -> exp.Identifier:
    """A quoted identifier."""
    return exp.Identifier(this=name, quoted=True)


def table_of(node: exp.Column) -> str:
    """The table part of a bound column."""
    table = node.args.get("table")
    return table.this if isinstance(table, exp.Identifier) else ""


def is_column_of(node: exp.Expr, table: str) -> bool:
    """Whether a node is a column of that table."""
    return isinstance(node, exp.Column) and table_of(node) == table


def chained(node: exp.Expr) -> list[exp.Expr]:
    """What a chain of one operator connects, in order. A long one is no deep recursion."""
    operands: list[exp.Expr] = []
    pending = [node]
    while pending:
        item = pending.pop()
        if type(item) is type(node):
            pending.extend((item.expression, item.this))
        else:
            operands.append(item)
    return operands


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """The conditions that AND connects."""
    if node is None:
        return []
    if isinstance(node, exp.Paren):
        return conjuncts(node.this)
    if isinstance(node, exp.And):
        return [*conjuncts(node.this), *conjuncts(node.expression)]
    return [node]


def all_of(conditions: list[exp.Expr]) -> exp.Expr | None:
    """Connect conditions by AND; None for none."""
    result: exp.Expr | None = None
    for condition in conditions:
        wrapped = exp.Paren(this=condition) if isinstance(condition, exp.Or) else condition
        result = wrapped if result is None else exp.And(this=result, expression=wrapped)
    return result


def enclose(node: exp.Expr) -> exp.Expr:
    """A node in parentheses unless it is an atom."""
    if isinstance(node, exp.Binary):
        # Some operators (AND, ->, ~) count as functions too.
        return exp.Paren(this=node)
    return node if isinstance(node, _ATOMS) else exp.Paren(this=node)


_ATOMS = (
    exp.Column,
    exp.Literal,
    exp.Paren,
    exp.Func,
    exp.Boolean,
    exp.Null,
    exp.Subquery,
    exp.Filter,
    exp.WithinGroup,
)


def enclose_negations(tree: exp.Expr) -> None:
    """Put parentheses around each negation that would be written otherwise than it is meant.

    ``a NOT IN (b) >= c`` would have its NOT in front of all, and ``~ - a`` one operator ``~-``.
    """
    for node in list(tree.find_all(exp.Not, exp.Neg, exp.BitwiseNot)):
        around = node.parent
        if isinstance(node, exp.Not):
            is_misread = isinstance(around, exp.Binary) and not isinstance(around, exp.Connector)
        else:
            is_misread = isinstance(around, exp.BitwiseNot)
        if is_misread:
            kept = exp.Paren()
            node.replace(kept)
            kept.set("this", node)


def grouping_keys(elements: Iterable[exp.Expr]) -> Iterator[exp.Expr]:
    """The single keys in the elements of GROUP BY."""
    for node in elements:
        if isinstance(node, exp.GroupingSets | exp.Rollup | exp.Cube | exp.Tuple):
            yield from grouping_keys(node.expressions)
        elif isinstance(node, exp.Paren):
            yield from grouping_keys((node.this,))
        else:
            yield node
