r"""SQL of the model with its ``{references}`` parsed out, ready for the compiler to fill in.

``{CUBE}``, ``{cube}`` and ``{alias}`` are rows; ``{member}``, ``{CUBE.member}``, ``{alias.member}``
and ``{alias.alias.member}`` are members, ``{time_dimension.granularity}`` a truncated time,
``{FILTER_PARAMS.cube.member.filter('column')}`` a push-down hook, ``{SECURITY_CONTEXT.attr}`` a
bound parameter. ``\{`` and ``\}`` are literal braces; so are braces without a reference, as in the
regular expression ``[0-9]{3,5}``. ``${...}`` is read like ``{...}``.

What a reference stands for is a question for ``Model.resolve``; this module knows only spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from semantic.model.values import NOWHERE, Location


@dataclass(frozen=True, slots=True)
class Reference:
    """A dotted name: a row, a member, or a member's granularity.

    Attributes:
        path: the names between the dots; ``CUBE`` is kept as written.
        position: 0-based offset of the opening brace in the template's text (of the name itself
            where references are written without braces, as in ``drill_members``).
        row: a dot follows the braces (``{origin}.lat``), so only a row can be meant.
        location: where it stands in the files.
    """

    path: tuple[str, ...]
    position: int = field(default=0, compare=False, repr=False)
    row: bool = False
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class FilterParameter:
    """``FILTER_PARAMS.cube.member.filter(...)``: the query's filters on a member, pushed down.

    Attributes:
        cube: the cube or view whose member is filtered.
        member: the filtered member.
        column: the column that takes the member's place, from ``filter('column')``.
        function: the text of a callback where one is given instead of a column.
        position: 0-based offset in the template's text.
    """

    cube: str
    member: str
    column: str | None
    function: str | None = None
    position: int = field(default=0, compare=False, repr=False)
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FilterGroup:
    """``FILTER_GROUP(...)``: push-down hooks that stay together where the query ORs them."""

    parameters: tuple[FilterParameter, ...]
    position: int = field(default=0, compare=False, repr=False)
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SecurityContextReference:
    """``SECURITY_CONTEXT.attr``: an attribute of the caller, always a bound parameter, never text.

    Attributes:
        path: the attribute's names between the dots.
        column: set for ``SECURITY_CONTEXT.attr.filter('column')``, which is ``column = value``.
        required: set for ``requiredFilter``: a caller without the attribute is refused.
        position: 0-based offset in the template's text.
    """

    path: tuple[str, ...]
    column: str | None = None
    required: bool = False
    position: int = field(default=0, compare=False, repr=False)
    location: Location = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class CubeSql:
    """``{cube.sql()}``: the SQL that a cube's rows come from, as a parenthesised query."""

    cube: str
    position: int = field(default=0, compare=False, repr=False)
    location: Location = field(default=NOWHERE, compare=False, repr=False)


TemplatePart = str | Reference | FilterParameter | FilterGroup | SecurityContextReference | CubeSql


@dataclass(frozen=True, slots=True)
class SqlTemplate:
    """A piece of SQL in the warehouse's dialect.

    Attributes:
        text: as written.
        parts: the text cut at its references; string parts are literal SQL (escapes undone).
        location: where the text starts in the files.
    """

    text: str
    parts: tuple[TemplatePart, ...]
    location: Location = field(default=NOWHERE, compare=False, repr=False)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The dotted names in the text, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def is_plain(self) -> bool:
        """Whether the text has no reference of any kind."""
        return all(isinstance(part, str) for part in self.parts)

    def __str__(self) -> str:
        return self.text


