"""Random scalar expressions, each as a client writes it and as plain SQL over the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Chooser(Protocol):
    """Where the chances come from: hypothesis, or a plain random generator."""

    def integer(self, low: int, high: int) -> int: ...


class Pair(NamedTuple):
    """The same expression twice."""

    ours: str
    plain: str


def same(text: str) -> Pair:
    return Pair(text, text)


LITERALS: dict[str, tuple[str, ...]] = {
    "int": ("0", "1", "-1", "2", "3", "7", "100", "NULL::int"),
    "numeric": ("0.5", "1.0", "-2.25", "0.005", "10.000", "NULL::numeric"),
    "float": ("0.5::float8", "'-1.25'::float8", "2::float8", "1e3::double precision"),
    "text": ("''", "'a'", "'Zoë'", "'O''Hara'", "'%'", "'日本'", "NULL::text", "'12'", "' '"),
    "bool": ("true", "false", "NULL::boolean"),
    "date": ("DATE '2024-01-01'", "'2024-02-29'::date", "DATE '1969-07-20'"),
    "ts": ("TIMESTAMP '2024-01-01 00:00:00'", "'2024-03-10 02:30:00.5'::timestamp"),
    "tstz": ("TIMESTAMPTZ '2024-01-01 03:00:00+00'", "'2024-03-10 07:00:00+00'::timestamptz"),
}

# ``{int}`` is an expression of that kind, ``{*}`` one of the kind that all ``{*}`` here have.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "*": (
        "CASE WHEN {bool} THEN {self} ELSE {self} END",
        "CASE WHEN {bool} THEN {self} END",
        "CASE {int} WHEN {int} THEN {self} WHEN 2 THEN {self} END",
        "COALESCE({self}, {self})",
        "NULLIF({self}, {self})",
        "GREATEST({self}, {self})",
        "LEAST({self}, {self})",
        "({self})",
    ),
    "int": (
        "({int} + {int})",
        "({int} - {int})",
        "({int} * {small})",
        "({int} / NULLIF({int}, 0))",
        "({int} / 2)",
        "({int} % NULLIF({small}, 0))",
        "(- {int})",
        "ABS({int})",
        "LENGTH({text})",
        "CHAR_LENGTH({text})",
        "STRPOS({text}, {text})",
        "POSITION('a' IN {text})",
        "CAST({numeric} AS bigint)",
        "EXTRACT(YEAR FROM {date})::int",
        "CAST(EXTRACT(DOW FROM {ts}) AS integer)",
        "DATE_PART('month', {ts})::int",
        "({date} - {date})",
        "({bool})::int",
        "MOD({int}, 3)",
        "SIGN({int})::int",
        "FLOOR({numeric})::bigint",
        "ASCII({text})",
        "CAST(TRUNC({numeric}) AS int8)",
    ),
    "small": ("{int} % 10", "2", "-3", "0"),
    "numeric": (
        "({numeric} + {numeric})",
        "({numeric} - {int})",
        "({numeric} * {small})",
        "({numeric} * 1.05)",
        "({numeric} / NULLIF({numeric}, 0))",
        "({int} / 4.0)",
        "({int} * 100.0 / NULLIF({int}, 0))",
        "ROUND({numeric}, 1)",
        "ROUND({numeric})",
        "TRUNC({numeric}, 2)",
        "CEIL({numeric})",
        "FLOOR({numeric})",
        "ABS({numeric})",
        "(- {numeric})",
        "{int}::numeric",
        "CAST({numeric} AS decimal(18, 2))",
        "({numeric} % 3)",
        "EXTRACT(EPOCH FROM {ts})",
        "EXTRACT(quarter FROM {date})",
        "SIGN({numeric})",
        "CAST({int} AS numeric(12, 1))",
    ),
    "float": (
        "({float} + {float})",
        "({float} * {float})",
        "({float} / NULLIF({float}, 0))",
        "ABS({float})",
        "FLOOR({float})",
        "ROUND({float})",
        "{int}::float8",
        "CAST({numeric} AS double precision)",
        "({float} * {int})",
        "({int} / NULLIF({float}, 0))",
    ),
    "text": (
        "({text} || {text})",
        "({text} || {int})",
        "({text} || {numeric}::text)",
        "UPPER({text})",
        "LOWER({text})",
        "TRIM({text})",
        "SUBSTRING({text} FROM 2 FOR 2)",
        "SUBSTR({text}, {int} % 5)",
        "LEFT({text}, 2)",
        "RIGHT({text}, 2)",
        "LEFT({text}, {int} % 4)",
        "REPLACE({text}, 'a', 'xx')",
        "CONCAT({text}, {int}, {bool})",
        "CONCAT_WS('-', {text}, {text})",
        "{int}::text",
        "CAST({bool} AS text)",
        "{date}::text",
        "CAST({ts} AS varchar)",
        "{tstz}::text",
        "{float}::text",
        "LPAD({text}, 5, '*')",
        "RPAD({text}, 3)",
        "SPLIT_PART({text}, '-', 2)",
        "REVERSE({text})",
        "TO_CHAR({date}, 'YYYY-MM-DD')",
        "TO_CHAR({ts}, 'Mon DD, HH24:MI')",
        "REPEAT({text}, 2)",
        "CAST({text} AS varchar(3))",
        "REGEXP_REPLACE({text}, '[aeiou]', '_', 'g')",
        "TRANSLATE({text}, 'ab', 'xy')",
        "BTRIM({text}, 'ab')",
    ),
    "bool": (
        "({int} = {int})",
        "({int} < {numeric})",
        "({numeric} >= {numeric})",
        "({float} > {float})",
        "({text} = {text})",
        "({text} < {text})",
        "({date} <= {date})",
        "({ts} > {date})",
        "({tstz} >= {tstz})",
        "({bool} AND {bool})",
        "({bool} OR {bool})",
        "(NOT {bool})",
        "({any} IS NULL)",
        "({any} IS NOT NULL)",
        "({bool} IS TRUE)",
        "({bool} IS NOT FALSE)",
        "({bool} = {bool})",
        "({text} LIKE '%a%')",
        "({text} ILIKE 'a%')",
        "({text} NOT LIKE '_nn')",
        "({text} ~ '^[A-Z]')",
        "({int} BETWEEN {int} AND {int})",
        "({date} BETWEEN DATE '2024-01-01' AND {date})",
        "({int} IN (1, 2, {int}))",
        "({int} NOT IN (1, 3))",
        "({text} IN ('Ann', {text}))",
        "({int} IS DISTINCT FROM {int})",
        "({text} IS NOT DISTINCT FROM {text})",
        "({int} = ANY (ARRAY[1, 2, 3]))",
        "({day} <> ALL (ARRAY[DATE '2024-01-01']))",
        "(({int}, {text}) = ({int}, {text}))",
        "({text} SIMILAR TO '(A|B)%')",
    ),
    "day": ("{date}",),
    "date": (
        "({date} + 1)",
        "({date} - {small})",
        "{ts}::date",
        "CAST({tstz} AS date)",
        "DATE_TRUNC('month', {ts})::date",
        "CAST(DATE_TRUNC('week', {date}) AS date)",
    ),
    "ts": (
        "({ts} + INTERVAL '1 day')",
        "({ts} - INTERVAL '90 minutes')",
        "DATE_TRUNC('month', {ts})",
        "DATE_TRUNC('week', {ts})",
        "DATE_TRUNC('hour', {ts})",
        "CAST({date} AS timestamp)",
        "({date} + INTERVAL '1 month')",
        "({tstz} AT TIME ZONE 'Asia/Tokyo')",
        "({date} + {int} * INTERVAL '1 day')",
        "{tstz}::timestamp",
    ),
    "tstz": (
        "DATE_TRUNC('day', {tstz})",
        "DATE_TRUNC('quarter', {tstz})",
        "({tstz} + INTERVAL '1 day')",
        "({ts} AT TIME ZONE 'Europe/Paris')",
        "CAST({ts} AS timestamptz)",
        "DATE_TRUNC('month', {date})",
    ),
}
KINDS = ("int", "numeric", "float", "text", "bool", "date", "ts", "tstz")


@dataclass(slots=True)
class Parameters:
    """Values of ``$1`` and on, as text, and the types that the client gives them (0: none)."""

    values: list[str | None] = field(default_factory=list)
    oids: list[int] = field(default_factory=list)


_PARAMETERS: dict[str, tuple[int, str, tuple[str | None, ...]]] = {
    "int": (23, "int", ("1", "-2", "3", None)),
    "numeric": (1700, "numeric", ("1.50", "-0.005", None)),
    "text": (25, "text", ("a", "", "O'Hara", "Zoë", None)),
    "date": (1082, "date", ("2024-01-01", "1969-07-20")),
    "bool": (16, "bool", ("t", "f")),
    "float": (701, "float8", ("0.5", "-2.5")),
}


@dataclass(slots=True)
class Random:
    """Choices of a chooser."""

    chooser: Chooser
    parameters: Parameters | None = None

    def pick(self, items: Sequence[T]) -> T:
        return items[self.chooser.integer(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        """Shrinks towards no."""
        return self.chooser.integer(0, 99) >= 100 - percent

    def number(self, low: int, high: int) -> int:
        return self.chooser.integer(low, high)

    def some(self, items: Sequence[T], low: int, high: int) -> list[T]:
        """Different ones, in any order."""
        left, found = list(items), []
        for _ in range(min(self.number(low, high), len(left))):
            found.append(left.pop(self.chooser.integer(0, len(left) - 1)))
        return found

    def literal(self, kind: str) -> Pair:
        parameters = self.parameters
        if parameters is None or kind not in _PARAMETERS or not self.chance(30):
            return same(self.pick(LITERALS[kind]))
        oid, spelled, values = _PARAMETERS[kind]
        parameters.values.append(self.pick(values))
        parameters.oids.append(self.pick((oid, 0)))
        return same(f"${len(parameters.values)}::{spelled}")


Leaf = Callable[[str], Pair | None]
"""A column, measure or the like of a kind, where there is one."""


def scalar(r: Random, kind: str, leaf: Leaf, depth: int) -> Pair:
    """An expression of a kind."""
    if depth <= 0 or r.chance(25):
        found = leaf(kind) if kind in KINDS and not r.chance(15) else None
        if found is not None:
            return found
        if kind in LITERALS:
            return r.literal(kind)
    if kind == "any":
        return scalar(r, r.pick(KINDS), leaf, depth)
    templates = TEMPLATES[kind]
    if kind in KINDS and r.chance(20):
        templates = TEMPLATES["*"]
    return fill(r, r.pick(templates), kind, leaf, depth)


def fill(r: Random, template: str, kind: str, leaf: Leaf, depth: int) -> Pair:
    """A template with random expressions in its places."""
    ours, plain = "", ""
    rest = template
    while "{" in rest:
        before, _, after = rest.partition("{")
        name, _, rest = after.partition("}")
        inner = scalar(r, kind if name == "self" else name, leaf, depth - 1)
        ours += before + inner.ours
        plain += before + inner.plain
    return Pair(ours + rest, plain + rest)
