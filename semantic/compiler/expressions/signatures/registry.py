"""Reads the tables of signatures and picks the one that PostgreSQL would.

A table line is ``name(parameter, ...) result``. ``any`` takes whatever comes, ``same`` is the type
of the first ``same`` argument, a trailing ``...`` repeats the last parameter. Where arguments fit
several lines equally well, the first is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from semantic.compiler.expressions.types import implicit, is_preferred
from semantic.model.types import TEXT, UNKNOWN, PostgresType

Kind = Literal["scalar", "aggregate", "ordered-set", "window"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One overload of a function."""

    name: str
    parameters: tuple[str, ...]
    result: str
    variadic: bool
    kind: Kind

    def parameter(self, index: int) -> str:
        """The type name of the argument at an index."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        if self.variadic:
            return count >= len(self.parameters)
        return count == len(self.parameters)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A signature with the types that its arguments are cast to and that it returns."""

    signature: Signature
    arguments: tuple[PostgresType, ...]
    result: PostgresType


def read_table(text: str, kind: Kind) -> list[Signature]:
    """Parse a table of signatures."""
    found = []
    for line in text.strip().splitlines():
        name, _, rest = line.strip().partition("(")
        parameters, _, result = rest.rpartition(") ")
        items = tuple(item.strip() for item in parameters.split(",") if item.strip())
        variadic = bool(items) and items[-1] == "..."
        found.append(Signature(name, items[:-1] if variadic else items, result, variadic, kind))
    return found


def index(tables: Sequence[Signature]) -> Mapping[str, tuple[Signature, ...]]:
    """Signatures by name, in the order of their tables."""
    found: dict[str, tuple[Signature, ...]] = {}
    for signature in tables:
        found[signature.name] = (*found.get(signature.name, ()), signature)
    return found


def resolve(signatures: Sequence[Signature], arguments: Sequence[PostgresType]) -> Resolved | None:
    """The overload that fits the arguments; None where none does."""
    best: Signature | None = None
    score = (-1, -1, -1)
    for signature in signatures:
        if not signature.takes(len(arguments)):
            continue
        found = _score(signature, arguments)
        if found is not None and found > score:
            best, score = signature, found
    return None if best is None else _resolved(best, arguments)


def _score(signature: Signature, arguments: Sequence[PostgresType]) -> tuple[int, int, int] | None:
    """How well arguments fit (manual, 10.3); None where they do not.

    Exact matches count first, then casts to a preferred type, then literals read as text.
    """
    exact = preferred = text = 0
    for place, kind in enumerate(arguments):
        parameter = signature.parameter(place)
        if not _implicitly(kind, parameter):
            return None
        if kind.name == "unknown":
            text += parameter == "text"
        elif _exactly(kind, parameter):
            exact += 1
        else:
            preferred += is_preferred(PostgresType(parameter))
    return exact, preferred, text


def _exactly(kind: PostgresType, parameter: str) -> bool:
    if parameter in ("any", "same"):
        return True
    if parameter == "anyarray":
        return kind.is_array
    return kind.name == parameter


def _implicitly(kind: PostgresType, parameter: str) -> bool:
    if parameter in ("any", "same"):
        return True
    if parameter == "anyarray":
        return kind.is_array
    return implicit(kind, PostgresType(parameter))


def _resolved(signature: Signature, arguments: Sequence[PostgresType]) -> Resolved:
    same = UNKNOWN
    for place, kind in enumerate(arguments):
        if signature.parameter(place) in ("same", "anyarray") and same.name == "unknown":
            same = kind
    if same.name == "unknown":
        same = TEXT
    targets = []
    for place, kind in enumerate(arguments):
        name = signature.parameter(place)
        if name in ("same", "anyarray"):
            targets.append(same)
        elif name == "any":
            targets.append(TEXT if kind.name == "unknown" else kind)
        else:
            targets.append(kind if kind.name == name else PostgresType(name))
    return Resolved(signature, tuple(targets), _result(signature.result, same))


def _result(name: str, same: PostgresType) -> PostgresType:
    if name == "same":
        return PostgresType(same.name)
    if name == "array":
        return PostgresType(same.name if same.is_array else "_" + same.name)
    if name == "element":
        return PostgresType(same.element.name)
    return PostgresType(name)
