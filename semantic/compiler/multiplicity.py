"""Whether a join may repeat the rows that a measure is aggregated over (rule J2)."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.resolve import Resolver
from semantic.compiler.scope import Source, VisibleColumn
from semantic.compiler.sources import FromClause, Joined, joins_of, leaves
from semantic.compiler.trees import conjuncts

_EQUALITIES = (exp.EQ, exp.NullSafeEQ)


def row_multiplied_by(
    source: Source, from_clause: FromClause, where: exp.Expr | None, resolver: Resolver
) -> Source | None:
    """A source that may match a row of ``source`` more than once; None if there is none.

    Another source matches at most once where equalities with sources that are already known to
    match at most once (or with constants) cover one of its unique keys.
    """
    tree = from_clause.tree
    if tree is None:
        return None
    pending = [other for other in leaves(tree) if other is not source]
    equal = [pair for item in conjuncts(where) for pair in _equalities(item, resolver)]
    for join in joins_of(tree):
        equal += _guaranteed(join, source, resolver)
    known: list[Source] = [source]
    progress = True
    while pending and progress:
        progress = False
        for other in list(pending):
            if _at_most_once(other, known, equal, pending):
                pending.remove(other)
                known.append(other)
                progress = True
    return pending[0] if pending else None


Equality = tuple[VisibleColumn, list[VisibleColumn]]


def _at_most_once(
    other: Source, known: list[Source], equal: list[Equality], pending: list[Source]
) -> bool:
    fixed: set[int] = set()
    for visible, depends in equal:
        if visible.source is other and not any(
            item.source is unknown for item in depends for unknown in pending
        ):
            fixed.add(visible.index)
    return any(key <= fixed for key in other.unique_keys())


def _guaranteed(join: Joined, source: Source, resolver: Resolver) -> list[Equality]:
    """The equalities of a join's condition that hold in every row that has a row of ``source``.

    Where the condition fails, an outer join fills one side with NULLs. So it holds if ``source`` is
    on a side that can be filled; if not, the filled side is there once, and only equalities for
    that side say something.
    """
    found = [pair for item in conjuncts(join.on) for pair in _equalities(item, resolver)]
    for merged in join.using:
        found += [(merged.left, [merged.right]), (merged.right, [merged.left])]
    left, right = leaves(join.left), leaves(join.right)
    in_left = any(source is item for item in left)
    in_right = any(source is item for item in right)
    if join.kind in {"INNER", "CROSS"}:
        return found
    if join.kind == "FULL":
        filled = right if in_left else left if in_right else []
    elif (join.kind == "LEFT" and in_right) or (join.kind == "RIGHT" and in_left):
        return found
    else:
        filled = right if join.kind == "LEFT" else left
    return [pair for pair in found if any(pair[0].source is item for item in filled)]


def _equalities(node: exp.Expr, resolver: Resolver) -> list[Equality]:
    """``column = expression`` as the column and the columns of the expression, either way round."""
    node = _null_safe(node)
    if not isinstance(node, _EQUALITIES):
        return []
    found: list[Equality] = []
    for this, that in ((node.this, node.expression), (node.expression, node.this)):
        visible = resolver.columns.get(id(this))
        if visible is None or that.find(exp.Query) is not None:
            continue
        depends = [
            column
            for child in that.walk()
            if (column := resolver.columns.get(id(child))) is not None
        ]
        found.append((visible, depends))
    return found


def _null_safe(node: exp.Expr) -> exp.Expr:
    """The equality inside ``a = b OR (a IS NULL AND b IS NULL)``, as some tools write it."""
    if not isinstance(node, exp.Or):
        return node
    sides = [_bare(node.this), _bare(node.expression)]
    equal = next((side for side in sides if isinstance(side, exp.EQ)), None)
    nulls = next((side for side in sides if isinstance(side, exp.And)), None)
    if equal is None or nulls is None:
        return node
    tested = [_tested(nulls.this), _tested(nulls.expression)]
    compared = [_bare(equal.this), _bare(equal.expression)]
    return equal if tested in (compared, compared[::-1]) else node


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _tested(node: exp.Expr) -> exp.Expr | None:
    """What an ``IS NULL`` is about."""
    node = _bare(node)
    if not isinstance(node, exp.Is) or node.args.get("negate"):
        return None
    return _bare(node.this) if isinstance(node.expression, exp.Null) else None


def linked(join: Joined, where: exp.Expr | None, resolver: Resolver) -> bool:
    """Whether WHERE equates a column of one side of a product with one of the other."""
    left, right = leaves(join.left), leaves(join.right)
    for node in conjuncts(where):
        for visible, depends in _equalities(node, resolver):
            if any(visible.source is s for s in left) and any(
                column.source is s for column in depends for s in right
            ):
                return True
    return False
