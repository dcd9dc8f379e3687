"""PostgreSQL's expressions for the keys of templates: what a template is tried by."""

from __future__ import annotations

import re
from collections.abc import Iterator

from semantic.compiler.expressions.portable.tables import Tables
from semantic.compiler.expressions.signatures.aggregates import AGGREGATES

_KEY = re.compile(r"(?P<name>[^()]+)\((?P<arguments>.*)\)(?P<over> over)?\Z")
_AGGREGATES = {signature.name for signature in AGGREGATES}
_PARTS = {"months": "month", "days": "day", "microseconds": "microsecond"}
_AMOUNTS = (1, -1, 13, 400)
_PATTERNS = (
    "a%",
    "%b",
    "_",
    "%",
    "",
    "a\\%b",
    "a\\_b",
    "%\\\\%",
    "A%",
    "%!%",
    "é%",
    "[a]",
    "%*",
    "?",
)
_OPERATORS = ("=", "<>", "<", "<=", ">", ">=")
_FRAMES = (
    "ORDER BY id",
    "PARTITION BY bool_1 ORDER BY text_1, id",
    "PARTITION BY bool_1 ORDER BY id DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
)
SUBSTITUTES = {"varchar": "text", "any": "text", "timestamptz": "timestamptz"}


def scalars(tables: Tables, types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Expressions over a row, each with the key that it is about."""
    for key in tables.templates:
        found = _KEY.match(key)
        assert found is not None, key
        if found["name"] in _AGGREGATES or found["over"]:
            continue
        yield from ((key, text) for text in _of_key(found["name"], found["arguments"], types))
    for kind in sorted(tables.comparable.intersection(types)):
        yield from ((f"{kind} compared", text) for text in _comparisons(kind))
    yield from _choices(types)


def _of_key(name: str, listed: str, types: tuple[str, ...]) -> Iterator[str]:
    kinds = [item.strip() for item in listed.split(",") if item.strip()]
    if kinds and kinds[-1] == "zone":
        return
    if name in ("like", "ilike"):
        for pattern in _PATTERNS:
            yield f"text_1 {name.upper()} '{pattern}'"
            yield f"text_1 NOT {name.upper()} '{pattern}'"
        yield f"text_1 {name.upper()} 'a!%%' ESCAPE '!'"
        return
    if len(kinds) == 2 and kinds[1] in _PARTS and name == "+":
        for amount in _AMOUNTS:
            moment = operand(kinds[0], 1, types)
            yield f"{moment} + interval '{amount} {_PARTS[kinds[1]]}'"
            yield f"{moment} - interval '{amount} {_PARTS[kinds[1]]}'"
        return
    places = [
        item if item.startswith("'") else operand(item, place, types)
        for place, item in enumerate(kinds, 1)
    ]
    if None in places and not (name == "cast" and places[0]):
        return
    if name == "cast":
        yield f"CAST({places[0]} AS {kinds[1]})"
    elif name == "extract":
        yield f"extract({kinds[0].strip(chr(39))} FROM {places[1]})"
    elif not re.match(r"\w", name):
        yield f"{places[0]} {name} {places[1]}" if len(places) == 2 else f"{name} {places[0]}"
    else:
        yield f"{name}({', '.join(str(place) for place in places)})"


def operand(kind: str, place: int, types: tuple[str, ...]) -> str | None:
    """A column of a type, or what is cast from one."""
    kind = SUBSTITUTES.get(kind, kind)
    if kind in types:
        return f"{kind}_{(place - 1) % 3 + 1}"
    if kind == "timestamptz" and "timestamp" in types:
        return f"timestamp_{(place - 1) % 3 + 1}::timestamptz"
    if kind == "numeric" and "int2" in types:
        return f"int2_{(place - 1) % 3 + 1}::numeric"
    return None


def _comparisons(kind: str) -> Iterator[str]:
    one, two, three = (f"{kind}_{number}" for number in (1, 2, 3))
    yield from (f"{one} {operator} {two}" for operator in _OPERATORS)
    yield f"{one} BETWEEN {two} AND {three}"
    yield f"{one} NOT IN ({two}, {three})"
    yield f"{one} = ANY (ARRAY[{two}, {three}])"
    yield f"{one} <> ALL (ARRAY[{two}, {three}])"
    yield f"{one} IS DISTINCT FROM {two}"
    yield f"{one} IS NOT DISTINCT FROM {two}"
    yield f"nullif({one}, {two})"
    if kind != "numeric":
        yield f"greatest({one}, {two})"
        yield f"least({one}, {two}, {three})"
    yield f"CASE {one} WHEN {two} THEN 1 WHEN {three} THEN 2 ELSE 3 END"


def _choices(types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for kind in types:
        one, two = f"{kind}_1", f"{kind}_{3 if kind == 'numeric' else 2}"
        yield "choice", f"coalesce({one}, {two})"
        yield "choice", f"CASE WHEN bool_1 THEN {one} WHEN bool_2 IS NOT TRUE THEN {two} END"
        yield "choice", f"{one} IS NULL AND NOT bool_1 OR {two} IS NOT NULL"
        yield "column", one
    yield "constant", "text_1 = 'it''s' OR text_1 = '\\' OR text_1 = 'é'"
    yield "constant", "int4_1 > 1 OR int4_1 IN (0, -1)"
    yield "constant", "bool_1 IS TRUE OR bool_2 IS FALSE"
    if "date" in types:
        yield "constant", "date_1 >= '2024-01-01' AND date_1 < date '2024-12-31'"
    if "timestamp" in types:
        yield "constant", "timestamp_1 >= '2024-02-29 12:30:15.25'"
    if "float8" in types:
        yield "constant", "float8_1 > 1.5 OR float8_1 = 0 OR float8_1 < -1e-3"
    if "numeric" in types:
        yield "constant", "numeric_1 > 1.5 OR numeric_1 = 0 OR numeric_2 * 2 < 10.001"


def aggregates(tables: Tables, types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Aggregates, each with the key that it is about."""
    for key in tables.templates:
        found = _KEY.match(key)
        assert found is not None
        if found["name"] not in _AGGREGATES or found["over"]:
            continue
        text = _aggregate(found["name"], found["arguments"], types)
        if text is not None:
            yield key, text
            yield key, f"{text} FILTER (WHERE bool_2)"


def windows(tables: Tables, types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Window functions, each with the key that it is about."""
    for key in tables.templates:
        found = _KEY.match(key)
        assert found is not None
        text = _aggregate(found["name"], found["arguments"], types) if found["over"] else None
        if text is not None:
            yield from ((key, f"{text} OVER ({frame})") for frame in _FRAMES)


def _aggregate(name: str, listed: str, types: tuple[str, ...]) -> str | None:
    if listed in ("*", ""):
        return f"{name}({listed})"
    kind = listed.removeprefix("distinct ")
    column = operand(kind, 1, types)
    if column is None:
        return None
    return f"{name}({'DISTINCT ' if kind != listed else ''}{column})"
