"""The rules of ``auth.rules``: for whom each one is, and the options of each method."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from proxy.auth.grants import Grants
from proxy.auth.patterns import ALL, AddressPattern, NamePattern
from proxy.config.section import Section
from proxy.config.units import Seconds


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
NamesOrNone = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class RuleConfig(Section):
    """For whom a rule is, and what it gives besides; what every method has."""

    database: Names = Field(default=(ALL,), description="`all`, a name, a list, or `/a regex/`.")
    user: Names = Field(default=(ALL,), description="`all`, a name, a list, or `/a regex/`.")
    address: Names = Field(
        default=(ALL,), description="`all`, or addresses and networks such as `10.0.0.0/8`."
    )
    tls: Literal["any", "require"] = Field(
        default="any", description="`require`: the rule is for connections inside TLS only."
    )
    client_certificate: Literal["any", "require", "match"] = Field(
        default="any",
        description="Besides the method: `require` a certificate of `tls.client_ca`, `match` one "
        "whose common name is the user.",
    )
    groups: NamesOrNone = Field(default=(), description="Groups of whoever this rule lets in.")
    roles: NamesOrNone = Field(default=(), description="Roles of whoever this rule lets in.")
    attributes: dict[str, Any] = Field(
        default_factory=dict, description="Attributes of whoever this rule lets in."
    )
    tenant: str | None = Field(
        default=None, min_length=1, description="Tenant of whoever this rule lets in."
    )
    session_lifetime: Seconds = Field(
        default=0.0, description="Longest a session of this rule lasts (28000); 0 is for ever."
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> RuleConfig:
        NamePattern.of(self.database)
        NamePattern.of(self.user)
        AddressPattern.of(self.address)
        self.grants()
        return self

    def grants(self) -> Grants:
        """What the rule gives."""
        return Grants.read(self.model_dump(include={"groups", "roles", "attributes", "tenant"}))


class ScramRule(RuleConfig):
    """SCRAM with the passwords of ``auth.users`` and ``auth.users_file``."""

    method: Literal["scram"] = Field(description="SCRAM-SHA-256(-PLUS) with this server's users.")


class PasswordRule(RuleConfig):
    """The same passwords in the clear."""

    method: Literal["password"] = Field(
        description="Their passwords in the clear, inside TLS, for clients without SCRAM."
    )


class TrustRule(RuleConfig):
    """No password."""

    method: Literal["trust"] = Field(description="No password; loopback only.")


class RejectRule(RuleConfig):
    """Nobody."""

    method: Literal["reject"] = Field(description="Refuses (28000).")


Rule = Annotated[ScramRule | PasswordRule | TrustRule | RejectRule, Field(discriminator="method")]

CLEARTEXT: tuple[type[RuleConfig], ...] = (PasswordRule,)
"""Methods whose clients send what is secret as it is."""

LOCAL: tuple[type[RuleConfig], ...] = (ScramRule, PasswordRule, TrustRule, RejectRule)
"""Methods that let in nobody whom this server does not know."""

WITHOUT_LOCAL_PASSWORD: tuple[type[RuleConfig], ...] = (TrustRule,)
"""Methods that let users in of whom this server knows no password."""
