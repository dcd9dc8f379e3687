"""The keys of logins: what goes together, and what would be unsafe."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.auth.sealing import sealed
from proxy.config import Config, ConfigError, load_config
from proxy.config.rules import JwtRule, RejectRule, ScramRule
from tests.architecture.sources import ROOT

JWT = {
    "method": "jwt",
    "jwks_url": "https://i/keys",
    "issuer": "i",
    "audience": "a",
    "tls": "require",
}
LDAP = {"method": "ldap", "url": "ldaps://d", "bind_dn": "uid={user}", "tls": "require"}
HTTP = {"method": "http", "url": "https://h/login", "tls": "require"}
CERTIFICATE = {"method": "certificate"}
CA = {"tls": {"client_ca": "ca.pem"}}
OPEN = {"server": {"host": "0.0.0.0"}}


def load(folder: Path, values: dict[str, Any]) -> Config:
    path = folder / "cubewire.yml"
    path.write_text(yaml.safe_dump(values))
    return load_config(path, {})


def rules(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"auth": {"rules": list(entries)}, **more}


def test_rules_in_order_with_their_paths(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "tls": {"client_ca": "ca.pem"},
            "auth": {
                "users_file": "users.yml",
                "rules": [
                    {"method": "reject", "user": "root"},
                    {**JWT, "jwks_url": None, "jwks_file": "keys.json", "clock_skew": "1min"},
                    {"method": "scram", "database": ["a", "b"], "session_lifetime": "8h"},
                ],
            },
        },
    )
    first, second, third = config.auth.effective_rules
    assert isinstance(first, RejectRule)
    assert first.user == ("root",)
    assert isinstance(second, JwtRule)
    assert (second.jwks_file, second.clock_skew) == (tmp_path / "keys.json", 60)
    assert "HS256" not in second.effective_algorithms
    assert isinstance(third, ScramRule)
    assert (third.database, third.session_lifetime) == (("a", "b"), 28800)
    assert config.auth.users_file == tmp_path / "users.yml"
    assert config.tls.client_ca == tmp_path / "ca.pem"


def test_the_readmes_example_is_one(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (example,) = [
        each for each in re.findall(r"```yaml\n(.*?)```", readme, re.S) if "rules:" in each
    ]
    config = load(tmp_path, yaml.safe_load(textwrap.dedent(example)))
    assert len(config.auth.rules) == 5


def test_without_rules_the_method_is_the_only_one(tmp_path: Path) -> None:
    (only,) = load(tmp_path, {}).auth.effective_rules
    assert isinstance(only, ScramRule)
    assert only.user == ("all",)


@pytest.mark.parametrize(
    "values",
    [
        rules(JWT),
        rules({**JWT, "jwks_url": None, "secret": "s" * 32}),
        rules({**JWT, "jwks_url": "http://127.0.0.1:1/keys"}),
        rules(LDAP),
        rules({**LDAP, "url": ["ldap://d", "ldaps://e:7"], "start_tls": True}),
        rules({**LDAP, "url": "ldap://localhost"}),
        rules(HTTP),
        rules(CERTIFICATE, **CA),
        rules({"method": "scram", "client_certificate": "match"}, **CA),
        rules({"method": "python", "function": "a.b:c"}, tls={"mode": "require"}),
        rules({"method": "trust", "address": ["127.0.0.1", "::1"]}, **OPEN),
        rules({"method": "password", "tls": "require"}),
        {"auth": {"users": {"a": {"groups": "g"}}, "rules": [JWT]}},
    ],
)
def test_taken(tmp_path: Path, values: dict[str, Any]) -> None:
    assert load(tmp_path, values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"auth": {"rules": []}}, "auth.rules is empty"),
        ({"auth": {"rules": [JWT], "method": "scram"}}, "without auth.rules"),
        (rules({"method": "scram", "usr": "x"}), 'auth.rules.0.usr: unknown key "usr"; did you'),
        (rules({"method": "saml"}), "cubewire.yml:3:5: auth.rules.0: input tag 'saml'"),
        (rules({"user": "x"}), "auth.rules.0: unable to extract tag"),
        (rules({"method": "scram", "user": []}), "auth.rules.0.user"),
        (rules({"method": "scram", "user": "/(a*)*/"}), "exponential"),
        (rules({"method": "scram", "address": "10.0.0.1/8"}), "has host bits set"),
        (rules({"method": "scram", "groups": "*"}), "stands for everybody"),
        (rules({"method": "trust"}, **OPEN), "must be a loopback address or the rule's"),
        (rules({"method": "trust", "address": "10.0.0.0/8"}, **OPEN), "loopback"),
        (rules({"method": "trust", "address": "0.0.0.0/0"}, **OPEN), "loopback"),
        (rules({**JWT, "tls": "any"}), "needs tls.mode require, or tls: require"),
        (rules({**LDAP, "tls": "any"}), "needs tls.mode require, or tls: require"),
        (rules({**HTTP, "tls": "any"}), "needs tls.mode require, or tls: require"),
        (rules({"method": "python", "function": "a:b"}), "needs tls.mode require"),
        (rules({"method": "password"}), "needs tls.mode require"),
        (rules({"method": "scram", "tls": "require"}, tls={"mode": "off"}), "tls.mode is off"),
        (rules(CERTIFICATE), "needs tls.client_ca"),
        (rules({"method": "scram", "client_certificate": "require"}), "needs tls.client_ca"),
        (rules({**JWT, "secret": "s" * 32}), "one of jwks_url, jwks_file and secret"),
        (rules({**JWT, "jwks_url": None}), "one of jwks_url, jwks_file and secret"),
        (rules({**JWT, "jwks_url": "http://i/keys"}), "a URL begins with https://"),
        (rules({**JWT, "jwks_url": "file:///keys"}), "a URL reads https://host"),
        (rules({**JWT, "jwks_url": "https://u:p@i/keys"}), "without user and password"),
        (rules({**JWT, "algorithms": ["RS256", "HS256"]}), "algorithm HS256 does not fit"),
        (rules({**JWT, "algorithms": "none"}), "algorithm none does not fit"),
        (
            rules({**JWT, "jwks_url": None, "secret": "s" * 32, "algorithms": "RS256"}),
            "algorithm RS256 does not fit",
        ),
        (rules({**JWT, "jwks_url": None, "secret": "short"}), "secret needs at least 32 bytes"),
        (rules({**JWT, "audience": []}), "audience"),
        (rules({k: v for k, v in JWT.items() if k != "issuer"}), "issuer: field required"),
        (rules({**JWT, "clock_skew": "10min"}), "clock_skew"),
        (rules({**JWT, "user_pattern": "(a)(b)"}), "exactly one group"),
        (rules({**LDAP, "url": "ldap://d"}), "a URL begins with ldaps://"),
        (rules({**LDAP, "search_base": "dc=x"}), "either bind_dn or search_base"),
        (rules({**LDAP, "bind_dn": "uid=all"}), "bind_dn holds {user}"),
        (rules({**LDAP, "bind_dn": "{user}@corp"}), "bind_dn is a DN"),
        (rules({**LDAP, "search_dn": "cn=x"}), "given together"),
        (rules({**HTTP, "url": "http://h/login"}), "a URL begins with https://"),
        (rules({"method": "python", "function": "os.system"}), "function"),
        ({"tls": {"client_crl": "x"}}, "tls.client_crl needs tls.client_ca"),
        ({"auth": {"users": {"a": {"groups": "g"}}}}, "either a password or a verifier"),
        ({"auth": {"users": {"a": {"password": "x", "tenant": ""}}}}, "tenant"),
        (
            {"auth": {"users": {"a": {"password": "x", "attributes": {"a": {1: 2}}}}}},
            None,
        ),
    ],
)
def test_refused(tmp_path: Path, values: dict[str, Any], complaint: str | None) -> None:
    if complaint is None:
        assert load(tmp_path, values)
        return
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, values)
    assert complaint in str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({}, False),
        ({"rules": [{"method": "scram"}, {"method": "reject"}]}, False),
        ({"users": {"a": {"password": "x"}}}, True),
        ({"users_file": "users.yml"}, True),
        ({"rules": [{"method": "reject"}, JWT]}, True),
    ],
)
def test_whether_anybody_could_log_in(tmp_path: Path, auth: dict[str, Any], expected: bool) -> None:
    assert load(tmp_path, {"auth": auth}).auth.admits_somebody is expected


def test_sealing_takes_the_password_alone(tmp_path: Path) -> None:
    user = {"password": "hunter2", "groups": ["g"], "attributes": {"a": 1}, "act_as": "*"}
    config = load(tmp_path, {"auth": {"users": {"a": user}}})
    after = sealed(config, b"s" * 32).auth.users["a"]
    assert after.password is None
    assert after.verifier is not None
    assert after.grants() == config.auth.users["a"].grants()


def test_secrets_of_rules_are_not_shown(tmp_path: Path) -> None:
    secret = "hunter2" * 8
    config = load(
        tmp_path,
        rules(
            {**JWT, "jwks_url": None, "secret": secret},
            {**HTTP, "secret": secret},
            {**LDAP, "search_dn": "cn=x", "search_password": secret},
        ),
    )
    assert "hunter2" not in repr(config)
