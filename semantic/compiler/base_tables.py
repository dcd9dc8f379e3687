"""Which cubes' tables a statement reads: each table's tree bears the name of its cube.

Names stay on the trees when they are copied and moved, so that the finished statement says what it
reads, whatever way a table came into it.
"""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.trees import copied

_CUBE = "cube"


def marked(tree: exp.Expr, cube: str) -> exp.Expr:
    """A copy of a cube's table, or of the query in its place, that bears the cube's name."""
    tree = copied(tree)
    # The tree may be that of another cube's SQL, which this one's consists of.
    tree.meta[_CUBE] = (*tree.meta.get(_CUBE, ()), cube)
    return tree


def cubes_in(tree: exp.Expr) -> tuple[str, ...]:
    """The cubes whose tables stand in a statement, each once, in the order of the text."""
    found: dict[str, None] = {}
    for node in tree.find_all(exp.Table, exp.Subquery):
        if node._meta:
            found.update(dict.fromkeys(node._meta.get(_CUBE, ())))
    return tuple(found)
