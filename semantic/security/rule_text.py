"""Row rules as SQL, for people: what is run binds the values instead."""

from __future__ import annotations

from semantic.security.conditions import Combination, RowComparison, RowCondition

_NULL_TESTS = ("is null", "is not null")


def rule_text(condition: RowCondition) -> str:
    """A row rule as a condition in SQL, with its values in it.

    >>> rule_text(Combination("or"))
    'false'
    """
    if isinstance(condition, RowComparison):
        return _comparison(condition)
    if not condition.conditions:
        return "true" if condition.operator == "and" else "false"
    parts = [_enclosed(item, condition) for item in condition.conditions]
    return f" {condition.operator.upper()} ".join(parts)


def _enclosed(condition: RowCondition, around: Combination) -> str:
    text = rule_text(condition)
    several = isinstance(condition, Combination) and len(condition.conditions) > 1
    return f"({text})" if several and around.operator == "and" else text


def _comparison(item: RowComparison) -> str:
    operator = item.operator.upper()
    if item.operator in _NULL_TESTS:
        return f"{item.member} {operator}"
    if isinstance(item.value, tuple):
        return f"{item.member} {operator} ({', '.join(map(_literal, item.value))})"
    return f"{item.member} {operator} {_literal(item.value)}"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
