"""``to_char`` of numbers: every case that the pattern leaves open, told apart in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from semantic.compiler.expressions.duckdb.build import number, sql
from semantic.compiler.expressions.duckdb.translator import Translator
from semantic.compiler.expressions.number_formats import (
    Digit,
    NumberFormat,
    Piece,
    read_number_format,
    write_case,
)
from semantic.model.types import PostgresType

# How many digits of a double and of a real are sure to be right.
_SURE = {"float8": 15, "float4": 6}
_NUMERIC = "{'t': ltrim(CAST(_1 AS VARCHAR), '-'), 'n': _1 < 0, 'q': 0}"
_INTEGER = "{{'t': ltrim(CAST(_1 AS VARCHAR), '-') || '{rest}', 'n': _1 < 0, 'q': 0}}"
_FLOAT = """list_transform([CAST(_1 AS DOUBLE)], lambda d: list_transform([CASE
    {choices} END], lambda q: {{'q': q, 'n': d < 0 OR starts_with(printf('%.1f', d), '-'),
    't': CASE WHEN d IS NULL THEN NULL WHEN isnan(d) THEN 'NaN' WHEN isinf(d) THEN 'Infinity'
      ELSE ltrim(CASE {texts} END, '-') END}})[1])[1]"""
_MEASURED = """list_transform([_1], lambda y: {{'t': y.t, 'n': y.n, 'q': y.q,
  'l': CAST(length(split_part(y.t, '.', 1)) AS INTEGER), 'z': {zeros}}})[1]"""
_FIELD = re.compile(r"\bx\.([a-z])\b")
_ZEROS = "CAST(length(y.t) - length(rtrim(y.t, '0')) AS INTEGER)"


def number_text(
    translator: Translator, node: exp.Expr, kind: PostgresType, pattern: str
) -> exp.Expr:
    """``to_char(number, pattern)``, the number being of the type that the signature takes."""
    form = read_number_format(pattern)
    if kind.name == "numeric":
        rounded = exp.Round(this=node.copy(), decimals=number(form.post))
        value, source = translator.value(rounded).node, _NUMERIC
    elif kind.name in _SURE:
        value, source = translator.typed(node, kind), _float_source(form, _SURE[kind.name])
    else:
        rest = "." + "0" * form.post if form.post else ""
        value, source = translator.typed(node, kind), _INTEGER.format(rest=rest)
    posts = _posts(form, _SURE[kind.name]) if kind.name in _SURE else [form.post]
    branches = [
        f"WHEN {'x.n' if sign == '-' else 'NOT x.n'}{_and_post(post, posts)} "
        f"THEN {_by_length(form, sign, post, special=kind.name in _SURE)}"
        for sign in "+-"
        for post in posts
    ]
    zeros = _ZEROS if form.fill and form.decimal else "0"
    measured = sql(_MEASURED.format(zeros=zeros), sql(source, value))
    # As text: it is long, holds no operand, and need not be parsed to be written again.
    cases = f"CASE WHEN x.t IS NULL THEN NULL {' '.join(branches)} END"
    told = exp.Var(this="LAMBDA cw_x : " + _FIELD.sub(r"cw_x['\1']", cases))
    return sql("list_transform([_1], _2)[1]", measured, told)


def _and_post(post: int, posts: Sequence[int]) -> str:
    return "" if len(posts) == 1 else f" AND x.q = {post}"


def _posts(form: NumberFormat, sure: int) -> list[int]:
    """Every number of decimals that a float is shown with: fewer, where its digits end before."""
    return sorted({_post(form, before, sure) for before in range(1, sure + 1)}, reverse=True)


def _post(form: NumberFormat, before: int, sure: int) -> int:
    return 0 if before >= sure else min(form.post, sure - before)


def _float_source(form: NumberFormat, sure: int) -> str:
    posts = _posts(form, sure)
    longest = {post: 0 for post in posts}
    for before in range(1, sure + 1):
        longest[_post(form, before, sure)] = before
    size = "length(printf('%.0f', abs(d)))"
    choices = [f"WHEN {size} <= {longest[post]} THEN {post}" for post in posts if post]
    texts = [f"WHEN q = {post} THEN printf('%.{post}f', d)" for post in posts if post]
    return _FLOAT.format(
        choices=" ".join([*choices, "WHEN TRUE THEN 0"]),
        texts=" ".join([*texts, "WHEN TRUE THEN printf('%.0f', d)"]),
    )


def _by_length(form: NumberFormat, sign: str, post: int, *, special: bool) -> str:
    """By the number of digits before the point."""
    cases = []
    if special:
        cases += [
            f"WHEN x.t = '{word}' THEN {_special(form, sign, post, word)}"
            for word in ("NaN", "Infinity")
        ]
    if form.pre:
        zero: list[Piece] = ["0"]
        cases.append(f"WHEN starts_with(x.t, '0') THEN {_by_zeros(form, sign, post, zero)}")
    for before in range(1, form.pre + 1):
        digits: list[Piece] = [Digit(place) for place in range(before)]
        cases.append(f"WHEN x.l = {before} THEN {_by_zeros(form, sign, post, digits)}")
    over: list[Piece] = [*("#" * form.pre), ".", *("#" * post)]
    pieces = write_case(form, sign, over, post=post, before=form.pre, zeros=0)
    if not cases:
        return _joined(pieces)
    return f"CASE {' '.join(cases)} ELSE {_joined(pieces)} END"


def _special(form: NumberFormat, sign: str, post: int, word: str) -> str:
    number_: list[Piece] = list(word)
    before = len(word)
    if before > form.pre:
        number_, before = [*("#" * form.pre), ".", *("#" * post)], form.pre
    return _joined(write_case(form, sign, number_, post=post, before=before, zeros=0))


def _by_zeros(form: NumberFormat, sign: str, post: int, digits: list[Piece]) -> str:
    """By the number of zeros at the end, where FM takes them away."""
    before = len(digits)
    whole = digits
    if post:
        whole = [*digits, ".", *(Digit(before + 1 + place) for place in range(post))]
    texts = [
        _joined(write_case(form, sign, whole, post=post, before=before, zeros=zeros))
        for zeros in range(post + 1)
    ]
    if len(set(texts)) == 1:
        return texts[0]
    cases = [f"WHEN x.z = {zeros} THEN {text}" for zeros, text in enumerate(texts[:-1])]
    return f"CASE {' '.join(cases)} ELSE {texts[-1]} END"


def _quoted(text: str) -> str:
    """A literal inside a template, where words mean something: letter by letter, if it has any."""
    pieces = list(text) if re.search(r"[\w(]", text) else [text]
    return " || ".join("'" + piece.replace("'", "''") + "'" for piece in pieces)


def _joined(pieces: Sequence[Piece]) -> str:
    """The pieces as SQL: texts, and runs of digits of ``x.t``."""
    parts: list[str] = []
    place = 0
    while place < len(pieces):
        piece = pieces[place]
        if isinstance(piece, str):
            parts.append(_quoted(piece))
            place += 1
            continue
        size = 1
        while place + size < len(pieces) and pieces[place + size] == Digit(piece.place + size):
            size += 1
        parts.append(f"substring(x.t, {piece.place + 1}, {size})")
        place += size
    return " || ".join(parts) if parts else "''"
