"""``extends``: the members of a parent are merged into the child before either is read.

Merging works on the tree, so that every inherited value keeps its place in the parent's file. A
child's member replaces the parent's of the same name; other keys of the child win; a child without
an access policy has its parent's. Tests are not inherited: they name the parent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from semantic.model.reading import Reading, is_absent, snake_case
from semantic.model.report import nearest
from semantic.model.tree import ListNode, MapNode, Node, ScalarNode

# Lists whose items are told apart by name.
_NAMED = frozenset(
    {
        "joins",
        "dimensions",
        "measures",
        "segments",
        "hierarchies",
        "pre_aggregations",
        "conformed",
        "folders",
    }
)
_APPENDED = frozenset({"cubes", "default_filters"})
_OWN = frozenset({"name", "extends", "tests"})


def plain_keys(node: MapNode, known: Collection[str]) -> MapNode:
    """The node with its keys spelt as the known ones are: ``accessPolicy`` is ``access_policy``.

    A key that is there in both spellings keeps them, to be reported where it is read.
    """
    if all(key in known for key in node.entries):
        return node
    entries: dict[str, tuple[ScalarNode, Node]] = {}
    for key, entry in node.entries.items():
        plain = snake_case(key)
        entries[plain if plain in known and plain not in node.entries else key] = entry
    return MapNode(node.source, node.line, node.column, entries)


def resolve_extends(
    reading: Reading, nodes: Mapping[str, MapNode], what: str
) -> dict[str, MapNode]:
    """Each cube (or view) with everything that it inherits, in the order given."""
    done: dict[str, MapNode] = {}
    for name in nodes:
        chain: list[str] = []
        current: str | None = name
        while current is not None and current not in done:
            if current in chain:
                cycle = " -> ".join([*chain[chain.index(current) :], current])
                place = nodes[chain[-1]].entries["extends"][1]
                reading.problem(place, "cycle", f"{what}s extend each other: {cycle}")
                reading.incomplete.update(chain)
                break
            chain.append(current)
            current = _parent(reading, nodes, current, what)
        for item in reversed(chain):
            parent = _parent_name(nodes[item])
            inherited = done.get(parent) if parent is not None else None
            if parent in reading.incomplete:
                reading.incomplete.add(item)
            done[item] = nodes[item] if inherited is None else merge(inherited, nodes[item])
    return {name: done[name] for name in nodes}


def merge(parent: MapNode, child: MapNode) -> MapNode:
    """The child with what it inherits."""
    entries = {key: entry for key, entry in parent.entries.items() if key not in _OWN}
    for key, (label, value) in child.entries.items():
        above = entries.get(key)
        if above is None or is_absent(above[1]):
            entries[key] = (label, value)
        elif not (isinstance(value, ListNode) and isinstance(above[1], ListNode)):
            if not is_absent(value):
                entries[key] = (label, value)
        elif key in _NAMED:
            entries[key] = (label, _merge_named(above[1], value))
        elif key in _APPENDED:
            items = [*above[1].items, *value.items]
            entries[key] = (label, ListNode(value.source, value.line, value.column, items))
        else:
            entries[key] = (label, value)
    return MapNode(child.source, child.line, child.column, entries)


def _merge_named(parent: ListNode, child: ListNode) -> ListNode:
    own = {_key(item): item for item in child.items}
    items = [own.pop(_key(item), item) if _key(item) else item for item in parent.items]
    kept = {id(item) for item in items}
    items.extend(item for item in child.items if id(item) not in kept)
    return ListNode(child.source, child.line, child.column, items)


def _key(node: Node) -> str | None:
    """What tells an item from its neighbours: the alias of a join, else the name."""
    if isinstance(node, MapNode):
        for key in ("alias", "name"):
            found = node.get(key)
            if isinstance(found, ScalarNode):
                return found.text
    return None


def _parent_name(node: MapNode) -> str | None:
    found = node.get("extends")
    if not isinstance(found, ScalarNode) or found.is_null:
        return None
    return found.text.strip("{} ")


def _parent(reading: Reading, nodes: Mapping[str, MapNode], name: str, what: str) -> str | None:
    parent = _parent_name(nodes[name])
    if parent is None or parent in nodes:
        return parent
    place = nodes[name].entries["extends"][1]
    message = f'"{name}" extends unknown {what} "{parent}"'
    reading.problem(place, "unknown-cube", message, nearest(parent, nodes))
    reading.incomplete.add(name)
    return None
