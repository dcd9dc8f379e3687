from __future__ import annotations

import time

import pytest

from proxy.auth.identity_map import IdentityMap
from proxy.auth.patterns import LONGEST_NAME, AddressPattern, NamePattern, PatternError, expression


@pytest.mark.parametrize(
    ("texts", "matching", "others"),
    [
        (("all",), ["anna", "", "all"], []),
        (("anna", "bert"), ["anna", "bert"], ["Anna", "annab", "", "all"]),
        (("/svc_[a-z]+/",), ["svc_a", "svc_etl"], ["svc_", "xsvc_a", "svc_a1", "svc_a\n"]),
        (("anna", "/b.*/"), ["anna", "bert"], ["carl"]),
        (("/",), ["/"], ["a"]),
    ],
)
def test_names(texts: tuple[str, ...], matching: list[str], others: list[str]) -> None:
    pattern = NamePattern.of(texts)
    assert [name for name in matching if not pattern.matches(name)] == []
    assert [name for name in others if pattern.matches(name)] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("(a+)+", "exponential"),
        ("(a|a)*", "exponential"),
        ("((ab?)c)*", "exponential"),
        (r"([\])]|x){3}", "exponential"),
        (".*.*.*.*", "more than 3"),
        ("(", "no regular expression"),
    ],
)
def test_expressions_that_could_take_long_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(PatternError, match=complaint):
        expression(text)


@pytest.mark.parametrize("text", [r"(?:ab)+", r"[(+|*)]+x*", r"\(a+\)\*", "a|b|c", "(a|b)c*"])
def test_harmless_expressions_are_taken(text: str) -> None:
    assert expression(text).pattern == text


def test_the_dearest_expression_that_is_taken_costs_little() -> None:
    dearest = expression(".*a.*a.*b")
    started = time.process_time()
    assert not dearest.fullmatch("a" * LONGEST_NAME)
    assert time.process_time() - started < 0.05


def test_addresses() -> None:
    pattern = AddressPattern.of(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))
    inside = ["10.1.2.3", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3"]
    assert all(pattern.matches(each) for each in inside)
    outside = ["11.0.0.1", "192.0.2.8", "2001:db9::1", "local", "", "10.1.2.3.4"]
    assert not any(pattern.matches(each) for each in outside)
    assert AddressPattern.of(("all",)).matches("local")
    assert AddressPattern.of(("127.0.0.0/8", "::1")).is_loopback
    assert not pattern.is_loopback
    assert not AddressPattern.of(("0.0.0.0/0",)).is_loopback
    for wrong in ("10.0.0.1/8", "example.org", "10.0.0.0/33"):
        with pytest.raises(PatternError):
            AddressPattern.of((wrong,))


def test_identity_map() -> None:
    same = IdentityMap()
    assert same.allows("anna", "anna")
    assert not same.allows("anna", "Anna")
    assert not same.allows("", "")
    listed = IdentityMap.of(None, {"svc-1": ["etl", "report"]})
    assert listed.allows("svc-1", "etl")
    assert not listed.allows("svc-1", "svc-1")
    assert not listed.allows("etl", "etl")
    mail = IdentityMap.of(r"(.*)@example\.org", {})
    assert mail.allows("anna@example.org", "anna")
    for proved in ("anna@example.orgx", "anna@examplexorg", "anna@example.org\n", "@example.org"):
        assert not mail.allows(proved, "anna")
    assert not mail.allows("@example.org", "")
    with pytest.raises(PatternError, match="one group"):
        IdentityMap.of("(a)(b)", {})
