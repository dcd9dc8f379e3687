"""Which rule decides, and what it says where it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from proxy.auth.authenticator import Authenticator
from proxy.auth.client_certificate import ClientCertificate
from proxy.auth.errors import AuthenticationFailed
from proxy.auth.grants import NOTHING, Grants, GrantsError
from proxy.auth.method import Refused
from proxy.auth.methods.trust import TrustMethod
from proxy.auth.patterns import AddressPattern, NamePattern
from proxy.auth.plain import PasswordMethod
from proxy.auth.request import LoginRequest
from proxy.auth.rules import Rule
from proxy.auth.throttle import FailureThrottle
from proxy.auth.users import KnownUser, Users
from proxy.wire.backend import AuthenticationCleartextPassword, AuthenticationOk
from tests.auth.support import Clock, Door

ANNA = KnownUser(None, Grants.read({"groups": "analysts", "attributes": {"region": "north"}}))
USERS = Users({"anna": ANNA, "bert": KnownUser()})


class Checker:
    """Takes the password `right`, and says what it was made with."""

    name = "checker"

    def __init__(self, grants: Grants = NOTHING, *, counts: bool = True) -> None:
        self.grants, self.counts = grants, counts

    async def check(self, request: LoginRequest, password: str) -> Grants:
        if password != "right":
            raise Refused("secret reason", counts=self.counts)
        return self.grants

    async def close(self) -> None:
        pass


TRUST = TrustMethod(USERS)
ASK = PasswordMethod(Checker())


def door(*rules: Rule, limit: int = 3) -> Door:
    throttle = FailureThrottle(Clock(), base=0.5, longest=8, limit=limit, window=300)
    return Door(Authenticator(rules, USERS, throttle, now=lambda: 1000.0))


def named(*texts: str) -> NamePattern:
    return NamePattern.of(texts)


def refusal(door: Door, user: str = "anna", **known: Any) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        door.begin(user, **known)
    assert caught.value.severity == "FATAL"
    return caught.value


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        Rule(None, user=named("bert")),
        Rule(ASK, user=named("/b.*/", "anna"), address=AddressPattern.of(("10.0.0.0/8",))),
        Rule(TRUST, user=named("anna", "bert")),
    ]
    encrypted = {"encrypted": True}
    asked = door(*rules).begin("anna", address="10.0.0.1", **encrypted).first()
    assert [type(each) for each in asked] == [AuthenticationCleartextPassword]
    trusted = door(*rules).begin("anna", address="10.0.0.1".replace("10", "11")).first()
    assert [type(each) for each in trusted] == [AuthenticationOk]
    rejected = refusal(door(*rules), "bert", address="10.0.0.1")
    assert (rejected.sqlstate, rejected.message) == (
        "28000",
        'auth.rules rejects connection for host "10.0.0.1", user "bert", database "cubewire", '
        "no encryption",
    )
    # Turned round, the same rejection comes too late.
    assert door(*reversed(rules)).begin("bert", address="10.0.0.1").done


def test_no_rule_is_a_refusal() -> None:
    rules = door(Rule(ASK, tls_only=True, database=named("cubewire")), Rule(TRUST, named("other")))
    plain = refusal(rules, address="::1")
    assert (plain.sqlstate, plain.message, plain.hint) == (
        "28000",
        'no entry of auth.rules for host "::1", user "anna", database "cubewire", no encryption',
        "Connect with sslmode=require.",
    )
    assert not rules.begin("anna", encrypted=True).done
    assert "SSL encryption" in refusal(door(Rule(TRUST, named("other"))), encrypted=True).message
    assert "no entry" in refusal(door()).message


def test_a_rule_for_tls_is_not_for_others() -> None:
    """A downgraded connection falls through to what comes behind, and there is nothing."""
    rules = door(Rule(ASK, tls_only=True))
    assert "no encryption" in refusal(rules).message
    behind = door(Rule(ASK, tls_only=True), Rule(None))
    assert "rejects" in refusal(behind).message


def test_names_that_no_rule_is_for() -> None:
    long = "a" * 129
    assert "too long" in refusal(door(Rule(TRUST)), long).message


@pytest.mark.parametrize(
    ("wanted", "names", "complaint"),
    [
        ("require", None, "connection requires a valid client certificate"),
        ("match", None, "connection requires a valid client certificate"),
        ("match", ("bert",), 'certificate authentication failed for user "anna"'),
        ("match", ("anna", "anna"), 'certificate authentication failed for user "anna"'),
        ("match", ("anna\0.evil",), 'certificate authentication failed for user "anna"'),
        ("match", (), 'certificate authentication failed for user "anna"'),
        ("require", ("bert",), None),
        ("match", ("anna",), None),
    ],
)
def test_certificate_besides_the_method(
    wanted: Any, names: tuple[str, ...] | None, complaint: str | None
) -> None:
    certificate = None if names is None else ClientCertificate({"cn": names}, 2000.0)
    rules = door(Rule(TRUST, client_certificate=wanted))
    if complaint is None:
        assert rules.begin("anna", certificate=certificate).done
        return
    refused = [refusal(rules, certificate=certificate, address="a") for _ in range(4)]
    assert refused[0].message == complaint
    assert [each.delay for each in refused[:3]] == [0.0, 0.5, 1.0]
    assert "too many failed" in refused[3].message


def test_what_is_known_of_the_user_adds_up() -> None:
    checker = Checker(
        Grants.read(
            {
                "groups": ["g"],
                "attributes": {"region": "south", "level": 3},
                "tenant": "acme",
                "expires": 5000,
            }
        )
    )
    rule = Rule(PasswordMethod(checker), grants=Grants.read({"roles": "ruled"}), lifetime=100.0)
    rules = door(rule)
    entrance = rules.begin("anna", encrypted=True, address="a", application="app")
    assert entrance.receive(b"right\0").done
    context, standing = entrance.attempt.outcome()
    assert (context.user, context.login, context.method) == ("anna", "anna", "checker")
    assert context.groups == {"g", "analysts"}
    assert context.roles == {"ruled"}
    assert dict(context.attributes.items) == {"region": "north", "level": 3}
    assert (context.tenant, context.application, context.address) == ("acme", "app", "a")
    assert context.expires == standing.expires == 1100.0
    assert rules.authenticator.objection(standing) is None
    late = dataclasses.replace(rules.authenticator, now=lambda: 1100.0)
    assert late.objection(standing) == "identity has expired"
    changed = Users({"anna": KnownUser(None, Grants.read({"groups": "others"}))})
    for users in (changed, Users({})):
        revoked = dataclasses.replace(rules.authenticator, users=users)
        assert revoked.objection(standing) == "identity has been revoked"


def test_a_login_that_is_drawn_out_proves_nothing_new() -> None:
    """The password was changed, or the user removed, after the login had begun."""
    known = {"anna": ANNA}
    users = Users(known)
    throttle = FailureThrottle(Clock(), base=0.5, longest=8, limit=3, window=300)
    rules = Door(Authenticator([Rule(ASK)], users, throttle, now=lambda: 1000.0))
    for changed in ({}, {"anna": KnownUser()}):
        entrance = rules.begin("anna", encrypted=True)
        users._users = changed
        assert entrance.receive(b"right\0").done
        with pytest.raises(AuthenticationFailed, match="password authentication failed"):
            entrance.attempt.outcome()
        users._users = known


@pytest.mark.parametrize(
    "grants", [{"tenant": "other"}, {"expires": 1000}, {"expires": 10.5, "tenant": "acme"}]
)
def test_contradictions_and_ended_identities_are_refused(grants: dict[str, object]) -> None:
    checker = Checker(Grants.read(grants))
    rules = door(Rule(PasswordMethod(checker), grants=Grants.read({"tenant": "acme"})))
    entrance = rules.begin("anna", encrypted=True)
    assert entrance.receive(b"right\0").done
    with pytest.raises(AuthenticationFailed) as caught:
        entrance.attempt.outcome()
    assert caught.value.message == 'password authentication failed for user "anna"'


def test_every_checker_is_throttled_but_for_answers_that_never_came() -> None:
    rules = door(Rule(PasswordMethod(Checker())))

    def attempt(rules: Door) -> AuthenticationFailed:
        entrance = rules.begin("anna", encrypted=True)
        with pytest.raises(AuthenticationFailed) as caught:
            entrance.receive(b"wrong\0")
        return caught.value

    late = rules.begin("anna", encrypted=True)
    failures = [attempt(rules) for _ in range(3)]
    assert [each.delay for each in failures] == [0.0, 0.5, 1.0]
    assert {(each.sqlstate, each.message) for each in failures} == {
        ("28P01", 'password authentication failed for user "anna"')
    }
    assert "too many failed" in refusal(rules, encrypted=True).message
    # One that had begun before gets no guess more.
    with pytest.raises(AuthenticationFailed, match="too many failed"):
        late.receive(b"right\0")
    silent = door(Rule(PasswordMethod(Checker(counts=False))))
    assert [attempt(silent).delay for _ in range(5)] == [0.0] * 5


@pytest.mark.parametrize(
    "data",
    [
        {"group": ["a"]},
        {"groups": [1]},
        {"groups": [""]},
        {"groups": ["*"]},
        {"roles": {"a": 1}},
        {"attributes": ["a"]},
        {"attributes": {"a": [[[[[[[[[1]]]]]]]]]}},
        {"tenant": ""},
        {"tenant": 7},
        {"expires": "tomorrow"},
        {"expires": True},
        {"expires": float("inf")},
        {"expires": float("nan")},
        {"expires": 10**400},
        {"act_as": [None]},
    ],
)
def test_grants_that_cannot_be_read(data: dict[str, object]) -> None:
    with pytest.raises(GrantsError):
        Grants.read(data)
