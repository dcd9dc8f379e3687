"""Readers: from a node of the tree to a value, with every fault noted and none raised.

A reader returns None where it noted a problem, and None is what an absent key is, so that one fault
never hides the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from semantic.model.report import Problem, nearest
from semantic.model.template import (
    Reference,
    SecurityContextReference,
    SqlTemplate,
    TemplateError,
    parse_name,
    parse_template,
)
from semantic.model.tree import ListNode, MapNode, Node, ScalarNode, scalar_value
from semantic.model.values import (
    STANDARD_UNITS,
    FrozenMap,
    FrozenValue,
    Interval,
    Location,
    Scalar,
)

T = TypeVar("T")
Reader = Callable[["Reading", Node], T | None]

MAX_NAME_BYTES = 63
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_INTERVAL = re.compile(r"\s*([-+]?\d{1,9})\s+([A-Za-z_][A-Za-z0-9_]*)\s*")
# Names that mean something else inside braces.
RESERVED_NAMES = frozenset(
    {"CUBE", "FILTER_PARAMS", "FILTER_GROUP", "SECURITY_CONTEXT", "SQL_UTILS", "COMPILE_CONTEXT"}
)


class Reading:
    """The problems found so far, and the readers of plain values."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        # Places of members that are known to be wrong: checks that would only repeat it skip them.
        self.broken: set[Location] = set()
        # How many of the problems belong to a member inside another, which does not break that one.
        self.claimed = 0
        # Cubes and views that lack members because a parent is missing: what is not found in them
        # may well exist.
        self.incomplete: set[str] = set()

    def problem(
        self,
        place: Node | Location,
        code: str,
        message: str,
        suggestion: str | None = None,
    ) -> None:
        """Note a fault."""
        location = place.location if isinstance(place, Node) else place
        self.problems.append(Problem(location, code, message, suggestion))

    def mapping(
        self,
        node: Node,
        what: str,
        keys: Mapping[str, Reader[Any]],
        required: Iterable[str] = (),
    ) -> dict[str, Any] | None:
        """A mapping with known keys; absent, null and faulty ones are not in the result."""
        if not isinstance(node, MapNode):
            self.problem(node, "type", f"{what} must be a mapping")
            return None
        values: dict[str, Any] = {}
        for written, (key, value) in node.entries.items():
            name = written if written in keys else snake_case(written)
            reader = keys.get(name)
            if reader is None:
                message = f'unknown key "{written}" in {what}'
                self.problem(key, "unknown-key", message, nearest(name, keys))
                continue
            if name in values:
                self.problem(key, "duplicate-key", f'key "{name}" is given twice')
                continue
            if isinstance(value, ScalarNode) and value.is_null:
                continue
            found = reader(self, value)
            if found is not None:
                values[name] = found
        given = {
            snake_case(key) for key, (_, value) in node.entries.items() if not is_absent(value)
        }
        for name in required:
            if name not in given:
                self.problem(node, "missing-key", f'{what} has no "{name}"')
        return values


def snake_case(name: str) -> str:
    """``timeDimension`` as ``time_dimension``: older projects write keys so."""
    return name if name.islower() else _CAPITAL.sub(r"_\1", name).lower()


def is_absent(node: Node | None) -> bool:
    """Whether a key is missing or null."""
    return node is None or (isinstance(node, ScalarNode) and node.is_null)


def text(reading: Reading, node: Node) -> str | None:
    """Text; plain numbers and words are taken as they are written."""
    if isinstance(node, ScalarNode):
        return node.text
    reading.problem(node, "type", "must be text")
    return None


def name(reading: Reading, node: Node) -> str | None:
    """An identifier of at most 63 bytes."""
    found = text(reading, node)
    if found is None:
        return None
    if not _NAME.fullmatch(found):
        message = f'"{found}" is not a name: letters, digits and _, not starting with a digit'
        reading.problem(node, "name", message)
        return None
    if len(found) > MAX_NAME_BYTES:
        message = f'name "{found}" is longer than PostgreSQL\'s {MAX_NAME_BYTES} bytes'
        reading.problem(node, "name", message)
    if found in RESERVED_NAMES:
        reading.problem(node, "name", f'"{found}" is a reserved name')
    return found


def boolean(reading: Reading, node: Node) -> bool | None:
    """``true`` or ``false``."""
    found = scalar_value(node) if isinstance(node, ScalarNode) else None
    if isinstance(found, bool):
        return found
    reading.problem(node, "type", f"must be true or false{_instead(node)}")
    return None


def fraction(reading: Reading, node: Node) -> float | None:
    """A number from 0 to 1."""
    found = scalar_value(node) if isinstance(node, ScalarNode) else None
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found <= 1:
        return float(found)
    reading.problem(node, "type", f"must be a number from 0 to 1{_instead(node)}")
    return None


