"""From rules to methods."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any, get_args

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.auth import methods
from proxy.auth.opening import open_authenticator
from proxy.auth.setup import SetupError
from proxy.config import load_config
from proxy.config.rules import AnyRule


def configured(*rules: dict[str, Any], **auth: Any) -> Any:
    values = {
        "auth": {"rules": list(rules), **auth},
        "tls.mode": "require",
        "tls.client_ca": "ca.pem",
    }
    return load_config(None, {}, values).auth


def test_every_method_has_options_and_a_module() -> None:
    names = {get_args(kind.model_fields["method"].annotation)[0] for kind in get_args(AnyRule)}
    modules = {module.name for module in pkgutil.iter_modules(methods.__path__)}
    assert modules == names - {"reject"}
    for name in modules:
        assert callable(importlib.import_module(f"proxy.auth.methods.{name}").open_method)


async def test_all_methods_open(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    keys = tmp_path / "keys.json"
    public = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
    keys.write_text(json.dumps({"keys": [public]}))
    token = {"method": "jwt", "issuer": "i", "audience": "a"}
    auth = configured(
        {"method": "reject"},
        {"method": "scram"},
        {"method": "password"},
        {"method": "trust", "address": "::1"},
        {**token, "jwks_file": str(keys)},
        {**token, "jwks_url": "https://i/keys"},
        {**token, "secret": "s" * 32},
        {"method": "ldap", "url": "ldaps://d", "bind_dn": "uid={user}"},
        {"method": "certificate"},
        {"method": "http", "url": "https://h"},
        {"method": "python", "function": "json:dumps"},
        users={"a": {"password": "x", "groups": ["g"]}},
    )
    async with open_authenticator(auth, b"s" * 32) as opened:
        names = [rule.method.name if rule.method else "reject" for rule in opened.rules]
        assert names == [rule.method for rule in auth.rules]
        known = opened.users.get("a")
        assert known is not None
        assert known.verifier is not None
        assert known.grants.groups == {"g"}


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"method": "python", "function": "no.such:thing"}, "no.such:thing cannot be imported"),
        (
            {"method": "jwt", "issuer": "i", "audience": "a", "jwks_file": "/none.json"},
            "none.json",
        ),
    ],
)
async def test_what_a_rule_names_must_be_there(rule: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SetupError) as caught:
        async with open_authenticator(configured(rule), b"s" * 32):
            raise AssertionError("opened")
    assert complaint in str(caught.value)


async def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap3", None)
    monkeypatch.delitem(sys.modules, "proxy.auth.methods.ldap", raising=False)
    rule = {"method": "ldap", "url": "ldaps://d", "bind_dn": "uid={user}"}
    with pytest.raises(SetupError, match=r"cubewire\[ldap\]"):
        async with open_authenticator(configured(rule), b"s" * 32):
            raise AssertionError("opened")


async def test_an_unsafe_users_file_keeps_the_server_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    path.write_text("anna: {}\n")
    path.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        async with open_authenticator(
            configured({"method": "scram"}, users_file=str(path)), b"s" * 32
        ):
            raise AssertionError("opened")
