"""Makes function rules out of templates, so that families of functions can be plain tables."""

from __future__ import annotations

from sqlglot import exp

from semantic.compiler.expressions.constants import constant_text
from semantic.compiler.expressions.duckdb.build import sql
from semantic.compiler.expressions.duckdb.translator import FunctionRule, Translator
from semantic.compiler.expressions.duckdb.value import Value
from semantic.compiler.expressions.signatures.registry import Resolved
from semantic.compiler.expressions.syntax import Call
from semantic.errors import UnsupportedError


def arguments(translator: Translator, call: Call, resolved: Resolved) -> list[exp.Expr]:
    """A call's arguments in the types that its signature asks for."""
    return [
        translator.typed(node, kind)
        for node, kind in zip(call.arguments, resolved.arguments, strict=True)
    ]


def template(*texts: str, scale: int | None = None) -> FunctionRule:
    """A rule that fills a template; several of them are chosen from by the number of arguments."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        items = arguments(translator, call, resolved)
        text = texts[0]
        if len(texts) > 1:
            text = next(each for each in texts if _places(each) == len(items))
        return Value(sql(text, *items), resolved.result, scale=scale)

    return translate


def _places(text: str) -> int:
    return max((int(digit) for digit in "123456789" if f"_{digit}" in text), default=0)


def by_type(rules: dict[str, FunctionRule]) -> FunctionRule:
    """A rule for each type that the first argument is cast to."""

    def translate(translator: Translator, call: Call, resolved: Resolved) -> Value:
        name = resolved.arguments[0].name
        rule = rules.get(name) or rules.get("any")
        if rule is None:
            raise UnsupportedError(
                f"{call.name}({name}) is not supported on DuckDB",
                hint="Cast the argument to double precision if an approximate result will do."
                if name == "numeric"
                else None,
            )
        return rule(translator, call, resolved)

    return translate


def literal_text(node: exp.Expr, what: str) -> str:
    """A string literal's text, for arguments that must be known when a statement is compiled."""
    found = constant_text(node)
    if found is None:
        raise UnsupportedError(f"{what} must be a string literal")
    return found


def literal_integer(node: exp.Expr) -> int | None:
    """An integer constant's value; None for anything else."""
    sign = 1
    while isinstance(node, exp.Paren | exp.Neg):
        sign = -sign if isinstance(node, exp.Neg) else sign
        node = node.this
    if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
        return sign * int(node.this)
    return None
