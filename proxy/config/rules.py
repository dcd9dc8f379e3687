"""The rules of ``auth.rules``: for whom each one is, and the options of each method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from proxy.auth.algorithms import ASYMMETRIC, HMAC, SECRET_BYTES
from proxy.auth.grants import Grants
from proxy.auth.identity_map import IdentityMap
from proxy.auth.patterns import ALL, AddressPattern, NamePattern, is_loopback
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


def _checked_url(url: str, schemes: tuple[str, str]) -> str:
    """A URL of the encrypted scheme (the first), or of the plain one on this machine."""
    parts = urlsplit(url)
    encrypted, plain = schemes
    if parts.username or parts.password or not parts.hostname:
        raise ValueError(f"a URL reads {encrypted}://host, without user and password")
    # A wrong port is a ValueError of its own.
    _ = parts.port
    if parts.scheme != encrypted and not (parts.scheme == plain and is_loopback(parts.hostname)):
        raise ValueError(f"a URL begins with {encrypted}:// ({plain}:// only on this machine)")
    return url


class JwtRule(RuleConfig):
    """An access token for a password."""

    method: Literal["jwt"] = Field(description="An access token (JWT), sent as the password.")
    jwks_url: str | None = Field(default=None, description="`https://` URL of the issuer's keys.")
    jwks_file: Path | None = Field(
        default=None, description="File with the issuer's keys instead, read again when it changes."
    )
    jwks_ca: Path | None = Field(
        default=None, description="Authorities of the URL's certificate; the system's where absent."
    )
    jwks_refresh: Seconds = Field(
        default=300.0, gt=0, description="Age at which keys of a URL are asked for again."
    )
    secret: SecretStr | None = Field(
        default=None, description="Secret shared with the issuer instead of keys, for HS256 to 512."
    )
    algorithms: NamesOrNone = Field(
        default=(), description="Accepted ones; default all RS, PS, ES and EdDSA, or HS256."
    )
    issuer: Names = Field(description="Accepted values of `iss`.")
    audience: Names = Field(description="Accepted values of `aud`.")
    clock_skew: Seconds = Field(
        default=30.0, le=300, description="What the issuer's clock may differ by."
    )
    required_claims: NamesOrNone = Field(
        default=(), description="Claims that must be there besides `exp`, `iss` and `aud`."
    )
    user_claim: str = Field(default="sub", description="Claim, or path such as `a.b`, of the user.")
    user_pattern: str | None = Field(
        default=None, description="Its whole value; the one group is the user's name."
    )
    user_map: dict[str, Names] = Field(
        default_factory=dict,
        description="Users by value of the claim; before the pattern, and alone without one.",
    )
    groups_claim: str | None = Field(default=None, description="Claim of the groups.")
    roles_claim: str | None = Field(default=None, description="Claim of the roles.")
    attributes_claims: dict[str, str] = Field(
        default_factory=dict, description="Claim by attribute."
    )
    tenant_claim: str | None = Field(
        default=None, description="Claim of the tenant; must be there."
    )
    act_as_claim: str | None = Field(default=None, description="Claim of the users to impersonate.")
    timeout: Seconds = Field(default=5.0, gt=0, le=60, description="For asking the URL.")

    @model_validator(mode="after")
    def _agrees(self) -> JwtRule:
        sources = [
            each for each in (self.jwks_url, self.jwks_file, self.secret) if each is not None
        ]
        if len(sources) != 1:
            raise ValueError("one of jwks_url, jwks_file and secret is given")
        known = HMAC if self.secret is not None else ASYMMETRIC
        wrong = [each for each in self.algorithms if each not in known]
        if wrong:
            raise ValueError(f"algorithm {wrong[0]} does not fit: {', '.join(known)} do")
        if self.jwks_url is not None:
            _checked_url(self.jwks_url, ("https", "http"))
        if self.secret is not None:
            needed = max(SECRET_BYTES[each] for each in self.effective_algorithms)
            if len(self.secret.get_secret_value().encode()) < needed:
                raise ValueError(f"secret needs at least {needed} bytes")
        self.users()
        return self

    @property
    def effective_algorithms(self) -> tuple[str, ...]:
        """The accepted ones: never such as fit a key of another kind."""
        return self.algorithms or (HMAC[:1] if self.secret is not None else ASYMMETRIC)

    def users(self) -> IdentityMap:
        """Whose token lets in whom."""
        return IdentityMap.of(self.user_pattern, self.user_map)


class LdapRule(RuleConfig):
    """A bind to a directory."""

    method: Literal["ldap"] = Field(description="A directory's password (needs `cubewire[ldap]`).")
    url: Names = Field(
        description="`ldaps://host` or, with `start_tls`, `ldap://host`; a list is tried in order."
    )
    start_tls: bool = Field(default=False, description="Encrypt `ldap://` before anything is said.")
    ca: Path | None = Field(
        default=None, description="Authorities of its certificate; the system's where absent."
    )
    bind_dn: str | None = Field(
        default=None, description="The user's DN, such as `uid={user},ou=people,dc=example`."
    )
    search_base: str | None = Field(
        default=None, description="Or where to search for it, with `search_filter`."
    )
    search_filter: str = Field(default="(uid={user})", description="What finds the user's entry.")
    search_dn: str | None = Field(
        default=None, description="Who searches, also for groups; anonymous, or the user, without."
    )
    search_password: SecretStr | None = Field(default=None, description="Its password.")
    group_base: str | None = Field(default=None, description="Where the groups are; none without.")
    group_filter: str = Field(
        default="(member={dn})", description="What finds the user's, by `{dn}` or `{user}`."
    )
    group_attribute: str = Field(default="cn", description="Their attribute that is the name.")
    attribute_map: dict[str, str] = Field(
        default_factory=dict, description="Attribute of the user's entry by attribute."
    )
    tenant_attribute: str | None = Field(
        default=None, description="Attribute of the user's entry that is the tenant; must be there."
    )
    timeout: Seconds = Field(default=5.0, gt=0, le=60, description="For each step.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Logins looked at at once.")

    @model_validator(mode="after")
    def _agrees(self) -> LdapRule:
        if (self.bind_dn is None) == (self.search_base is None):
            raise ValueError("either bind_dn or search_base is given")
        if self.bind_dn is not None and "{user}" not in self.bind_dn:
            raise ValueError("bind_dn holds {user}")
        if self.bind_dn is not None and "=" not in self.bind_dn:
            raise ValueError("bind_dn is a DN; for names such as user@domain, search for the user")
        if self.search_base is not None and "{user}" not in self.search_filter:
            raise ValueError("search_filter holds {user}")
        if (self.search_dn is None) != (self.search_password is None):
            raise ValueError("search_dn and search_password are given together")
        if self.search_password is not None and not self.search_password.get_secret_value():
            raise ValueError("search_password is empty")
        for url in self.url:
            if not (self.start_tls and url.startswith("ldap://")):
                _checked_url(url, ("ldaps", "ldap"))
        return self


class CertificateRule(RuleConfig):
    """A client certificate."""

    method: Literal["certificate"] = Field(
        description="A certificate of `tls.client_ca` names the user; no password."
    )
    name: Literal["cn", "email", "dns", "uri"] = Field(
        default="cn", description="Of the subject, or of the subjectAltName."
    )
    user_pattern: str | None = Field(
        default=None, description="Its whole value; the one group is the user's name."
    )
    user_map: dict[str, Names] = Field(
        default_factory=dict,
        description="Users by name in the certificate; before the pattern, and alone without one.",
    )

    @model_validator(mode="after")
    def _agrees(self) -> CertificateRule:
        self.users()
        return self

    def users(self) -> IdentityMap:
        """Whose certificate lets in whom."""
        return IdentityMap.of(self.user_pattern, self.user_map)


class HttpRule(RuleConfig):
    """A web service that decides."""

    method: Literal["http"] = Field(description="A web service decides about the password.")
    url: str = Field(description="`https://` URL that is sent the question (POST, JSON).")
    secret: SecretStr | None = Field(default=None, description="Bearer token for the service.")
    ca: Path | None = Field(
        default=None, description="Authorities of its certificate; the system's where absent."
    )
    timeout: Seconds = Field(default=5.0, gt=0, le=60, description="For one question.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Questions at once.")

    @field_validator("url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        return _checked_url(value, ("https", "http"))


class PythonRule(RuleConfig):
    """A function that decides."""

    method: Literal["python"] = Field(description="A function decides about the password.")
    function: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="`module:function`, plain or async; a module that Python finds.",
    )
    timeout: Seconds = Field(default=5.0, gt=0, le=60, description="For one call.")
    concurrency: int = Field(default=8, ge=1, le=256, description="Calls at once.")


AnyRule = (
    ScramRule
    | PasswordRule
    | TrustRule
    | RejectRule
    | JwtRule
    | LdapRule
    | CertificateRule
    | HttpRule
    | PythonRule
)

Rule = Annotated[AnyRule, Field(discriminator="method")]

CLEARTEXT: tuple[type[RuleConfig], ...] = (PasswordRule, JwtRule, LdapRule, HttpRule, PythonRule)
"""Methods whose clients send what is secret as it is."""

LOCAL: tuple[type[RuleConfig], ...] = (ScramRule, PasswordRule, TrustRule, RejectRule)
"""Methods that let in nobody whom this server does not know."""

WITHOUT_LOCAL_PASSWORD: tuple[type[RuleConfig], ...] = (
    TrustRule,
    JwtRule,
    LdapRule,
    CertificateRule,
    HttpRule,
    PythonRule,
)
"""Methods that let users in of whom this server knows no password."""
