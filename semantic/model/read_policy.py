"""Readers of access policies and filters."""

from __future__ import annotations

from typing import Any, get_args

from semantic.model.condition import Condition
from semantic.model.policy import (
    AccessPolicy,
    FilterCombination,
    FilterNode,
    FilterOperator,
    FilterValue,
    MemberFilter,
    MemberRule,
    RowRule,
)
from semantic.model.read_condition import ConditionError, parse_condition
from semantic.model.reading import (
    Reader,
    Reading,
    boolean,
    caller_template,
    choice,
    is_absent,
    listing,
    one_or_many,
    reference,
    text,
)
from semantic.model.template import SecurityContextReference
from semantic.model.tree import ListNode, MapNode, Node, ScalarNode, scalar_value

OPERATORS: tuple[str, ...] = get_args(FilterOperator)
_WITHOUT_VALUES = frozenset({"set", "notSet"})


def _value(reading: Reading, node: Node) -> tuple[FilterValue] | None:
    """A literal or one attribute of the caller, in a tuple since it may be null."""
    if not isinstance(node, ScalarNode):
        reading.problem(node, "type", "a value is a literal or one attribute of the caller")
        return None
    if "{" not in node.text and "}" not in node.text:
        return (scalar_value(node),)
    found = caller_template(reading, node)
    if found is None:
        return None
    parts = [part for part in found.parts if not isinstance(part, str) or part.strip()]
    if len(parts) == 1 and isinstance(parts[0], SecurityContextReference):
        return (parts[0],)
    message = 'a value is a literal or one attribute of the caller, such as "{ user.name }"'
    reading.problem(node, "filter-value", message)
    return None


def filter_node(reading: Reading, node: Node) -> FilterNode | None:
    """``{member, operator, values}``, ``{or: [...]}`` or ``{and: [...]}``."""
    keys: dict[str, Reader[Any]] = {
        "member": reference,
        "member_reference": reference,
        "operator": choice(*OPERATORS, "onTheDate"),
        "values": one_or_many(_value, "values"),
        "unless": one_or_many(reference, "unless"),
        "or": listing(filter_node, "or"),
        "and": listing(filter_node, "and"),
    }
    values = reading.mapping(node, "filter", keys)
    if values is None:
        return None
    for operator in ("or", "and"):
        if operator in values:
            if len(values) > 1:
                reading.problem(node, "filter", f'"{operator}" stands alone in a filter')
            return FilterCombination(operator, values[operator])
    values.setdefault("member", values.pop("member_reference", None))
    if values["member"] is None or "operator" not in values:
        for key in ("member", "operator"):
            if isinstance(node, MapNode) and is_absent(node.get(key)):
                reading.problem(node, "missing-key", f'filter has no "{key}"')
        return None
    return _member_filter(reading, node, values)


def _member_filter(reading: Reading, node: Node, values: dict[str, Any]) -> MemberFilter:
    operator = values["operator"]
    found = tuple(value for (value,) in values.get("values", ()))
    if operator == "onTheDate":
        operator = "inDateRange"
    has_values = isinstance(node, MapNode) and not is_absent(node.get("values"))
    if operator in _WITHOUT_VALUES and has_values:
        reading.problem(node, "filter-value", f"operator {operator} takes no values")
    if operator not in _WITHOUT_VALUES and not has_values:
        reading.problem(node, "filter-value", f"operator {operator} needs values")
    return MemberFilter(values["member"], operator, found, values.get("unless", ()))


def _test(reading: Reading, node: Node) -> Condition | None:
    template = caller_template(reading, node)
    if template is None:
        return None
    assert isinstance(node, ScalarNode)
    try:
        return Condition(template, parse_condition(template))
    except ConditionError as error:
        reading.problem(node.place(error.position), "condition", error.message)
        return None


def _condition(reading: Reading, node: Node) -> Condition | None:
    values = reading.mapping(node, "condition", {"if": _test}, ("if",))
    return values.get("if") if values else None


_names = listing(text, "members")


def _all_or_names(reading: Reading, node: Node) -> tuple[str, ...] | None:
    """``"*"`` as a tuple of that one name, or a list of names."""
    if isinstance(node, ScalarNode) and node.text == "*":
        return ("*",)
    if isinstance(node, ListNode):
        return _names(reading, node)
    reading.problem(node, "type", 'must be "*" or a list of members')
    return None


def _member_rule(reading: Reading, node: Node) -> MemberRule | None:
    keys = {"includes": _all_or_names, "excludes": _all_or_names}
    values = reading.mapping(node, "member rule", keys)
    if values is None:
        return None
    includes, excludes = values.get("includes", ("*",)), values.get("excludes", ())
    if "*" in excludes:
        return MemberRule(())
    return MemberRule(None if "*" in includes else includes, excludes)


def _row_rule(reading: Reading, node: Node) -> RowRule | None:
    keys = {"filters": listing(filter_node, "filters"), "allow_all": boolean}
    values = reading.mapping(node, "row_level", keys)
    if values is None:
        return None
    if ("filters" in values) == ("allow_all" in values):
        reading.problem(node, "row-level", 'row_level has either "filters" or "allow_all"')
    return RowRule(values.get("filters", ()), values.get("allow_all", False))


_POLICY_KEYS: dict[str, Reader[Any]] = {
    "group": text,
    "groups": listing(text, "groups"),
    "role": text,
    "conditions": listing(_condition, "conditions"),
    "member_level": _member_rule,
    "member_masking": _member_rule,
    "row_level": _row_rule,
}


def access_policy(reading: Reading, node: Node) -> AccessPolicy | None:
    """A policy. Whoever it is for must be said: a policy without a group or role is for nobody."""
    before = len(reading.problems)
    values = reading.mapping(node, "access policy", _POLICY_KEYS)
    if values is None:
        return None
    holders = [key for key in ("group", "groups", "role") if key in values]
    if len(holders) != 1 and len(reading.problems) == before:
        message = 'an access policy has one of "group", "groups" and "role"'
        reading.problem(node, "access-policy", message)
    groups = values.pop("groups", ())
    if "group" in values:
        groups = (values.pop("group"), *groups)
    role = values.pop("role", None)
    roles = () if role is None else (role,)
    return AccessPolicy(groups=groups, roles=roles, location=node.location, **values)
