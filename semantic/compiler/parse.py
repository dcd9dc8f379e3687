"""SQL text to a syntax tree, and nothing that PostgreSQL would read otherwise.

The tree is only used where PostgreSQL has accepted the same text (the analysis), so this stage does
not check syntax for its own sake. What it must catch is text that both accept but read differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from semantic.compiler.builtin_names import SCHEMA, without_builtin_schema
from semantic.compiler.clause_forms import with_directions, with_enclosed_groupings
from semantic.compiler.number_literals import with_decimal_numbers
from semantic.compiler.positions import position_of
from semantic.compiler.root_operators import normalise_roots
from semantic.compiler.trees import enclose_negations
from semantic.compiler.typed_literals import (
    cast_intervals,
    enclosed_literals,
    refuse_cut_intervals,
)
from semantic.compiler.unicode_text import UnparsableStatement, decoded, with_unicode_names
from semantic.errors import UnsupportedError

POSTGRES = Dialect.get_or_raise("postgres")

_PARAMETER = re.compile(
    r"""
    [eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | [^\W\d][\w$]*
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    | \$(?P<number>[0-9]+)
    """,
    re.VERBOSE | re.DOTALL,
)
"""Parameters, and whatever a dollar sign may stand in that is none."""

_INTERVAL = re.compile(r"\binterval\b", re.IGNORECASE)
_USING = re.compile(r"\busing\b", re.IGNORECASE)
_GROUPINGS = re.compile(r"\b(?:rollup|cube|sets)\b", re.IGNORECASE)
# As other drivers and servers write parameters: ``?``, ``:name``.
_PLACEHOLDER = re.compile(r"\?|(?<![:\w\])]):[^\W\d]")
_NEGATION = re.compile(r"\bnot\b|~", re.IGNORECASE)
_PRECISE_NOW = re.compile(r"\b(?:current_|local)timestamp\s*\(", re.IGNORECASE)
_VALUES = re.compile(r"\bvalues\b", re.IGNORECASE)
_ROW = re.compile(r"\brow\s*\(", re.IGNORECASE)

# PostgreSQL gives all of these one precedence, left to right; the parser has several levels.
_OTHER_OPERATORS = (
    exp.DPipe,
    exp.BitwiseAnd,
    exp.BitwiseOr,
    exp.BitwiseXor,
    exp.BitwiseLeftShift,
    exp.BitwiseRightShift,
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.JSONBExtract,
    exp.JSONBExtractScalar,
    exp.ArrayContainsAll,
    exp.ArrayContainedBy,
    exp.ArrayOverlaps,
    exp.RegexpLike,
    exp.RegexpILike,
    exp.Operator,
)


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement's text with its tree and tokens. The tree is never changed in place."""

    sql: str
    tree: exp.Expr
    tokens: tuple[Token, ...]


def parse(sql: str) -> ParsedStatement:
    """Parse the text of one statement.

    Raises:
        UnparsableStatement: the parser does not know the syntax (42601).
        SemanticError: the text holds something that would be read otherwise than PostgreSQL does.
    """
    try:
        tokens = with_decimal_numbers(with_unicode_names(_tokenize(sql), sql), sql)
        readable = _readable(sql, tokens)
        trees = [tree for tree in POSTGRES.parser().parse(readable, sql) if tree is not None]
    except ParseError as error:
        raise UnparsableStatement(
            "42601", "syntax error or unsupported syntax", position=_error_position(sql, error)
        ) from error
    except (TokenError, SqlglotError, RecursionError) as error:
        raise UnparsableStatement("42601", "syntax error or unsupported syntax") from error
    if len(trees) != 1:
        raise UnparsableStatement(
            "42601", "cannot insert multiple commands into a prepared statement"
        )
    _refuse_misread_tokens(sql, tokens)
    tree = trees[0]
    if not isinstance(tree, exp.Expr):
        raise UnparsableStatement("42601", "syntax error or unsupported syntax")
    _normalise(sql, tree)
    return ParsedStatement(sql, tree, tuple(tokens))


def _normalise(sql: str, tree: exp.Expr) -> None:
    """Give what the parser has several classes for the one class that the compiler knows."""
    if _ROW.search(sql):
        for call in list(tree.find_all(exp.Anonymous)):
            if str(call.this).lower() == "row" and len(call.expressions) > 1:
                call.replace(exp.Tuple(expressions=call.expressions))
    if _PRECISE_NOW.search(sql):
        _cast_precise_now(tree)
    if "$" in sql:
        for quoted in list(tree.find_all(exp.RawString)):
            quoted.replace(exp.Literal.string(quoted.this))
    if "&'" in sql:
        for coded in list(tree.find_all(exp.UnicodeString)):
            escape = coded.args.get("escape")
            mark = escape.name if isinstance(escape, exp.Expr) else "\\"
            coded.replace(exp.Literal.string(decoded(str(coded.this), mark)))
    if _NEGATION.search(sql):
        enclose_negations(tree)
    if _VALUES.search(sql):
        for test in list(tree.find_all(exp.In)):
            if len(test.expressions) == 1 and isinstance(test.expressions[0], exp.Values):
                test.set("query", exp.Subquery(this=test.expressions[0]))
                test.set("expressions", None)
    if "|/" in sql:
        normalise_roots(tree, _OTHER_OPERATORS)
    if _PLACEHOLDER.search(sql):
        placeholder = tree.find(exp.Placeholder)
        if placeholder is not None:
            sign = ":" if placeholder.this else "?"
            raise UnparsableStatement(
                "42601", f'syntax error at or near "{sign}"', position=position_of(placeholder)
            )


def _cast_precise_now(tree: exp.Expr) -> None:
    """``current_timestamp(3)`` and ``localtimestamp(3)`` are casts of the same without (3)."""
    for now in list(tree.find_all(exp.CurrentTimestamp, exp.Localtimestamp)):
        digits = now.this
        if isinstance(digits, exp.Literal):
            is_local = isinstance(now, exp.Localtimestamp)
            kind = exp.DType.TIMESTAMP if is_local else exp.DType.TIMESTAMPTZ
            size = exp.DataTypeParam(this=digits.copy())
            now.set("this", None)
            cast = exp.Cast(to=exp.DataType(this=kind, expressions=[size], nested=False))
            now.replace(cast)
            cast.set("this", now)


def refuse_misread(node: exp.Expr) -> None:
    """Refuse one node whose place in the tree may differ from PostgreSQL's reading.

    Meant to be called for every node of the statement, by whoever walks it anyway.
    """
    if isinstance(node, _OTHER_OPERATORS):
        for child in (node.this, node.expression):
            if isinstance(child, _OTHER_OPERATORS) and type(child) is not type(node):
                raise _ambiguous(node)
    elif isinstance(node, exp.BitwiseNot):
        around = node.parent
        if isinstance(around, exp.Binary | exp.Unary) and not isinstance(around, exp.Paren):
            raise _ambiguous(node)
    elif isinstance(node, exp.Parameter) and not isinstance(node.this, exp.Literal):
        raise UnsupportedError(
            "the prefix operator @ is not supported",
            hint="Write abs() instead.",
            position=position_of(node),
        )


def _ambiguous(node: exp.Expr) -> UnsupportedError:
    return UnsupportedError(
        "a mixture of operators of the same precedence without parentheses is not supported",
        hint="Put parentheses around the operands.",
        position=position_of(node),
    )


def _tokenize(sql: str) -> list[Token]:
    """The tokens of a text, with their places in it.

    The tokenizer takes ``$1,$`` for the opening of a dollar-quoted string, whose tag cannot begin
    with a digit in PostgreSQL. So it is given a blank behind each parameter, and the places of the
    tokens are moved back.
    """
    if "$" not in sql:
        return list(POSTGRES.tokenize(sql))
    gaps: list[int] = []

    def spaced(match: re.Match[str]) -> str:
        if not match["number"]:
            return match[0]
        gaps.append(match.end() + len(gaps))
        return match[0] + " "

    tokens = list(POSTGRES.tokenize(_PARAMETER.sub(spaced, sql)))
    before = 0
    for token in tokens:
        while before < len(gaps) and gaps[before] < token.start:
            before += 1
        token.start -= before
        token.end -= before
    return tokens


def _readable(sql: str, tokens: list[Token]) -> list[Token]:
    """The tokens of a statement, put so that the parser reads what PostgreSQL does."""
    if SCHEMA in sql.lower():
        tokens = without_builtin_schema(tokens)
    if _INTERVAL.search(sql):
        refuse_cut_intervals(tokens)
        tokens = cast_intervals(tokens)
    if _USING.search(sql):
        tokens = with_directions(tokens)
    if _GROUPINGS.search(sql):
        tokens = with_enclosed_groupings(tokens)
    return enclosed_literals(tokens)


def _refuse_misread_tokens(sql: str, tokens: list[Token]) -> None:
    for token in tokens:
        if token.token_type is TokenType.PARAMETER and sql[token.start] != "$":
            raise UnsupportedError(
                f"the prefix operator {sql[token.start]} is not supported",
                hint="Write abs() instead.",
                position=token.start + 1,
            )


def _error_position(sql: str, error: ParseError) -> int | None:
    """The 1-based character position of a parse error, from its line and column."""
    if not error.errors:
        return None
    line, column = error.errors[0].get("line"), error.errors[0].get("col")
    highlight = error.errors[0].get("highlight") or ""
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    start = 0
    for _ in range(line - 1):
        start = sql.find("\n", start) + 1
    # The parser counts to the end of the token that it stumbled over.
    return max(1, start + column - max(len(highlight) - 1, 0))


__all__ = ["ParsedStatement", "UnparsableStatement", "parse", "refuse_misread"]
