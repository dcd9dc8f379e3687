"""Reader of the tests in a model: of its numbers, and of its access policies."""

from __future__ import annotations

import re
from typing import Any

from semantic.model.reading import Reader, Reading, frozen_map, listing, one_or_many, text
from semantic.model.tree import Node
from semantic.model.values import FrozenMap, ModelTest, TestCaller

_SQLSTATE = re.compile(r"[0-9A-Z]{5}")


def _rows(reading: Reading, node: Node) -> tuple[FrozenMap, ...] | None:
    return listing(frozen_map, "expect")(reading, node)


_CALLER_KEYS: dict[str, Reader[Any]] = {
    "user": text,
    "groups": one_or_many(text, "groups"),
    "roles": one_or_many(text, "roles"),
    "attributes": frozen_map,
    "tenant": text,
}


def _caller(reading: Reading, node: Node) -> TestCaller | None:
    """Whom a test runs as: what a login would say of them."""
    values = reading.mapping(node, "caller of a test", _CALLER_KEYS, ("user",))
    return TestCaller(**values) if values and "user" in values else None


def _error(reading: Reading, node: Node) -> str | None:
    found = text(reading, node)
    if found is None or found == "*" or _SQLSTATE.fullmatch(found):
        return found
    reading.problem(node, "test", f'"{found}" is not an SQLSTATE of five characters, nor "*"')
    return None


def model_test(reading: Reading, node: Node) -> ModelTest | None:
    """A test of a cube or view."""
    before = len(reading.problems)
    keys: dict[str, Reader[Any]] = {
        "sql": text,
        "expect": _rows,
        "check": text,
        "as": _caller,
        "expect_error": _error,
    }
    # The name of a test is free text.
    values = reading.mapping(node, "test", {"name": text, **keys}, ("name", "sql"))
    if values is None or len(reading.problems) > before:
        return None
    caller = values.pop("as", None)
    expected = values.keys() & {"expect", "check", "expect_error"}
    if caller is None and (len(expected) != 1 or "expect_error" in expected):
        reading.problem(node, "test", 'a test has either "expect" or "check"')
    if caller is not None and (len(expected) != 1 or "check" in expected):
        reading.problem(node, "test", 'a test with "as" has either "expect" or "expect_error"')
    return ModelTest(**values, caller=caller, location=node.location)
