"""COPY: its three option syntaxes, checked as PostgreSQL's ProcessCopyOptions checks them."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from semantic.compiler.utility.lexer import Kind, Token
from semantic.compiler.utility.reader import Reader
from semantic.compiler.utility.types import (
    CopyIn,
    CopyOptions,
    CopyOut,
    CopyServer,
    Statement,
)
from semantic.errors import SemanticError

# Option names, values and the tokens that name them, in order. A value is a text, a list, ``*``, or
# nothing at all.
Given = list[tuple[str, "Value", Token]]
Options = dict[str, tuple["Value", Token]]


class _Bare(Enum):
    STAR = "*"
    NOTHING = ""


Value = str | tuple[str, ...] | _Bare


def copy(reader: Reader) -> Statement:
    """COPY relation FROM | TO, COPY (query) TO."""
    reader.take()
    options: Given = []
    if reader.at_word("binary"):
        options.append(("format", "binary", reader.take()))
    relation: str | None = None
    if reader.at_mark("("):
        query, offset = reader.enclosed()
        reader.need_word("to")
        reading = False
    else:
        relation, columns, start = _relation(reader)
        prefix = f"SELECT {', '.join(columns) or '*'} FROM "
        query, offset = prefix + relation, start - len(prefix)
        reading = reader.need_word("to", "from") == "from"
    program = reader.word("program") is not None
    stream = not program and reader.word("stdin", "stdout") is not None
    if not stream:
        reader.string()
    _options(reader, options)
    if reading and reader.at_word("where"):
        return CopyIn(reader.text)
    reader.need_end()
    checked = _checked(options, reading=reading)
    if not stream:
        return CopyServer(reader.text, program, reading)
    if reading:
        return CopyIn(reader.text)
    return CopyOut(query, checked, offset, relation)


def _relation(reader: Reader) -> tuple[str, tuple[str, ...], int]:
    start, end = reader.token.start, reader.token.end
    reader.name()
    while reader.mark("."):
        end = reader.token.end
        reader.label()
    columns: tuple[str, ...] = ()
    if reader.at_mark("("):
        columns = reader.items()
    return reader.text[start:end], columns, start


def _options(reader: Reader, options: Given) -> None:
    if reader.word("using"):
        token = reader.token
        reader.need_word("delimiters")
        options.append(("delimiter", reader.string(), token))
    elif reader.at_word("delimiters"):
        token = reader.take()
        options.append(("delimiter", reader.string(), token))
    reader.word("with")
    if reader.mark("("):
        _listed(reader, options)
        return
    while not reader.at_end() and not reader.at_word("where"):
        options.append(_legacy(reader))


_LEGACY = (
    "binary",
    "freeze",
    "delimiter",
    "null",
    "csv",
    "header",
    "quote",
    "escape",
    "force",
    "encoding",
)


def _legacy(reader: Reader) -> tuple[str, Value, Token]:
    """One option of the syntax before PostgreSQL 9.0."""
    token = reader.token
    word = reader.need_word(*_LEGACY)
    if word in ("binary", "csv"):
        return "format", word, token
    if word in ("freeze", "header"):
        return word, "true", token
    if word == "encoding":
        return word, reader.string(), token
    if word == "force":
        kind = "not" if reader.word("not") else reader.need_word("quote", "null")
        if kind == "not":
            reader.need_word("null")
        name = {"not": "force_not_null", "null": "force_null"}.get(kind, "force_quote")
        starred = kind == "quote" and reader.operator("*")
        return name, _Bare.STAR if starred else _names(reader), token
    reader.word("as")
    return word, reader.string(), token


def _names(reader: Reader) -> tuple[str, ...]:
    names = [reader.name()]
    while reader.mark(","):
        names.append(reader.name())
    return tuple(names)


def _listed(reader: Reader, options: Given) -> None:
    """The options in parentheses."""
    while True:
        token = reader.token
        name = reader.label()
        value: Value = _Bare.NOTHING
        if reader.operator("*"):
            value = _Bare.STAR
        elif reader.mark("("):
            value = _value_list(reader)
        elif reader.at_number():
            value = reader.number()
        elif reader.token.kind in (Kind.STRING, Kind.QUOTED_NAME, Kind.WORD):
            value = reader.take().value
        options.append((name, value, token))
        if not reader.mark(","):
            reader.need_mark(")")
            return


def _value_list(reader: Reader) -> tuple[str, ...]:
    values = []
    while True:
        token = reader.token
        values.append(reader.string() if token.kind is Kind.STRING else reader.label())
        if not reader.mark(","):
            reader.need_mark(")")
            return tuple(values)


_KNOWN = frozenset(
    (
        "format",
        "freeze",
        "delimiter",
        "null",
        "default",
        "header",
        "quote",
        "escape",
        "force_quote",
        "force_not_null",
        "force_null",
        "encoding",
    )
)


def _named(given: Given) -> Options:
    """The options by name, each known, given once, and with the kind of value it takes."""
    options: Options = {}
    for name, value, token in given:
        problem = None
        if name not in _KNOWN:
            problem = ("42601", f'option "{name}" not recognized')
        elif name in options:
            problem = ("42601", "conflicting or redundant options")
        elif name.startswith("force_") and isinstance(value, str):
            problem = ("22023", f'argument to option "{name}" must be a list of column names')
        if problem is not None:
            raise SemanticError(*problem, position=token.start + 1)
        options[name] = (value, token)
    return options


def _checked(given: Given, *, reading: bool) -> CopyOptions:
    options = _named(given)
    format_ = _text(options, "format", "text")
    if format_ not in ("text", "csv", "binary"):
        raise SemanticError(
            "22023",
            f'COPY format "{format_}" not recognized',
            position=options["format"][1].start + 1,
        )
    if format_ == "binary":
        for name in ("delimiter", "null", "default"):
            if name in options:
                raise SemanticError("42601", f"cannot specify {name.upper()} in BINARY mode")
    csv = format_ == "csv"
    quote = _text(options, "quote", '"')
    force = options.get("force_quote", ((), None))[0]
    result = CopyOptions(
        format="csv" if csv else "binary" if format_ == "binary" else "text",
        delimiter=_text(options, "delimiter", "," if csv else "\t"),
        null=_text(options, "null", "" if csv else "\\N"),
        header=_header(options, reading=reading),
        quote=quote,
        escape=_text(options, "escape", quote),
        force_quote=force if isinstance(force, tuple) else None,
    )
    _check_text(result, options)
    _check_csv(result, options, reading=reading)
    if "encoding" in options:
        result = replace(result, encoding=_text(options, "encoding", ""))
    return result


def _text(options: Options, name: str, default: str) -> str:
    if name not in options:
        return default
    value = options[name][0]
    if not isinstance(value, str):
        raise SemanticError("42601", f"{name} requires a parameter")
    return value


def _header(options: Options, *, reading: bool) -> bool:
    if options.get("header", (None,))[0] is _Bare.NOTHING:
        return True
    value = _text(options, "header", "false").lower()
    if value in ("true", "on", "1"):
        return True
    if value in ("false", "off", "0"):
        return False
    if value == "match":
        if reading:
            return True
        raise SemanticError("0A000", 'cannot use "match" with HEADER in COPY TO')
    raise SemanticError("42601", 'header requires a Boolean value or "match"')


def _check_text(options: CopyOptions, given: Options) -> None:
    """What every layout asks of delimiter and null."""
    csv = options.format == "csv"
    if len(options.delimiter.encode()) != 1:
        raise SemanticError("0A000", "COPY delimiter must be a single one-byte character")
    if options.delimiter in "\r\n":
        raise SemanticError("22023", "COPY delimiter cannot be newline or carriage return")
    if "\r" in options.null or "\n" in options.null:
        raise SemanticError(
            "22023", "COPY null representation cannot use newline or carriage return"
        )
    if not csv and options.delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise SemanticError("22023", f'COPY delimiter cannot be "{options.delimiter}"')
    if options.format == "binary" and "header" in given and options.header:
        raise SemanticError("0A000", "cannot specify HEADER in BINARY mode")
    if options.delimiter in options.null:
        raise SemanticError("0A000", "COPY delimiter must not appear in the NULL specification")


def _check_csv(options: CopyOptions, given: Options, *, reading: bool) -> None:
    csv = options.format == "csv"
    if not csv and "quote" in given:
        raise SemanticError("0A000", "COPY quote available only in CSV mode")
    if csv and len(options.quote.encode()) != 1:
        raise SemanticError("0A000", "COPY quote must be a single one-byte character")
    if csv and options.delimiter == options.quote:
        raise SemanticError("22023", "COPY delimiter and quote must be different")
    if not csv and "escape" in given:
        raise SemanticError("0A000", "COPY escape available only in CSV mode")
    if csv and len(options.escape.encode()) != 1:
        raise SemanticError("0A000", "COPY escape must be a single one-byte character")
    if not csv and "force_quote" in given:
        raise SemanticError("0A000", "COPY force quote available only in CSV mode")
    if "force_quote" in given and reading:
        raise SemanticError("0A000", "COPY force quote only available using COPY TO")
    for name in ("force_not_null", "force_null"):
        words = name.replace("_", " ")
        if name in given and not csv:
            raise SemanticError("0A000", f"COPY {words} available only in CSV mode")
        if name in given and not reading:
            raise SemanticError("0A000", f"COPY {words} only available using COPY FROM")
    if csv and options.quote in options.null:
        raise SemanticError(
            "0A000", "CSV quote character must not appear in the NULL specification"
        )
    if not reading and "default" in given:
        raise SemanticError("0A000", "COPY DEFAULT only available using COPY FROM")
