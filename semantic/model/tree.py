"""YAML with its marks: events from the parser become a tree whose every node knows its place.

Scalars keep their text; which type it must have is for the reader of the key to say, so that
``title: 2013`` is a title and ``public: 2013`` is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from semantic.model.report import Problem
from semantic.model.templating import Source
from semantic.model.values import Location

# Aliases may multiply a small file without end; a model of 1,000 cubes has about a million nodes.
MAX_WEIGHT = 5_000_000
MAX_DEPTH = 100

# PyYAML's stubs let marks be absent, which those of parsed events never are.
_Event = Any
_Mark = Any

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Node:
    """One value in a file."""

    # Numbers rather than PyYAML's marks: a large model has a million nodes.
    __slots__ = ("column", "line", "source", "weight")

    def __init__(self, source: Source, line: int, column: int) -> None:
        self.source = source
        self.line = line
        self.column = column
        self.weight = 1

    @property
    def location(self) -> Location:
        """Where the value starts."""
        return self.source.location(self.line, self.column)


class ScalarNode(Node):
    """A scalar. ``plain`` has neither quotes nor a block indicator, so it may be no string."""

    __slots__ = ("end", "plain", "single", "start", "text")

    def __init__(self, source: Source, event: _Event) -> None:
        start: _Mark = event.start_mark
        end: _Mark = event.end_mark
        super().__init__(source, start.line, start.column)
        self.text: str = event.value
        self.plain: bool = not event.style
        self.single: bool = start.line == end.line
        self.start: int = start.index
        self.end: int = end.index

    @property
    def is_null(self) -> bool:
        """Whether this is YAML's null."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}

    def place(self, position: int) -> Location:
        """Where the character at an offset of ``text`` stands in the file, whatever the quoting."""
        if self.plain and self.single:
            return self.source.location(self.line, self.column + position)
        found = self.text[position : position + 1]
        if found in {"$", "\\"}:
            position += 1
            found = self.text[position : position + 1]
        written = self.source.text[self.start : self.end]
        # Quoting adds characters and folds white space; braces it never touches.
        before = found * self.text.count(found, 0, position)
        if found not in {"{", "}"}:
            before = "".join(self.text[:position].split())
        offset = -1
        for character in before + found:
            offset = written.find(character, offset + 1)
            if offset < 0:
                return self.location
        line = written.count("\n", 0, offset)
        if not line:
            return self.source.location(self.line, self.column + offset)
        column = offset - written.rfind("\n", 0, offset) - 1
        return self.source.location(self.line + line, column)


class ListNode(Node):
    """A sequence."""

    __slots__ = ("items",)

    def __init__(self, source: Source, line: int, column: int, items: list[Node]) -> None:
        super().__init__(source, line, column)
        self.items = items
        self.weight += sum(item.weight for item in items)


class MapNode(Node):
    """A mapping with string keys, in order."""

    __slots__ = ("entries",)

    def __init__(
        self,
        source: Source,
        line: int,
        column: int,
        entries: dict[str, tuple[ScalarNode, Node]],
    ) -> None:
        super().__init__(source, line, column)
        self.entries = entries
        self.weight += sum(value.weight for _, value in entries.values()) + len(entries)

    def get(self, key: str) -> Node | None:
        """The value of a key."""
        found = self.entries.get(key)
        return found[1] if found else None


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    event: _Event
    items: list[Node]


def parse_yaml(source: Source) -> tuple[list[Node], list[Problem]]:
    """The documents of a file, and what is wrong with its YAML."""
    builder = _Builder(source)
    try:
        builder.run(yaml.parse(source.text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        text = error.problem or error.context or "syntax error"
        builder.report(source.location(line, column), "yaml", f"YAML: {text}")
    except yaml.reader.ReaderError as error:
        before = source.text[: error.position]
        line = before.count("\n")
        column = len(before) - before.rfind("\n") - 1
        builder.report(source.location(line, column), "yaml", f"YAML: {error.reason}")
    except UnicodeEncodeError:
        builder.report(source.location(0, 0), "yaml", "YAML: text is not valid Unicode")
    return builder.documents, builder.problems


class _Builder:
    """Builds the tree from events, without recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.documents: list[Node] = []
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[_Open] = []

    def report(self, location: Location, code: str, message: str) -> None:
        self.problems.append(Problem(location, code, message))

    def run(self, events: Iterator[_Event]) -> None:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                node: Node = ScalarNode(self.source, event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self.open.append(_Open(event, []))
                if len(self.open) > MAX_DEPTH:
                    self._stop(event, "nested too deeply")
                    return
                continue
            elif isinstance(event, yaml.CollectionEndEvent):
                node = self._close(self.open.pop())
                if node.weight > MAX_WEIGHT:
                    self._stop(event, "too large once its aliases are expanded")
                    return
            elif isinstance(event, yaml.AliasEvent):
                node = self._alias(event)
                if node.weight > MAX_WEIGHT:
                    self._stop(event, "too large once its aliases are expanded")
                    return
            elif isinstance(event, yaml.DocumentStartEvent):
                self.anchors.clear()
                continue
            else:
                continue
            self._add(node, event)

    def _stop(self, event: _Event, message: str) -> None:
        place = self.source.location(event.start_mark.line, event.start_mark.column)
        self.report(place, "yaml", f"YAML: {message}")

    def _add(self, node: Node, event: _Event) -> None:
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.ScalarEvent) and anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].items.append(node)
        else:
            self.documents.append(node)

    def _alias(self, event: _Event) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            self._stop(event, f"alias *{event.anchor} has no anchor before it")
            return ScalarNode(
                self.source,
                yaml.ScalarEvent(None, None, (True, False), "", event.start_mark, event.end_mark),
            )
        return found

    def _close(self, collection: _Open) -> Node:
        start = collection.event.start_mark
        node: Node
        if isinstance(collection.event, yaml.SequenceStartEvent):
            node = ListNode(self.source, start.line, start.column, collection.items)
        else:
            node = MapNode(self.source, start.line, start.column, self._entries(collection.items))
        if collection.event.anchor:
            self.anchors[collection.event.anchor] = node
        return node

    def _entries(self, items: list[Node]) -> dict[str, tuple[ScalarNode, Node]]:
        entries: dict[str, tuple[ScalarNode, Node]] = {}
        merged: list[Node] = []
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, ScalarNode):
                self.report(key.location, "yaml", "YAML: a key is a plain name")
            elif key.plain and key.text == "<<":
                merged.append(value)
            elif key.text in entries:
                first = entries[key.text][0].location
                message = f'key "{key.text}" is given twice (first in line {first.line})'
                self.report(key.location, "duplicate-key", message)
            else:
                entries[key.text] = (key, value)
        for node in merged:
            for item in node.items if isinstance(node, ListNode) else [node]:
                if isinstance(item, MapNode):
                    for name, entry in item.entries.items():
                        entries.setdefault(name, entry)
                else:
                    self.report(item.location, "yaml", "YAML: << takes a mapping")
        return entries


_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def scalar_value(node: ScalarNode) -> str | int | float | bool | None:
    """The value of a scalar by YAML 1.2's core rules: only true and false are booleans."""
    text = node.text
    if not node.plain:
        return text
    if node.is_null:
        return None
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    if _INTEGER.fullmatch(text) and len(text) < 400:
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text) and len(text) < 400:
        return float(text.replace("_", ""))
    return text