class TemplateError(ValueError):
    """A template that cannot be read. ``position`` is a 0-based offset in its text."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_NAME = re.compile(rf"\s*({_IDENTIFIER}(?:\s*\.\s*{_IDENTIFIER})*)\s*")
_CALL = re.compile(rf"\s*({_IDENTIFIER}(?:\s*\.\s*{_IDENTIFIER})*)\s*\((.*)\)\s*", re.DOTALL)
_STRING = re.compile(r"\s*(?:'((?:[^'\\]|\\.|'')*)'|\"((?:[^\"\\]|\\.)*)\")\s*,?\s*", re.DOTALL)
_MARK = re.compile(r"\\[{}]|\$?\{|\}")
_QUANTIFIER = re.compile(r"\{\s*\d+\s*(?:,\s*\d*\s*)?\}")


def parse_template(
    text: str,
    location: Location = NOWHERE,
    place: Callable[[int], Location] | None = None,
) -> SqlTemplate:
    """Cut a text at its references.

    Args:
        text: the SQL.
        location: where it starts in the files.
        place: where an offset of the text stands in the files.

    Raises:
        TemplateError: a brace is not closed, or holds something that is no reference.

    >>> parse_template("{CUBE}.x + 1").parts
    (Reference(path=('CUBE',), row=True), '.x + 1')
    """
    if "{" not in text and "}" not in text:
        return SqlTemplate(text, (text,) if text else (), location)
    parts: list[TemplatePart] = []
    literal: list[str] = []
    start = 0
    while mark := _MARK.search(text, start):
        literal.append(text[start : mark.start()])
        token = mark.group()
        start = mark.end()
        if token.startswith("\\"):
            literal.append(token[1])
        elif token == "}":
            raise TemplateError("'}' without '{' (write \\} for a literal brace)", mark.start())
        elif quantifier := _QUANTIFIER.match(text, mark.end() - 1):
            literal.append(text[mark.start() : quantifier.end()])
            start = quantifier.end()
        else:
            end = _closing_brace(text, mark.end() - 1)
            if literal := [piece for piece in literal if piece]:
                parts.append("".join(literal))
                literal = []
            row = text.startswith(".", end + 1)
            part = _parse_reference(text[mark.end() : end], mark.start(), row=row)
            if place is not None and not isinstance(part, str):
                part = replace(part, location=place(mark.start()))
            parts.append(part)
            start = end + 1
    literal.append(text[start:])
    if rest := "".join(literal):
        parts.append(rest)
    return SqlTemplate(text, tuple(parts), location)


def parse_name(text: str, location: Location = NOWHERE) -> Reference:
    """Read a dotted name written without braces (``drill_members``); braces are allowed.

    Raises:
        TemplateError: the text is no dotted name.
    """
    found = _NAME.fullmatch(text.replace("{", "").replace("}", ""))
    if found is None:
        raise TemplateError(f"{text!r} is not the name of a member", 0)
    return Reference(_split(found.group(1)), 0, location=location)


def _closing_brace(text: str, opening: int) -> int:
    """The offset of the brace that closes the one at ``opening``; quotes inside hide braces."""
    depth = 0
    quote = ""
    for offset in range(opening, len(text)):
        character = text[offset]
        if quote:
            if character == quote:
                quote = ""
        elif character in "'\"" and depth:
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return offset
    raise TemplateError("'{' is not closed (write \\{ for a literal brace)", opening)


def _parse_reference(inner: str, position: int, *, row: bool) -> TemplatePart:
    if found := _NAME.fullmatch(inner):
        path = _split(found.group(1))
        if path[0] in _SECURITY_CONTEXT:
            return _security_context(path, None, position)
        if path[0] in {"FILTER_PARAMS", "FILTER_GROUP"}:
            raise TemplateError(
                f"{path[0]} needs FILTER_PARAMS.cube.member.filter('column')", position
            )
        return Reference(path, position, row)
    if found := _CALL.fullmatch(inner):
        return _parse_call(_split(found.group(1)), found.group(2), inner, position)
    raise TemplateError(
        f"'{{{inner}}}' is not a reference (write \\{{ and \\}} for literal braces)", position
    )


_SECURITY_CONTEXT = frozenset({"SECURITY_CONTEXT", "securityContext", "security_context"})


def _parse_call(path: tuple[str, ...], argument: str, inner: str, position: int) -> TemplatePart:
    if path == ("FILTER_GROUP",):
        return FilterGroup(_filter_group(argument, position), position)
    if path[0] == "FILTER_PARAMS":
        return _filter_parameter(path, argument, position)
    if path[0] in _SECURITY_CONTEXT:
        return _security_context(path, argument, position)
    if len(path) == 2 and path[1] == "sql" and not argument.strip():
        return CubeSql(path[0], position)
    raise TemplateError(f"'{{{inner}}}' calls an unknown function", position)


def _filter_parameter(path: tuple[str, ...], argument: str, position: int) -> FilterParameter:
    if len(path) != 4 or path[3] != "filter":
        raise TemplateError("FILTER_PARAMS needs the form cube.member.filter('column')", position)
    if found := _STRING.fullmatch(argument):
        return FilterParameter(path[1], path[2], _unquote(found), None, position)
    if not argument.strip():
        raise TemplateError("FILTER_PARAMS...filter() needs a column", position)
    return FilterParameter(path[1], path[2], None, argument.strip(), position)


def _filter_group(argument: str, position: int) -> tuple[FilterParameter, ...]:
    parameters: list[FilterParameter] = []
    for piece in _split_arguments(argument):
        found = _CALL.fullmatch(piece)
        path = _split(found.group(1)) if found else ()
        if found is None or path[0] != "FILTER_PARAMS":
            raise TemplateError("FILTER_GROUP takes FILTER_PARAMS only", position)
        parameters.append(_filter_parameter(path, found.group(2), position))
    return tuple(parameters)


def _security_context(
    path: tuple[str, ...], argument: str | None, position: int
) -> SecurityContextReference:
    names = path[1:]
    if argument is None:
        if not names:
            raise TemplateError(f"{path[0]} needs the name of an attribute", position)
        return SecurityContextReference(names, position=position)
    method = names[-1] if names else ""
    if method in {"unsafeValue", "unsafe_value"}:
        hint = ".".join((path[0], *names[:-1]))
        raise TemplateError(
            f"{method}() would put the caller's text into SQL; write {{{hint}}}, a bound parameter",
            position,
        )
    found = _STRING.fullmatch(argument)
    if (
        method not in {"filter", "requiredFilter", "required_filter"}
        or found is None
        or not names[:-1]
    ):
        raise TemplateError(f"{path[0]} takes .attr or .attr.filter('column')", position)
    return SecurityContextReference(names[:-1], _unquote(found), method != "filter", position)


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in dotted.split("."))


def _unquote(found: re.Match[str]) -> str:
    return found.group(1) if found.group(1) is not None else found.group(2)


def _split_arguments(text: str) -> list[str]:
    """Cut at commas that stand in no parentheses and no quotes."""
    pieces: list[str] = []
    depth, quote, start = 0, "", 0
    for offset, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and not depth:
            pieces.append(text[start:offset])
            start = offset + 1
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]
