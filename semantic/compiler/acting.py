"""Cube's way to act for another user: ``WHERE __user = 'x'`` on a cube or view.

The condition says on whose behalf the whole statement runs; it is no condition on rows, and is gone
before the statement is analysed. Anything that is not plainly that is refused: a condition that is
taken away by mistake would show rows that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from semantic.compiler.join_field import USER_FIELD
from semantic.compiler.names import name_of
from semantic.compiler.parse import parse
from semantic.compiler.utility.lexer import Kind, Token, next_token
from semantic.errors import UnsupportedError

LONGEST = 16_384
"""Characters of a statement that is looked through for it, on the event loop."""

_TRUE = "TRUE"


@dataclass(frozen=True, slots=True)
class ActingStatement:
    """A statement that is to run for another user.

    Attributes:
        user: whom it is to run for.
        sql: the statement without the conditions. Everything else is where it was: what was taken
            away became ``TRUE`` and blanks.
        position: of the first condition, from 1.
    """

    user: str
    sql: str
    position: int


@dataclass(frozen=True, slots=True)
class _Condition:
    user: str
    start: int
    end: int


def acting_statement(sql: str) -> ActingStatement | None:
    """Whom a statement asks to be run for; None where it does not.

    Args:
        sql: one statement that may read cubes.

    Raises:
        UnsupportedError: 0A000, it speaks of ``__user`` in another way, or of several users.
        UnparsableStatement: it cannot be read.
    """
    if USER_FIELD not in sql.lower():
        return None
    if len(sql) > LONGEST:
        raise _refusal(f"{USER_FIELD} in a statement of more than {LONGEST} characters", None)
    tokens = list(_tokens(sql))
    named = [index for index, token in enumerate(tokens) if _is_field(token)]
    if not named:
        return None
    conditions = [_condition(tokens, index) for index in named]
    _check_tree(parse(sql).tree, conditions)
    users = {condition.user for condition in conditions}
    if len(users) > 1:
        raise _refusal(f"several users in conditions on {USER_FIELD}", conditions[1].start)
    text = sql
    for condition in conditions:
        blank = _TRUE.ljust(condition.end - condition.start)
        text = text[: condition.start] + blank + text[condition.end :]
    return ActingStatement(users.pop(), text, conditions[0].start + 1)


def _tokens(sql: str) -> Iterator[Token]:
    token = next_token(sql, 0)
    while token.kind is not Kind.END:
        yield token
        token = next_token(sql, token.end)


def _is_field(token: Token) -> bool:
    return token.kind in (Kind.WORD, Kind.QUOTED_NAME) and token.value == USER_FIELD


def _condition(tokens: list[Token], index: int) -> _Condition:
    """The comparison with a string that the name at an index stands in."""
    first = index
    while first >= 2 and tokens[first - 1].value == "." and _is_name(tokens[first - 2]):
        first -= 2
    behind, before = tokens[index + 1 : index + 3], tokens[max(0, first - 2) : first]
    if _is_comparison(behind, string=1):
        return _Condition(behind[1].value, tokens[first].start, behind[1].end)
    if _is_comparison(before, string=0):
        return _Condition(before[0].value, before[0].start, tokens[index].end)
    raise _refusal(f"{USER_FIELD} here", tokens[index].start)


def _is_name(token: Token) -> bool:
    return token.kind in (Kind.WORD, Kind.QUOTED_NAME)


def _is_comparison(pair: list[Token], *, string: int) -> bool:
    if len(pair) != 2:
        return False
    operator = pair[1 - string]
    return (
        pair[string].kind is Kind.STRING
        and operator.kind is Kind.OPERATOR
        and operator.value == "="
    )


def _check_tree(tree: exp.Expr, conditions: list[_Condition]) -> None:
    """Refuse where the names that the text holds are not all conditions at the top of a WHERE."""
    found = [
        identifier
        for identifier in tree.find_all(exp.Identifier)
        if name_of(identifier) == USER_FIELD
    ]
    users = [_required_user(identifier) for identifier in found]
    if sorted(user or "" for user in users) != sorted(each.user for each in conditions):
        raise _refusal(f"{USER_FIELD} here", conditions[0].start)


def _required_user(identifier: exp.Identifier) -> str | None:
    """The user that a condition asks for; None where the name is used otherwise."""
    column = identifier.parent
    if not isinstance(column, exp.Column) or column.this is not identifier:
        return None
    comparison = column.parent
    if type(comparison) is not exp.EQ:
        return None
    other = comparison.expression if comparison.this is column else comparison.this
    if not isinstance(other, exp.Literal) or not other.is_string:
        return None
    node = comparison.parent
    while isinstance(node, exp.And | exp.Paren):
        node = node.parent
    if not isinstance(node, exp.Where) or not isinstance(node.parent, exp.Select):
        return None
    return str(other.this) if _reads_relation(node.parent, column.table) else None


def _reads_relation(select: exp.Select, qualifier: str) -> bool:
    """Whether FROM has a relation, of the name that the column is qualified with."""
    from_ = select.args.get("from_")
    joins = select.args.get("joins") or ()
    places = [item.this for item in (from_, *joins) if item is not None]
    tables = [item for item in places if isinstance(item, exp.Table)]
    return any(not qualifier or item.alias_or_name == qualifier for item in tables)


def _refusal(what: str, start: int | None) -> UnsupportedError:
    return UnsupportedError(
        f"{what} is not supported",
        hint=f"Write WHERE {USER_FIELD} = 'name', joined to other conditions by AND, on a cube; "
        "or SET ROLE.",
        position=None if start is None else start + 1,
    )
