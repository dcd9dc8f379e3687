"""Where a node stands in the client's text."""

from __future__ import annotations

from sqlglot import exp


def position(node: exp.Expr | None) -> int | None:
    """The 1-based position of a node's first token that the parser has kept."""
    if node is None:
        return None
    own = node._meta.get("start") if node._meta else None
    if own is not None:
        return int(own) + 1
    for child in node.iter_expressions():
        found = position(child)
        if found is not None:
            return found
    return None
