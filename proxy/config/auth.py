"""Who may connect: the keys under ``auth`` and ``tls``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from proxy.auth.grants import Grants
from proxy.auth.patterns import AddressPattern, is_loopback
from proxy.auth.verifier import Verifier
from proxy.config.rules import (
    CLEARTEXT,
    LOCAL,
    WITHOUT_LOCAL_PASSWORD,
    AnyRule,
    CertificateRule,
    NamesOrNone,
    PasswordRule,
    Rule,
    RuleConfig,
    ScramRule,
    TrustRule,
)
from proxy.config.section import Section
from proxy.config.units import Seconds

HIGHEST_CLEARTEXT_ITERATIONS = 100_000
"""Checking a cleartext password costs the server these many rounds: about 40 ms at this bound."""


class TlsConfig(Section):
    """Encryption of client connections."""

    mode: Literal["off", "allow", "require"] = Field(
        default="allow",
        description="`off`, `allow` or `require`; the last refuses plaintext (28000).",
    )
    certificate: Path | None = Field(
        default=None, description="PEM file with the chain; without one, a self-signed one is made."
    )
    key: Path | None = Field(
        default=None, description="PEM file with the certificate's private key."
    )
    client_ca: Path | None = Field(
        default=None,
        description="PEM file with the authorities of client certificates, which are asked for.",
    )
    client_crl: Path | None = Field(
        default=None, description="PEM file with their revocation lists."
    )

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``off`` as false."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _both_or_none(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key are given together")
        if self.client_crl is not None and self.client_ca is None:
            raise ValueError("tls.client_crl needs tls.client_ca")
        return self


class UserConfig(Section):
    """One login: a password or its verifier, and what the user may count on."""

    password: SecretStr | None = Field(
        default=None, description="Password in the clear; turned into a verifier at start."
    )
    verifier: SecretStr | None = Field(
        default=None, description="`SCRAM-SHA-256$...` as in PostgreSQL's `pg_authid.rolpassword`."
    )
    groups: NamesOrNone = Field(default=(), description="Groups, for access policies.")
    roles: NamesOrNone = Field(default=(), description="Roles, for access policies.")
    attributes: dict[str, Any] = Field(
        default_factory=dict, description="Values that policies name as `{ user.name }`."
    )
    tenant: str | None = Field(default=None, min_length=1, description="The user's tenant.")
    act_as: NamesOrNone = Field(
        default=(), description="Users that this one may impersonate, or `*` for all."
    )

    @field_validator("verifier")
    @classmethod
    def _readable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Verifier.parse(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _at_most_one(self) -> UserConfig:
        if self.password is not None and self.verifier is not None:
            raise ValueError("a user has either a password or a verifier")
        if self.password is not None and not self.password.get_secret_value():
            raise ValueError("a password is empty")
        self.grants()
        return self

    def grants(self) -> Grants:
        """What the configuration says of the user."""
        return Grants.read(self.model_dump(exclude={"password", "verifier"}))

    @property
    def has_password(self) -> bool:
        """Whether the user can log in with a password of this server's own."""
        return self.password is not None or self.verifier is not None


class AuthConfig(Section):
    """Who may connect, and what a wrong password costs."""

    method: Literal["scram", "password", "trust"] = Field(
        default="scram",
        description="Where there are no `auth.rules`: `scram`; `password` (cleartext, needs "
        "`tls.mode: require`); `trust` (no password, loopback only).",
    )
    users: dict[str, UserConfig] = Field(
        default_factory=dict, description="Logins by name, with `password` or `verifier`."
    )
    users_file: Path | None = Field(
        default=None,
        description="File of more logins, kept by `cubewire users`; read again when it changes.",
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description="Who proves an identity how; the first rule that fits decides."
    )
    revalidate_seconds: Seconds = Field(
        default=60.0,
        description="How soon a session ends when its login expires, changes or is removed.",
    )
    failure_delay: Seconds = Field(
        default=0.5,
        description="Wait before the second refusal of a user from one address; doubles each time.",
    )
    failure_delay_max: Seconds = Field(default=8.0, description="Longest such wait.")
    failure_limit: int = Field(
        default=20, ge=1, description="Failures after which a user is locked out from that address."
    )
    failure_window: Seconds = Field(
        default=300.0, description="Time without attempts after which failures are forgotten."
    )

    @model_validator(mode="after")
    def _agrees(self) -> AuthConfig:
        if "rules" in self.model_fields_set:
            if not self.rules:
                raise ValueError("auth.rules is empty, so nobody could log in")
            if "method" in self.model_fields_set:
                raise ValueError("auth.method is for a server without auth.rules")
        elsewhere = any(isinstance(rule, WITHOUT_LOCAL_PASSWORD) for rule in self.rules)
        for name, user in self.users.items():
            if not user.has_password and not elsewhere:
                raise ValueError(
                    f"auth.users.{name}: a user has either a password or a verifier, where no rule "
                    "lets in users without"
                )
        return self

    @property
    def effective_rules(self) -> tuple[AnyRule, ...]:
        """The rules, or the one that ``method`` stands for."""
        if self.rules:
            return self.rules
        if self.method == "password":
            return (PasswordRule(method="password"),)
        return (ScramRule(method="scram") if self.method == "scram" else TrustRule(method="trust"),)

    @property
    def admits_somebody(self) -> bool:
        """Whether anybody could log in."""
        known = bool(self.users) or self.users_file is not None
        return known or any(not isinstance(each, LOCAL) for each in self.effective_rules)


def check_safe(auth: AuthConfig, tls: TlsConfig, host: str) -> None:
    """Refuse rules that would send secrets in the clear, or trust who is not on this machine.

    Raises:
        ValueError: naming the keys that do not go together.
    """
    for number, rule in enumerate(auth.effective_rules):
        name = f"auth.rules[{number}]" if auth.rules else f"auth.method {auth.method}"
        _check_rule(name, rule, tls, host, single=not auth.rules)
    if any(isinstance(rule, PasswordRule) for rule in auth.effective_rules):
        for user, known in auth.users.items():
            _check_cleartext_cost(user, known)


def _check_rule(name: str, rule: RuleConfig, tls: TlsConfig, host: str, *, single: bool) -> None:
    on_loopback = is_loopback(host) or AddressPattern.of(rule.address).is_loopback
    if isinstance(rule, TrustRule) and not on_loopback:
        raise ValueError(
            f"{name} asks for no password, so server.host must be a loopback address"
            + ("" if single else " or the rule's address one")
        )
    if isinstance(rule, CLEARTEXT) and tls.mode != "require" and rule.tls != "require":
        raise ValueError(f"{name} needs tls.mode require" + ("" if single else ", or tls: require"))
    if rule.tls == "require" and tls.mode == "off":
        raise ValueError(f"{name} is for TLS only, but tls.mode is off")
    wants_certificate = rule.client_certificate != "any" or isinstance(rule, CertificateRule)
    if wants_certificate and (tls.client_ca is None or tls.mode == "off"):
        raise ValueError(f"{name} asks for client certificates, which needs tls.client_ca")


def _check_cleartext_cost(name: str, user: UserConfig) -> None:
    if user.verifier is None:
        return
    iterations = Verifier.parse(user.verifier.get_secret_value()).iterations
    if iterations > HIGHEST_CLEARTEXT_ITERATIONS:
        raise ValueError(
            f"auth.users.{name}.verifier has {iterations} iterations; where passwords come in the "
            f"clear at most {HIGHEST_CLEARTEXT_ITERATIONS} are accepted"
        )