def scalar(reading: Reading, node: Node) -> tuple[Scalar] | None:
    """A literal, in a tuple since it may be null."""
    if isinstance(node, ScalarNode):
        return (scalar_value(node),)
    reading.problem(node, "type", "must be a single value")
    return None


def frozen(reading: Reading, node: Node) -> FrozenValue:
    """Any data."""
    if isinstance(node, ScalarNode):
        return scalar_value(node)
    if isinstance(node, ListNode):
        return tuple(frozen(reading, item) for item in node.items)
    assert isinstance(node, MapNode)
    return FrozenMap(tuple((key, frozen(reading, item)) for key, (_, item) in node.entries.items()))


def frozen_map(reading: Reading, node: Node) -> FrozenMap | None:
    """A mapping of any data."""
    if isinstance(node, MapNode):
        found = frozen(reading, node)
        return found if isinstance(found, FrozenMap) else None
    reading.problem(node, "type", f"must be a mapping{_instead(node)}")
    return None


def choice(*known: str) -> Reader[str]:
    """One of a few words."""

    def read(reading: Reading, node: Node) -> str | None:
        found = text(reading, node)
        if found is None or found in known:
            return found
        if snake_case(found) in known:
            return snake_case(found)
        message = f'"{found}" is not one of {", ".join(known)}'
        reading.problem(node, "choice", message, nearest(found, known))
        return None

    return read


def constant(value: str, meaning: T) -> Reader[T]:
    """A word that stands for a value; anything else is None without a problem."""

    def read(_: Reading, node: Node) -> T | None:
        return meaning if isinstance(node, ScalarNode) and node.text == value else None

    return read


def either(first: Reader[T], second: Reader[T]) -> Reader[T]:
    """The first reader that yields a value; only the last may note problems."""

    def read(reading: Reading, node: Node) -> T | None:
        found = first(reading, node)
        return second(reading, node) if found is None else found

    return read


def listing(reader: Reader[T], what: str) -> Reader[tuple[T, ...]]:
    """A list."""

    def read(reading: Reading, node: Node) -> tuple[T, ...] | None:
        if not isinstance(node, ListNode):
            reading.problem(node, "type", f"{what} must be a list")
            return None
        found = (reader(reading, item) for item in node.items)
        return tuple(item for item in found if item is not None)

    return read


def one_or_many(reader: Reader[T], what: str) -> Reader[tuple[T, ...]]:
    """A list, or a single value that stands for a list of one."""
    many = listing(reader, what)

    def read(reading: Reading, node: Node) -> tuple[T, ...] | None:
        if isinstance(node, ListNode):
            return many(reading, node)
        found = reader(reading, node)
        return None if found is None else (found,)

    return read


def template(reading: Reading, node: Node) -> SqlTemplate | None:
    """SQL with references."""
    found = text(reading, node)
    if found is None:
        return None
    assert isinstance(node, ScalarNode)
    if not found.strip():
        reading.problem(node, "template-sql", "SQL is empty")
        return None
    try:
        return parse_template(found, node.location, node.place)
    except TemplateError as error:
        reading.problem(node.place(error.position), "template-sql", error.message)
        return None


# What a caller's attributes are called where only they can be meant (policies).
_CALLER = frozenset({"user", "userAttributes", "user_attributes", "user_context"})


def caller_template(reading: Reading, node: Node) -> SqlTemplate | None:
    """SQL or a value over the caller's attributes, as in policies: ``{ user.attr }``."""
    found = template(reading, node)
    if found is None:
        return None
    parts = tuple(
        SecurityContextReference(part.path[1:], position=part.position)
        if isinstance(part, Reference) and part.path[0] in _CALLER and len(part.path) > 1
        else part
        for part in found.parts
    )
    return SqlTemplate(found.text, parts, found.location)


def reference(reading: Reading, node: Node) -> Reference | None:
    """A dotted name."""
    found = text(reading, node)
    if found is None:
        return None
    try:
        return parse_name(found, node.location)
    except TemplateError as error:
        reading.problem(node, "name", error.message)
        return None


def interval(reading: Reading, node: Node) -> Interval | None:
    """``N unit``, possibly several. Whether a unit exists is checked where units are known."""
    found = text(reading, node)
    if found is None:
        return None
    parts: list[tuple[int, str]] = []
    start = 0
    while part := _INTERVAL.match(found, start):
        unit = part.group(2)
        singular = unit.lower().removesuffix("s")
        parts.append((int(part.group(1)), singular if singular in STANDARD_UNITS else unit))
        start = part.end()
    if not parts or start != len(found):
        reading.problem(node, "interval", f'"{found}" is not an interval such as "1 month"')
        return None
    return Interval(tuple(parts))


def _instead(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return f', not "{node.text}"' if len(node.text) <= 40 else ""
    return ", not a list" if isinstance(node, ListNode) else ", not a mapping"
